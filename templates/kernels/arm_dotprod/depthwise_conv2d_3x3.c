/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 with SDOT, sixteen channels at a time: the three rows of a column are interleaved, so that a lane has
 * the column of a channel. With stride 1 a column serves three outputs. */
#include "mbn_arm_dotprod.h"
#include "mbn_neon_math.h"

/* A column of sixteen channels: per channel the bytes of three rows, and 0. */
MBN_TEMPLATE void load(int8x16_t column[4], const int8_t *row0, const int8_t *row1, const int8_t *row2, int32_t at)
{
    const int8x16_t none = vdupq_n_s8(0);
    const int8x16_t r0 = vld1q_s8(row0 + at), r1 = vld1q_s8(row1 + at), r2 = vld1q_s8(row2 + at);
    const int16x8_t low = vreinterpretq_s16_s8(vzip1q_s8(r0, r1)), high = vreinterpretq_s16_s8(vzip2q_s8(r0, r1));
    const int16x8_t low2 = vreinterpretq_s16_s8(vzip1q_s8(r2, none));
    const int16x8_t high2 = vreinterpretq_s16_s8(vzip2q_s8(r2, none));
    column[0] = vreinterpretq_s8_s16(vzip1q_s16(low, low2));
    column[1] = vreinterpretq_s8_s16(vzip2q_s16(low, low2));
    column[2] = vreinterpretq_s8_s16(vzip1q_s16(high, high2));
    column[3] = vreinterpretq_s8_s16(vzip2q_s16(high, high2));
}

/* Sixteen outputs of three columns. */
MBN_TEMPLATE void store(const int8x16_t *a, const int8x16_t *b, const int8x16_t *c, const int8_t *w,
                        const int32_t *bias, const float *scale, int16x8_t zero, int8_t *out, int32_t left)
{
    const int8x16_t *const columns[3] = {a, b, c};
    int32x4_t acc[4];
    MBN_IN_REGISTERS for (int k = 0; k < 3; k++)
    {
        const int8x16x4_t taps = vld1q_s8_x4(w + 64 * k);
        MBN_IN_REGISTERS for (int i = 0; i < 4; i++)
        {
            acc[i] = vdotq_s32(k == 0 ? vld1q_s32(bias + 4 * i) : acc[i], columns[k][i], taps.val[i]);
        }
    }
    mbn_store_first(out, mbn_scaled16(acc, scale, zero), left);
}

void mbn_depthwise_conv2d_3x3_s8_arm_dotprod(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                             int8_t *out, int32_t count, void *scratch)
{
    const int16x8_t zero = vdupq_n_s16((int16_t)p->zero_point);
    const int32_t column = p->column, step = p->step, pixel = p->pixel_stride, channels = p->channels;
    const int8_t *const r0 = rows[0], *const r1 = rows[1], *const r2 = rows[2];
    const int8_t *w = p->weights;
    (void)scratch;
    for (int32_t c = 0; c < channels; c += 16, w += 192) {
        const int32_t left = channels - c;
        const int32_t *bias = p->bias + c;
        const float *scale = p->scale + c;
        int8_t *to = out + c;
        int8x16_t a[4], b[4], d[4];
        int32_t at = c, rest = count;
        if (step == column) {
            load(a, r0, r1, r2, at);
            load(b, r0, r1, r2, at + column);
            at += 2 * column;
            for (; rest >= 3; rest -= 3) {
                load(d, r0, r1, r2, at);
                store(a, b, d, w, bias, scale, zero, to, left);
                load(a, r0, r1, r2, at + column);
                store(b, d, a, w, bias, scale, zero, to + pixel, left);
                load(b, r0, r1, r2, at + 2 * column);
                store(d, a, b, w, bias, scale, zero, to + 2 * pixel, left);
                at += 3 * column;
                to += 3 * pixel;
            }
            at -= 2 * column;
        }
        for (; rest > 0; rest--) {
            load(a, r0, r1, r2, at);
            load(b, r0, r1, r2, at + column);
            load(d, r0, r1, r2, at + 2 * column);
            store(a, b, d, w, bias, scale, zero, to, left);
            at += step;
            to += pixel;
        }
    }
}
