/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../add_s16.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_math.h"

void mbn_add_s16_arm_mve(const mbn_add_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch)
{
    const int32_t values = count * p->channels;
    (void)scratch;
    for (int32_t i = 0; i < values; i++) {
        const int32_t a = mbn_load(rows[0], i, p->wide_a) * p->multiplier_a;
        const int32_t b = mbn_load(rows[1], i, p->wide_b) * p->multiplier_b;
        const int32_t sum = (a + b + p->offset) >> p->shift;
        mbn_store(out, i, sum < p->low ? p->low : sum > p->high ? p->high : sum, p->wide_out);
    }
}
