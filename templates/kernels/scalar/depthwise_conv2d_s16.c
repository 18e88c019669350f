/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d whose input or output is int16, in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

static inline int32_t mbn_depthwise_conv2d_sum(const mbn_conv_s16_params *p, const int8_t *const *rows, int32_t first,
                                               const int8_t *w, int32_t acc, int32_t wide)
{
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        int32_t at = first;
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            acc += mbn_load(rows[ky], at, wide) * *w;
            at += p->dilation * p->in_channels;
            w += p->out_channels;
        }
    }
    return acc;
}

void mbn_depthwise_conv2d_s16_scalar(const mbn_conv_s16_params *p, const int8_t *const *rows, int8_t *out,
                                     int32_t count, void *scratch)
{
    const int32_t multiplier = p->out_channels / p->in_channels;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t i = 0; i < p->in_channels; i++) {
            const int32_t first = x * p->stride * p->in_channels + i;
            for (int32_t m = 0; m < multiplier; m++) {
                const int32_t o = i * multiplier + m;
                const int8_t *const w = p->weights + o;
                const int32_t acc = p->wide_in ? mbn_depthwise_conv2d_sum(p, rows, first, w, p->bias[o], 1)
                                               : mbn_depthwise_conv2d_sum(p, rows, first, w, p->bias[o], 0);
                mbn_store(out, x * p->out_channels + o,
                          mbn_requantize_wide(acc, p->multiplier[o], p->shift, p->zero_point, p->low, p->high),
                          p->wide_out);
            }
        }
    }
}
