/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Helium with an odd number of output channels: all pairs, then the channel without
 * a partner, which lies in the place of an even one. */
#include "mbn_arm_mve.h"
#include "mbn_math.h"
#include "mbn_mve.h"

void mbn_conv2d_1x1_odd_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int planar = p->out_stride > 0;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t vectors = (p->in_channels + 15) >> 4;
    const int32_t *w = p->weights + (p->out_channels >> 1) * (12 + 8 * vectors);
    const int8_t *in = rows[0];
    if (p->out_channels > 1) {
        mbn_conv2d_1x1_s8_arm_mve(p, rows, out, count, scratch);
    }
    out += (p->out_channels - 1) * channel;
    for (; count > 0; count--) {
        int32_t acc = w[0];
        for (int32_t v = 0; v < vectors; v++) {
            acc = mbn_dot16(acc, in + 16 * v, (const int8_t *)(w + 8 + 8 * v));
        }
        *out = mbn_requantize(acc, w[8 + 8 * vectors], 32, p->zero_point);
        in += p->in_bytes;
        out += pixel;
    }
}
