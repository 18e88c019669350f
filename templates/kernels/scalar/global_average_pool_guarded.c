/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor of an imported model, summed row by row as the rows come, in plain C99. */
#include "mbn_guard.h"
#include "mbn_kernels.h"

void mbn_global_average_pool_guarded_s8_scalar(const mbn_guarded_pool_params *p, const int8_t *const *rows, int8_t *out,
                                               int32_t count, void *scratch)
{
    int32_t *sums = (int32_t *)scratch;
    const int8_t *in = rows[0];
    (void)out;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] += *in++;
        }
    }
}

void mbn_global_average_pool_guarded_s8_scalar_finish(const mbn_guarded_pool_params *p, int8_t *out,
                                                      const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = mbn_requantize_guarded(sums[c] + p->bias, p->multiplier, p->shift, p->band, p->scale[0], p->zero_point,
                                        p->low, p->high);
    }
}
