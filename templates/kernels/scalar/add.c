/* SPDX-License-Identifier: 0BSD */
/* add in plain C99: rows[0] + rows[1]. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_add_s8_scalar(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const int32_t values = count * p->channels;
    (void)scratch;
    for (int32_t i = 0; i < values; i++) {
        out[i] = mbn_saturate((rows[0][i] * p->multiplier_a + rows[1][i] * p->multiplier_b + p->offset) >> p->shift);
    }
}
