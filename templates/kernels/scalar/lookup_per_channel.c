/* SPDX-License-Identifier: 0BSD */
/* lookup in plain C99, with a table for each channel. */
#include "mbn_kernels.h"

void mbn_lookup_per_channel_s8_scalar(const mbn_lookup_per_channel_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t pixel = 0; pixel < count; pixel++) {
        const int8_t *table = p->table;
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = table[(uint8_t)*in++];
            table += 256;
        }
        out += p->pixel_stride;
    }
}
