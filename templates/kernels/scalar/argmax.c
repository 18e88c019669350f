/* SPDX-License-Identifier: 0BSD */
/* argmax in plain C99: the first of the largest channels of each pixel. */
#include "mbn_kernels.h"

void mbn_argmax_s8_scalar(const mbn_argmax_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int8_t *const pixel = in, *const end = in + p->channels;
        const int8_t *largest = in;
        int32_t value = *in++;
        for (; in != end; in++) {
            if (*in > value) {
                value = *in;
                largest = in;
            }
        }
        out[x] = (int8_t)(largest - pixel);
    }
}
