/* SPDX-License-Identifier: 0BSD */
/* mul in plain C99: each pixel of rows[0] * the one of rows[1], in 32 bits. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_mul_vector_s8_scalar(const mbn_mul_vector_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                              void *scratch)
{
    const int32_t channels = p->channels, fraction = p->fraction;
    (void)scratch;
    for (int32_t c = 0; c < channels; c++) {
        const int32_t wide = (rows[1][c] - p->zero_point_b) * p->multiplier;
        const int32_t factor = (wide + (1 << (p->narrow - 1))) >> p->narrow;
        const int32_t offset = p->zero_point * (1 << fraction) + (1 << (fraction - 1)) - p->zero_point_a * factor;
        const int8_t *in = rows[0] + c;
        int8_t *to = out + c;
        for (int32_t left = count; left != 0; left--) {
            const int32_t value = (*in * factor + offset) >> fraction;
            *to = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
            in += channels;
            to += p->pixel_stride;
        }
    }
}
