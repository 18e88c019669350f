/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_conv2d_s8_scalar(const mbn_conv_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int8_t *w = p->weights;
        const int32_t first = x * p->stride * p->in_bytes;
        for (int32_t o = 0; o < p->out_channels; o++) {
            int32_t acc = p->bias[o];
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    for (int32_t i = 0; i < p->in_channels; i++) {
                        acc += in[i] * *w++;
                    }
                    in += p->dilation * p->in_bytes;
                }
            }
            out[o] = mbn_requantize(acc, p->multiplier[o], p->shift, p->zero_point);
        }
        out += p->pixel_stride;
    }
}
