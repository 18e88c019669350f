/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv2d_s16.c does with Helium intrinsics, for tests on the host: the same packed data. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

void mbn_conv2d_s16_arm_mve(const mbn_conv2d_s16_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                            int32_t count, void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int8_t *w = (const int8_t *)p->weights;
        for (int32_t o = 0; o < p->out_channels; o++) {
            const int32_t odd = o & 1, values = p->kernel_height * p->row_values;
            const int8_t *const taps = w + 8;
            int32_t acc, multiplier;
            memcpy(&acc, w + 4 * odd, sizeof acc);
            memcpy(&multiplier, w + 8 + 2 * p->taps + 4 * odd, sizeof multiplier);
            for (int32_t k = 0; k < values; k++) {
                const int32_t at = x * p->step + k % p->row_values;
                acc += mbn_load(rows[k / p->row_values], at, p->wide_in) * taps[k / 8 * 16 + 8 * odd + k % 8];
            }
            acc = mbn_smmlar((int32_t)((uint32_t)acc << p->lift), multiplier, p->zero_point);
            mbn_store(out, x * p->out_channels + o, acc < p->low ? p->low : acc > p->high ? p->high : acc, p->wide_out);
            w += odd ? 16 + 2 * p->taps : 0;
        }
    }
}
