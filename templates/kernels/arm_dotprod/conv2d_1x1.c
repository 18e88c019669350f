/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer with SDOT: blocks of four pixels and sixteen outputs, the lanes of an
 * accumulator are outputs. */
#include "mbn_arm_dotprod.h"
#include "mbn_neon_math.h"

/* Four taps of a pixel, of those in a lane, times those of four outputs. */
MBN_TEMPLATE int32x4_t dot(int32x4_t acc, int8x16_t taps, int8x16_t in, int lane)
{
    return lane == 0   ? vdotq_laneq_s32(acc, taps, in, 0)
           : lane == 1 ? vdotq_laneq_s32(acc, taps, in, 1)
           : lane == 2 ? vdotq_laneq_s32(acc, taps, in, 2)
                       : vdotq_laneq_s32(acc, taps, in, 3);
}

/* Four taps for each of `fours`: 4 or 2 times four outputs. */
MBN_TEMPLATE void add_taps(int32x4_t acc[4][4], const int8x16_t *in, const int8_t *w, int lane, int pixels, int fours)
{
    int8x16_t taps[4];
    if (fours == 4) {
        const int8x16x4_t all = vld1q_s8_x4(w);
        MBN_IN_REGISTERS for (int j = 0; j < 4; j++)
        {
            taps[j] = all.val[j];
        }
    } else {
        const int8x16x2_t all = vld1q_s8_x2(w);
        taps[0] = all.val[0];
        taps[1] = all.val[1];
    }
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        MBN_IN_REGISTERS for (int j = 0; j < fours; j++)
        {
            acc[i][j] = dot(acc[i][j], taps[j], in[i], lane);
        }
    }
}

/* `fours` times four outputs of each pixel. */
MBN_TEMPLATE const int8_t *outputs(const mbn_conv2d_arm_dotprod_params *p, const int8_t *const *x, const int8_t *w,
                                   int32_t o, int8_t *out, int pixels, int fours)
{
    const int16x8_t zero = vdupq_n_s16((int16_t)p->zero_point);
    const int32_t taps = p->taps, whole = (taps + 7) & ~15;
    int32x4_t acc[4][4];
    int8x16_t in[4];
    int32_t k = 0;
    MBN_IN_REGISTERS for (int j = 0; j < fours; j++)
    {
        const int32x4_t bias = vld1q_s32(p->bias + o + 4 * j);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            acc[i][j] = bias;
        }
    }
    for (; k < whole; k += 16) {
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            in[i] = vld1q_s8(x[i] + k);
        }
        MBN_IN_REGISTERS for (int lane = 0; lane < 4; lane++)
        {
            add_taps(acc, in, w, lane, pixels, fours);
            w += 16 * fours;
        }
    }
    if (k < taps) {
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            const int8x8_t last = vld1_s8(x[i] + k);
            in[i] = vcombine_s8(last, last);
        }
        MBN_IN_REGISTERS for (int lane = 0; lane < 2; lane++)
        {
            add_taps(acc, in, w, lane, pixels, fours);
            w += 16 * fours;
        }
    }
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        if (fours == 4) {
            mbn_store_first(out + i * p->pixel_stride, mbn_scaled16(acc[i], p->scale + o, zero), p->out_channels - o);
        } else {
            const float32x4_t low = vld1q_f32(p->scale + o), high = vld1q_f32(p->scale + o + 4);
            const int8x8_t eight = vqmovn_s16(mbn_scaled8(acc[i][0], low, acc[i][1], high, zero));
            const int32_t left = p->out_channels - o;
            mbn_store_first(out + i * p->pixel_stride, vcombine_s8(eight, eight), left < 8 ? left : 8);
        }
    }
    return w;
}

MBN_TEMPLATE void block(const mbn_conv2d_arm_dotprod_params *params, const int8_t *in, int8_t *out, int pixels)
{
    /* A copy, which no output can lie in: its members stay in registers. */
    const mbn_conv2d_arm_dotprod_params own = *params, *const p = &own;
    const int8_t *w = p->weights, *x[4];
    int32_t o = 0;
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        x[i] = in + i * p->in_bytes;
    }
    for (; o + 8 < p->out_channels; o += 16) {
        w = outputs(p, x, w, o, out + o, pixels, 4);
    }
    if (o < p->out_channels) {
        outputs(p, x, w, o, out + o, pixels, 2);
    }
}

void mbn_conv2d_1x1_s8_arm_dotprod(const mbn_conv2d_arm_dotprod_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (; count >= 4; count -= 4) {
        block(p, in, out, 4);
        in += 4 * p->in_bytes;
        out += 4 * p->pixel_stride;
    }
    if (count == 3) {
        block(p, in, out, 3);
    } else if (count == 2) {
        block(p, in, out, 2);
    } else if (count == 1) {
        block(p, in, out, 1);
    }
}
