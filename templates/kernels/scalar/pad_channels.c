/* SPDX-License-Identifier: 0BSD */
/* pad_channels in plain C99: channels of zeros around those of the input. */
#include "mbn_kernels.h"

#include <stddef.h>
#include <string.h>

void mbn_pad_channels_s8_scalar(const mbn_pad_channels_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++, in += p->in_bytes, out += p->out_bytes) {
        int8_t *const inner = out + p->before;
        memset(out, p->zero_point, (size_t)p->before);
        if (p->table == NULL) {
            memcpy(inner, in, (size_t)p->channels);
        } else {
            for (int32_t c = 0; c < p->channels; c++) {
                inner[c] = p->table[in[c] + 128];
            }
        }
        memset(inner + p->channels, p->zero_point, (size_t)p->after);
    }
}
