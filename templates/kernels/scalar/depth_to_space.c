/* SPDX-License-Identifier: 0BSD */
/* depth_to_space in plain C99: pixel (y, x) is a part of the channels of input pixel (y / block_height,
 * x / block_width). */
#include "mbn_kernels.h"

#include <stddef.h>

void mbn_depth_to_space_s8_scalar(const mbn_depth_to_space_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch, int32_t y, int32_t x)
{
    const int32_t part = (y + p->top) % p->block_height * p->block_width;
    int32_t column = (x + p->left) / p->block_width, phase = (x + p->left) % p->block_width;
    (void)scratch;
    for (int32_t i = 0; i < count; i++, out += p->out_bytes) {
        const int8_t *in = rows[0] + column * p->in_bytes + (part + phase) * p->part_step;
        for (int32_t c = 0; c < p->channels; c++, in += p->channel_step) {
            out[c] = p->table == NULL ? *in : p->table[*in + 128];
        }
        phase++;
        if (phase == p->block_width) {
            phase = 0;
            column++;
        }
    }
}
