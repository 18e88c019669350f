/* SPDX-License-Identifier: 0BSD */
/* add of imported models in plain C99: where the line is one too high, a bit says so. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_add_corrected_s8_scalar(const mbn_add_corrected_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch)
{
    const int8_t *in_a = rows[0], *in_b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t a = *in_a++, b = *in_b++;
            const int32_t sum = mbn_saturate((a * p->multiplier_a + b * p->multiplier_b + p->offset) >> p->shift);
            const uint32_t pair = (uint32_t)(a + 128) * 256u + (uint32_t)(b + 128);
            const uint32_t bits = (uint8_t)p->lower[pair >> 3];
            out[c] = (int8_t)(sum - (int32_t)((bits >> (pair & 7u)) & 1u));
        }
        out += p->pixel_stride;
    }
}
