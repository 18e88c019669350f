/* SPDX-License-Identifier: 0BSD */
/* crop2d in plain C99: rows[0] starts with the first column that stays. */
#include "mbn_kernels.h"

#include <stddef.h>
#include <string.h>

void mbn_crop2d_s8_scalar(const mbn_crop_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++, in += p->in_bytes, out += p->out_bytes) {
        if (p->table == NULL) {
            memcpy(out, in, (size_t)p->channels);
            continue;
        }
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = p->table[in[c] + 128];
        }
    }
}
