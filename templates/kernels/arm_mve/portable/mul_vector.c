/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../mul_vector.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_mul_vector_s8_arm_mve(const mbn_mul_vector_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    (void)scratch;
    for (int32_t i = 0; i < count * p->channels; i++) {
        const int32_t product = (rows[0][i] - p->zero_point_a) * (rows[1][i % p->channels] - p->zero_point_b);
        out[i] = (int8_t)mbn_ssat8(mbn_smmlar(product, p->multiplier, p->zero_point));
    }
}
