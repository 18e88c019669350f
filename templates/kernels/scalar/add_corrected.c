/* SPDX-License-Identifier: 0BSD */
/* add of imported models in plain C99: where the line is one too high, a bit says so. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_add_corrected_s8_scalar(const mbn_add_corrected_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch)
{
    const int32_t values = count * p->channels;
    (void)scratch;
    for (int32_t i = 0; i < values; i++) {
        const int32_t a = rows[0][i], b = rows[1][i];
        const int32_t sum = mbn_saturate((a * p->multiplier_a + b * p->multiplier_b + p->offset) >> p->shift);
        const uint32_t pair = (uint32_t)(a + 128) * 256u + (uint32_t)(b + 128);
        const uint32_t bits = (uint8_t)p->lower[pair >> 3];
        out[i] = (int8_t)(sum - (int32_t)((bits >> (pair & 7u)) & 1u));
    }
}
