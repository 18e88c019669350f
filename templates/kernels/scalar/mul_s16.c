/* SPDX-License-Identifier: 0BSD */
/* mul in plain C99 where one of the three is int16: rows[0] * rows[1], or each pixel of rows[0] * the one of rows[1]. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_mul_s16_scalar(const mbn_mul_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch)
{
    int32_t at = 0;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t first = p->is_vector ? 0 : at;
        for (int32_t c = 0; c < p->channels; c++, at++) {
            const int32_t a = mbn_load(rows[0], at, p->wide_a) - p->zero_point_a;
            const int32_t b = mbn_load(rows[1], first + c, p->wide_b) - p->zero_point_b;
            mbn_store(out, at, mbn_requantize_wide(a * b, p->multiplier, p->shift, p->zero_point, p->low, p->high),
                      p->wide_out);
        }
    }
}
