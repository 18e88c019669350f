/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_depthwise_conv2d_s8_scalar(const mbn_conv_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                    void *scratch)
{
    const int32_t multiplier = p->out_channels / p->in_channels;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t first = x * p->stride * p->in_bytes;
        for (int32_t i = 0; i < p->in_channels; i++) {
            for (int32_t m = 0; m < multiplier; m++) {
                const int32_t o = i * multiplier + m;
                const int8_t *w = p->weights + o;
                int32_t acc = p->bias[o];
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    const int8_t *in = rows[ky] + first + i;
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        acc += *in * *w;
                        in += p->dilation * p->in_bytes;
                        w += p->out_channels;
                    }
                }
                out[o] = mbn_requantize(acc, p->multiplier[o], p->shift, p->zero_point);
            }
        }
        out += p->pixel_stride;
    }
}
