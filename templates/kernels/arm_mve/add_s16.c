/* SPDX-License-Identifier: 0BSD */
/* add on Helium, rows[0] + rows[1], where one of the three is int16: four values at once. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"
#include "mbn_math.h"

MBN_TEMPLATE int32x4_t load(const int8_t *row, int32_t i, int32_t wide, mve_pred16_t mask)
{
    return wide ? vldrhq_z_s32((const int16_t *)(const void *)row + i, mask) : vldrbq_z_s32(row + i, mask);
}

void mbn_add_s16_arm_mve(const mbn_add_s16_params *params, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch)
{
    const mbn_add_s16_params p = *params; /* which no store of an output can change */
    const int32_t values = count * p.channels;
    (void)scratch;
    for (int32_t i = 0; i < values; i += 4) {
        const mve_pred16_t mask = vctp32q((uint32_t)(values - i));
        int32x4_t v = vmlasq_n_s32(load(rows[0], i, p.wide_a, mask), vdupq_n_s32(p.multiplier_a), p.offset);
        v = vmlaq_n_s32(v, load(rows[1], i, p.wide_b, mask), p.multiplier_b);
        v = vshlq_r_s32(v, -p.shift);
        v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(p.low)), vdupq_n_s32(p.high));
        if (p.wide_out) {
            vstrhq_p_s32((int16_t *)(void *)out + i, v, mask);
        } else {
            vstrbq_p_s32(out + i, v, mask);
        }
    }
}
