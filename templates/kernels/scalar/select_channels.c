/* SPDX-License-Identifier: 0BSD */
/* select_channels in plain C99: some channels of each pixel, in any order. */
#include "mbn_kernels.h"

void mbn_select_channels_s8_scalar(const mbn_select_channels_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int16_t *const end = p->indices + p->channels, *const fours = p->indices + (p->channels & ~3);
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        int8_t *to = out;
        if (p->table) {
            for (const int16_t *index = p->indices; index != end; index++) {
                *to++ = p->table[in[*index] + 128];
            }
        } else {
            const int16_t *index = p->indices;
            for (; index != fours; index += 4, to += 4) {
                /* All are read before the first is written, so that no read waits for an index. */
                const int8_t a = in[index[0]], b = in[index[1]], c = in[index[2]], d = in[index[3]];
                to[0] = a;
                to[1] = b;
                to[2] = c;
                to[3] = d;
            }
            for (; index != end; index++) {
                *to++ = in[*index];
            }
        }
        in += p->in_bytes;
        out += p->pixel_stride;
    }
}
