/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d of any window with Advanced SIMD, sixteen channels at a time. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

void mbn_depthwise_conv2d_s8_arm_neon(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                      int8_t *out, int32_t count, void *scratch)
{
    const int16x8_t zero = vdupq_n_s16((int16_t)p->zero_point);
    const int32_t group = 16 * p->kernel_height * p->kernel_width;
    const int8_t *weights = p->weights;
    (void)scratch;
    for (int32_t c = 0; c < p->channels; c += 16, weights += group) {
        const int32_t *bias = p->bias + c;
        int8_t *to = out + c;
        for (int32_t x = 0; x < count; x++, to += p->pixel_stride) {
            const int8_t *w = weights;
            int32x4_t acc[4] = {vld1q_s32(bias), vld1q_s32(bias + 4), vld1q_s32(bias + 8), vld1q_s32(bias + 12)};
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + x * p->step + c;
                int32_t kx = p->kernel_width;
                for (; kx > 0; kx -= 2) {
                    int8x16_t values = vld1q_s8(in), taps = vld1q_s8(w);
                    int16x8_t low = vmull_s8(vget_low_s8(values), vget_low_s8(taps));
                    int16x8_t high = vmull_high_s8(values, taps);
                    if (kx > 1) { /* two products fit 16 bits */
                        values = vld1q_s8(in + p->column);
                        taps = vld1q_s8(w + 16);
                        low = vmlal_s8(low, vget_low_s8(values), vget_low_s8(taps));
                        high = vmlal_high_s8(high, values, taps);
                    }
                    acc[0] = vaddw_s16(acc[0], vget_low_s16(low));
                    acc[1] = vaddw_high_s16(acc[1], low);
                    acc[2] = vaddw_s16(acc[2], vget_low_s16(high));
                    acc[3] = vaddw_high_s16(acc[3], high);
                    in += 2 * p->column;
                    w += kx > 1 ? 32 : 16;
                }
            }
            mbn_store_first(to, mbn_scaled16(acc, p->multiplier + c, zero), p->channels - c);
        }
    }
}
