/* SPDX-License-Identifier: 0BSD */
/* max_pool2d whose input or output is int16, in plain C99: pads are never the largest, so they are left out. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_max_pool2d_s16_scalar(const mbn_max_pool_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                               void *scratch, int32_t y, int32_t x)
{
    const int32_t top = y * p->stride_height - p->top;
    (void)scratch;
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = (x + i) * p->stride_width - p->left;
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t largest = -32768;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int32_t row = top + ky * p->dilation_height;
                if (row < 0 || row >= p->height) {
                    continue;
                }
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    const int32_t column = left + kx * p->dilation_width;
                    if (column < 0 || column >= p->width) {
                        continue;
                    }
                    const int32_t at = i * p->stride_width + kx * p->dilation_width;
                    const int32_t value = mbn_load(rows[ky], at * p->channels + c, p->wide_in);
                    largest = value > largest ? value : largest;
                }
            }
            mbn_store(out, i * p->channels + c,
                      mbn_requantize_wide(largest - p->zero_point_in, p->multiplier, p->shift, p->zero_point, p->low,
                                          p->high),
                      p->wide_out);
        }
    }
}
