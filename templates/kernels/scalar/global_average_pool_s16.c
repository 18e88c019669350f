/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor, summed row by row as the rows come, in plain C99; int16 in, out or both. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_global_average_pool_s16_scalar(const mbn_pool_s16_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch)
{
    int32_t *sums = (int32_t *)scratch;
    (void)out;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += mbn_load(rows[0], x * p->channels + c, p->wide_in);
        }
    }
}

void mbn_global_average_pool_s16_scalar_finish(const mbn_pool_s16_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        mbn_store(out, c,
                  mbn_requantize_wide(sums[c] + p->bias, p->multiplier, p->shift, p->zero_point, p->low, p->high),
                  p->wide_out);
    }
}
