/* SPDX-License-Identifier: 0BSD */
/* add on Arm DSP cores, rows[0] + rows[1], where both inputs are int16. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

MBN_TEMPLATE void put(const mbn_add_s16_params p, uint32_t pair, uint32_t multipliers, int8_t *out, int32_t i)
{
    const int32_t value = mbn_smlad(pair, multipliers, p.offset) >> p.shift;
    mbn_store(out, i, value < p.low ? p.low : value > p.high ? p.high : value, p.wide_out);
}

void mbn_add_s16_arm_dsp(const mbn_add_s16_params *params, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch)
{
    const mbn_add_s16_params p = *params; /* which no store of an output can change */
    const int16_t *const a = (const int16_t *)(const void *)rows[0], *const b = (const int16_t *)(const void *)rows[1];
    const uint32_t multipliers = mbn_low_halves((uint32_t)p.multiplier_a, (uint32_t)p.multiplier_b);
    const int32_t values = count * p.channels;
    int32_t i = 0;
    (void)scratch;
    for (; i + 2 <= values; i += 2) {
        const uint32_t wa = mbn_load4((const int8_t *)(a + i)), wb = mbn_load4((const int8_t *)(b + i));
        put(p, mbn_low_halves(wa, wb), multipliers, out, i);
        put(p, mbn_high_halves(wa, wb), multipliers, out, i + 1);
    }
    if (i < values) {
        put(p, mbn_low_halves((uint32_t)a[i], (uint32_t)b[i]), multipliers, out, i);
    }
}
