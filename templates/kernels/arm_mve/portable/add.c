/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../add.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_add_s8_arm_mve(const mbn_add_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch)
{
    (void)scratch;
    for (int32_t i = 0; i < count * p->channels; i++) {
        out[i] =
            (int8_t)mbn_ssat8((rows[0][i] * p->multiplier_a + rows[1][i] * p->multiplier_b + p->offset) >> p->shift);
    }
}
