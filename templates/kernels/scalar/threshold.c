/* SPDX-License-Identifier: 0BSD */
/* threshold in plain C99: 1 where the only channel of a pixel reaches it, else 0. */
#include "mbn_kernels.h"

void mbn_threshold_s8_scalar(const mbn_threshold_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch)
{
    const int8_t *const in = rows[0];
    const int32_t threshold = p->threshold;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        out[x] = (int8_t)(in[x] >= threshold);
    }
}
