/* SPDX-License-Identifier: 0BSD */
/* concat in plain C99: the channels of rows[0], then those of rows[1], ... */
#include "mbn_kernels.h"

void mbn_concat_s8_scalar(const mbn_concat_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        int8_t *to = out;
        for (int32_t i = 0; i < p->inputs; i++) {
            const int32_t channels = p->channels[i];
            const int8_t *in = &rows[i][x * channels];
            if (p->starts[i] < 0) {
                for (int32_t c = 0; c < channels; c++) {
                    *to++ = in[c];
                }
            } else {
                const int8_t *table = &p->tables[p->starts[i] + 128];
                for (int32_t c = 0; c < channels; c++) {
                    *to++ = table[in[c]];
                }
            }
        }
        out += p->pixel_stride;
    }
}
