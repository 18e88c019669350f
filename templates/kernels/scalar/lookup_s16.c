/* SPDX-License-Identifier: 0BSD */
/* A function of each value, where that or the result is int16: straight lines between the entries of a table. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_lookup_s16_scalar(const mbn_lookup_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    const int32_t values = count * p->channels, half = 1 << (p->shift - 1);
    (void)scratch;
    for (int32_t i = 0; i < values; i++) {
        const int32_t x = mbn_load(rows[0], i, p->wide_in);
        const int32_t place = p->wide_in ? x + 32768 : (x + 128) * 128;
        const int16_t *const at = p->table + (place >> 7);
        const int32_t line = at[0] * 128 + (at[1] - at[0]) * (place & 127);
        mbn_store(out, i, (line + half) >> p->shift, p->wide_out);
    }
}
