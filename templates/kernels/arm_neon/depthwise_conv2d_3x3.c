/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 with Advanced SIMD: sixteen channels at a time, whose weights stay in registers for a whole row. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

/* acc + x0 * w0 + x1 * w1: two products fit 16 bits. */
static inline void add_pair(int32x4_t acc[4], int8x16_t x0, int8x16_t w0, int8x16_t x1, int8x16_t w1)
{
    const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1));
    const int16x8_t high = vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1);
    acc[0] = vaddw_s16(acc[0], vget_low_s16(low));
    acc[1] = vaddw_high_s16(acc[1], low);
    acc[2] = vaddw_s16(acc[2], vget_low_s16(high));
    acc[3] = vaddw_high_s16(acc[3], high);
}

static inline void add_one(int32x4_t acc[4], int8x16_t x, int8x16_t w)
{
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w)), high = vmull_high_s8(x, w);
    acc[0] = vaddw_s16(acc[0], vget_low_s16(low));
    acc[1] = vaddw_high_s16(acc[1], low);
    acc[2] = vaddw_s16(acc[2], vget_low_s16(high));
    acc[3] = vaddw_high_s16(acc[3], high);
}

void mbn_depthwise_conv2d_3x3_s8_arm_neon(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                          int8_t *out, int32_t count, void *scratch)
{
    const int16x8_t zero = vdupq_n_s16((int16_t)p->zero_point);
    const int32_t column = p->column, step = p->step, pixel_stride = p->pixel_stride;
    const int8_t *w = p->weights;
    (void)scratch;
    for (int32_t c = 0; c < p->channels; c += 16, w += 144) {
        const int32_t left = p->channels - c;
        const int32_t *bias = p->bias + c;
        const int32_t *multiplier = p->multiplier + c;
        const int8_t *r0 = rows[0] + c, *r1 = rows[1] + c, *r2 = rows[2] + c;
        int8_t *to = out + c;
        int8x16_t taps[9];
        MBN_IN_REGISTERS for (int i = 0; i < 9; i++)
        {
            taps[i] = vld1q_s8(w + 16 * i);
        }
        for (int32_t x = 0; x < count; x++) {
            int32x4_t acc[4] = {vld1q_s32(bias), vld1q_s32(bias + 4), vld1q_s32(bias + 8), vld1q_s32(bias + 12)};
            add_pair(acc, vld1q_s8(r0), taps[0], vld1q_s8(r0 + column), taps[1]);
            add_pair(acc, vld1q_s8(r0 + 2 * column), taps[2], vld1q_s8(r1), taps[3]);
            add_pair(acc, vld1q_s8(r1 + column), taps[4], vld1q_s8(r1 + 2 * column), taps[5]);
            add_pair(acc, vld1q_s8(r2), taps[6], vld1q_s8(r2 + column), taps[7]);
            add_one(acc, vld1q_s8(r2 + 2 * column), taps[8]);
            mbn_store_first(to, mbn_scaled16(acc, multiplier, zero), left);
            r0 += step;
            r1 += step;
            r2 += step;
            to += pixel_stride;
        }
    }
}
