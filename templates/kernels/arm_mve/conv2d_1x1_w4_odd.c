/* SPDX-License-Identifier: 0BSD */
/* As conv2d_1x1_odd.c, for weights of four bits. */
#include "mbn_arm_mve.h"
#include "mbn_math.h"

void mbn_conv2d_1x1_w4_odd_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch)
{
    const int planar = p->out_stride > 0;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t vectors = (p->in_channels + 15) >> 4;
    const int32_t *w = p->weights + (p->out_channels >> 1) * (12 + 4 * vectors);
    const uint8_t *const taps = (const uint8_t *)(w + 8);
    const int8_t *in = rows[0];
    if (p->out_channels > 1) {
        mbn_conv2d_1x1_w4_s8_arm_mve(p, rows, out, count, scratch);
    }
    out += (p->out_channels - 1) * channel;
    for (; count > 0; count--) {
        int32_t acc = w[0];
        for (int32_t i = 0; i < p->in_channels; i++) {
            acc += in[i] * (int8_t)(uint8_t)(taps[i] << 4);
        }
        *out = mbn_requantize(acc >> 4, w[8 + 4 * vectors], 32, p->zero_point);
        in += p->in_bytes;
        out += pixel;
    }
}
