/* SPDX-License-Identifier: 0BSD */
/* mul in plain C99: rows[0] * rows[1], or each pixel of rows[0] * the one of rows[1]. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_mul_s8_scalar(const mbn_mul_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const int64_t half = ((int64_t)1 << (p->shift - 1)) + p->raised;
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t product = (a[c] - p->zero_point_a) * (b[c] - p->zero_point_b);
            const int64_t scaled = (((int64_t)product * p->multiplier + half) >> p->shift) + p->zero_point;
            int32_t value = (int32_t)(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
            if (p->lower) {
                const uint32_t pair = (uint32_t)(a[c] + 128) * 256u + (uint32_t)(b[c] + 128);
                value -= (int32_t)(((uint32_t)(uint8_t)p->lower[pair >> 3] >> (pair & 7u)) & 1u);
            }
            out[c] = (int8_t)value;
        }
        a += p->channels;
        out += p->pixel_stride;
        if (!p->is_vector) {
            b += p->channels;
        }
    }
}
