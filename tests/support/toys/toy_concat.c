/* SPDX-License-Identifier: 0BSD */
/* toy_concat: an operator that only tests have. */
#include "mbn_kernels.h"

void mbn_toy_concat_s8_scalar(const mbn_toy_concat_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                              void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t i = c < p->first ? 0 : c < p->second ? 1 : 2;
            const int32_t from = i == 0 ? 0 : i == 1 ? p->first : p->second;
            const int32_t bytes = i == 0 ? p->in_bytes : i == 1 ? p->in1_bytes : p->in2_bytes;
            out[x * p->out_bytes + c] = rows[i][x * bytes + c - from];
        }
    }
}
