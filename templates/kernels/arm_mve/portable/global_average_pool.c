/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../global_average_pool.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_global_average_pool_s8_arm_mve(const mbn_pool_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch)
{
    int32_t *sums = (int32_t *)scratch;
    (void)out;
    for (int32_t i = 0; i < count * p->channels; i++) {
        sums[i % p->channels] += rows[0][i];
    }
}

void mbn_global_average_pool_s8_arm_mve_finish(const mbn_pool_arm_mve_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = (int8_t)mbn_ssat8(mbn_smmlar(sums[c] + p->bias, p->multiplier, p->zero_point));
    }
}
