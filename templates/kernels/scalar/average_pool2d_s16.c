/* SPDX-License-Identifier: 0BSD */
/* average_pool2d whose input or output is int16, in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_average_pool2d_s16_scalar(const mbn_pool_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                   void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t acc = p->bias;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                int32_t at = x * p->stride * p->channels + c;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    acc += mbn_load(rows[ky], at, p->wide_in);
                    at += p->dilation * p->channels;
                }
            }
            mbn_store(out, x * p->channels + c,
                      mbn_requantize_wide(acc, p->multiplier, p->shift, p->zero_point, p->low, p->high), p->wide_out);
        }
    }
}
