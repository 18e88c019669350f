/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor, summed row by row as the rows come, in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_global_average_pool_s8_scalar(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                       void *scratch)
{
    const int32_t channels = p->channels, values = count * channels;
    int32_t *sums = (int32_t *)scratch;
    (void)out;
    for (int32_t c = 0; c < channels; c++) {
        int32_t sum = sums[c];
        for (int32_t i = c; i < values; i += channels) {
            sum += rows[0][i];
        }
        sums[c] = sum;
    }
}

void mbn_global_average_pool_s8_scalar_finish(const mbn_pool_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = mbn_requantize(sums[c] + p->bias, p->multiplier, p->shift, p->zero_point);
    }
}
