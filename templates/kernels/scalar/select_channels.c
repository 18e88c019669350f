/* SPDX-License-Identifier: 0BSD */
/* select_channels in plain C99: some channels of each pixel, in any order. */
#include "mbn_kernels.h"

void mbn_select_channels_s8_scalar(const mbn_select_channels_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int16_t *const end = p->indices + p->channels;
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        int8_t *to = out;
        if (p->table) {
            for (const int16_t *index = p->indices; index != end; index++) {
                *to++ = p->table[in[*index] + 128];
            }
        } else {
            for (const int16_t *index = p->indices; index != end; index++) {
                *to++ = in[*index];
            }
        }
        in += p->in_bytes;
        out += p->pixel_stride;
    }
}
