/* SPDX-License-Identifier: 0BSD */
/* 3x3 depthwise_conv2d of whole groups of four channels whose input or output is int16, on Arm DSP cores. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

void mbn_depthwise_conv2d_3x3_s16_arm_dsp(const mbn_depthwise_3x3_s16_arm_dsp_params *p, const int8_t *const *rows,
                                          int8_t *out, int32_t count, void *scratch)
{
    const int32_t size = p->wide_in ? 2 : 1, step = p->stride * p->channels * size;
    const mbn_depthwise_s16_parts_arm_dsp *const parts = p->parts;
    const mbn_depthwise_s16_pixel_arm_dsp pixel = !p->wide_in   ? parts->narrow_to_wide
                                                  : p->wide_out ? parts->wide_to_wide
                                                                : parts->wide_to_narrow;
    mbn_depthwise_s16_pixel b;
    (void)scratch;
    b.rows[0] = rows[0];
    b.rows[1] = rows[1];
    b.rows[2] = rows[2];
    b.lift = p->lift;
    b.zero_point = p->zero_point;
    b.low = mbn_low_halves((uint32_t)p->low, (uint32_t)p->low);
    b.high = mbn_low_halves((uint32_t)p->high, (uint32_t)p->high);
    b.out = out;
    b.column = p->dilation * p->channels * size;
    b.weights = p->weights;
    b.weights_end = p->weights + (p->channels >> 2) * (4 + 2 * 9 + 4);
    for (; count > 0; count--) {
        pixel(&b);
        b.rows[0] += step;
        b.rows[1] += step;
        b.rows[2] += step;
        b.out += p->channels * (p->wide_out ? 2 : 1);
    }
}
