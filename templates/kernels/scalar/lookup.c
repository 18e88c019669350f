/* SPDX-License-Identifier: 0BSD */
/* lookup in plain C99. */
#include "mbn_kernels.h"

void mbn_lookup_s8_scalar(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    const int32_t values = count * p->channels;
    (void)scratch;
    for (int32_t i = 0; i < values; i++) {
        out[i] = p->table[rows[0][i] + 128];
    }
}
