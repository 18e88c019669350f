/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../add.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_add_s8_arm_mve(const mbn_add_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch)
{
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++, a++, b++) {
            out[c] = (int8_t)mbn_ssat8((*a * p->multiplier_a + *b * p->multiplier_b + p->offset) >> p->shift);
        }
        out += p->pixel_stride;
    }
}
