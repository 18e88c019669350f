/* SPDX-License-Identifier: 0BSD */
/* 1x1 conv2d and fully_connected with two weights in a byte, in plain C99: the first in the lower half, each output
 * channel's begin a byte. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_conv2d_w4_s8_scalar(const mbn_conv_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch)
{
    const int8_t *in = rows[0];
    const int32_t pairs = p->in_channels >> 1;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int8_t *w = p->weights;
        for (int32_t o = 0; o < p->out_channels; o++) {
            int32_t acc = p->bias[o];
            for (int32_t i = 0; i < pairs; i++) {
                const int32_t byte = *w++;
                acc += in[2 * i] * (((byte & 15) ^ 8) - 8) + in[2 * i + 1] * (byte >> 4);
            }
            if (p->in_channels & 1) {
                acc += in[2 * pairs] * ((*w++ ^ 8) - 8);
            }
            out[o] = mbn_requantize(acc, p->multiplier[o], p->shift, p->zero_point);
        }
        in += p->in_bytes;
        out += p->pixel_stride;
    }
}
