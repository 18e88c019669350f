/* SPDX-License-Identifier: 0BSD */
/* grouped_conv2d in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_grouped_conv2d_s8_scalar(const mbn_grouped_conv_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    const int32_t apart = p->dilation * p->in_bytes;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int8_t *w = p->weights;
        int8_t *to = out;
        const int32_t *bias = p->bias, *multiplier = p->multiplier;
        const int32_t end = x * p->stride * p->in_bytes + p->in_channels;
        for (int32_t first = end - p->in_channels; first < end; first += p->group_inputs) {
            for (int32_t o = 0; o < p->group_outputs; o++) {
                int32_t acc = *bias++;
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    const int8_t *in = rows[ky] + first;
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        for (int32_t i = 0; i < p->group_inputs; i++) {
                            acc += in[i] * *w++;
                        }
                        in += apart;
                    }
                }
                *to++ = mbn_requantize(acc, *multiplier++, p->shift, p->zero_point);
            }
        }
        out += p->pixel_stride;
    }
}
