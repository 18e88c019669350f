/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../mul_vector.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_mul_vector_s8_arm_mve(const mbn_mul_vector_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t a = rows[0][x * p->channels + c] - p->zero_point_a, b = rows[1][c] - p->zero_point_b;
            out[c] = (int8_t)mbn_ssat8(mbn_smmlar(a * b, p->multiplier, p->zero_point));
        }
        out += p->pixel_stride;
    }
}
