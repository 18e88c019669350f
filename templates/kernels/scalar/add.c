/* SPDX-License-Identifier: 0BSD */
/* add in plain C99: rows[0] + rows[1]. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_add_s8_scalar(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t pixels = is_dense ? 1 : count, values = is_dense ? count * p->channels : p->channels;
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < values; i++) {
            out[i] = mbn_saturate((a[i] * p->multiplier_a + b[i] * p->multiplier_b + p->offset) >> p->shift);
        }
        a += values;
        b += values;
        out += p->pixel_stride;
    }
}
