/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d of any window on Arm DSP cores, from interleaved rows to interleaved ones, four channels at a time. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

void mbn_depthwise_conv2d_interleaved_s8_arm_dsp(const mbn_depthwise_any_arm_dsp_params *p, const int8_t *const *rows,
                                                 int8_t *out, int32_t count, void *scratch)
{
    const int32_t channels = p->channels, step = p->dilation * p->in_bytes, pixel = p->stride * p->in_bytes;
    const uint32_t *bias = p->weights;
    (void)scratch;
    for (int32_t c = 0; c < channels; c += 4) {
        const int32_t *const multipliers = (const int32_t *)bias + 4 + 2 * p->kernel_height * p->kernel_width;
        for (int32_t i = 0; i < count; i++) {
            const uint32_t *w = bias + 4;
            int32_t a = (int32_t)bias[0], b = (int32_t)bias[1], d = (int32_t)bias[2], e = (int32_t)bias[3];
            for (int32_t y = 0; y < p->kernel_height; y++) {
                const int8_t *in = rows[y] + i * pixel + c;
                for (int32_t left = p->kernel_width; left != 0; left--) {
                    const uint32_t word = mbn_load4(in), even = mbn_sxtb16(word), odd = mbn_sxtb16_ror8(word);
                    a = mbn_smlabb(even, w[0], a);
                    b = mbn_smlabb(odd, w[1], b);
                    d = mbn_smlatt(even, w[0], d);
                    e = mbn_smlatt(odd, w[1], e);
                    in += step;
                    w += 2;
                }
            }
            a = mbn_ssat8(mbn_smmlar(a, multipliers[0], p->zero_point));
            b = mbn_ssat8(mbn_smmlar(b, multipliers[1], p->zero_point));
            d = mbn_ssat8(mbn_smmlar(d, multipliers[2], p->zero_point));
            e = mbn_ssat8(mbn_smmlar(e, multipliers[3], p->zero_point));
            mbn_store4(out + i * p->pixel_stride + c, mbn_pack4(a, b, d, e));
        }
        bias = (const uint32_t *)multipliers + 4;
    }
}
