/* SPDX-License-Identifier: 0BSD */
/* concat in plain C99 where an input or the output is int16: each input in the output's steps. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_concat_s16_scalar(const mbn_concat_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    int32_t to = 0;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t i = 0; i < p->inputs; i++) {
            const int32_t channels = p->channels[i];
            for (int32_t c = 0; c < channels; c++, to++) {
                const int32_t value = mbn_load(rows[i], x * channels + c, p->wide[i]) - p->zero_points[i];
                mbn_store(out, to,
                          mbn_requantize_wide(value, p->multipliers[i], p->shifts[i], p->zero_point, p->low, p->high),
                          p->wide_out);
            }
        }
    }
}
