/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected whose input or output is int16, in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

static inline int32_t mbn_conv2d_sum(const mbn_conv_s16_params *p, const int8_t *const *rows, int32_t first,
                                     const int8_t *w, int32_t acc, int32_t wide)
{
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        int32_t at = first;
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            for (int32_t i = 0; i < p->in_channels; i++) {
                acc += mbn_load(rows[ky], at + i, wide) * *w++;
            }
            at += p->dilation * p->in_channels;
        }
    }
    return acc;
}

void mbn_conv2d_s16_scalar(const mbn_conv_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    const int32_t taps = p->kernel_height * p->kernel_width * p->in_channels;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t first = x * p->stride * p->in_channels;
        for (int32_t o = 0; o < p->out_channels; o++) {
            const int8_t *const w = p->weights + o * taps;
            const int32_t acc = p->wide_in ? mbn_conv2d_sum(p, rows, first, w, p->bias[o], 1)
                                           : mbn_conv2d_sum(p, rows, first, w, p->bias[o], 0);
            mbn_store(out, x * p->out_channels + o,
                      mbn_requantize_wide(acc, p->multiplier[o], p->shift, p->zero_point, p->low, p->high),
                      p->wide_out);
        }
    }
}
