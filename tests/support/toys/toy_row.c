/* SPDX-License-Identifier: 0BSD */
/* toy_row: an operator that only tests have. */
#include "mbn_kernels.h"

void mbn_toy_row_s8_scalar(const mbn_toy_row_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch, int32_t y, int32_t first)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            out[x * p->out_bytes + c] = (int8_t)(rows[0][x * p->in_bytes + c] ^ y ^ (first + x));
        }
    }
}
