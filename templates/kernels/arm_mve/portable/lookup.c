/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../lookup.c does with Helium intrinsics, for tests on the host. */
#include "mbn_arm_mve.h"

void mbn_lookup_s8_arm_mve(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = p->table[(uint8_t)rows[0][x * p->channels + c]];
        }
        out += p->pixel_stride;
    }
}
