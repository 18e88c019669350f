/* SPDX-License-Identifier: 0BSD */
/* resize2d to the nearest pixel in plain C99: rows[0] is the row, `columns` says which of its pixels. */
#include "mbn_kernels.h"

#include <stddef.h>
#include <string.h>

void mbn_resize2d_nearest_s8_scalar(const mbn_resize_nearest_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++, out += p->out_bytes) {
        const int8_t *in = rows[0] + p->columns[x] * p->in_bytes;
        if (p->table == NULL) {
            memcpy(out, in, (size_t)p->channels);
            continue;
        }
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = p->table[in[c] + 128];
        }
    }
}
