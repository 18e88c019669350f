/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_conv2d_s16.c does with Helium intrinsics, for tests on the host: the same packed data. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

void mbn_depthwise_conv2d_s16_arm_mve(const mbn_depthwise_s16_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch)
{
    const int32_t taps = p->kernel_height * p->kernel_width;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int8_t *const w = (const int8_t *)p->weights + c / 8 * (64 + 8 * taps);
            const int32_t lane = 16 * (c & 1) + c % 8 / 2 * 4;
            int32_t acc, multiplier;
            memcpy(&acc, w + lane, sizeof acc);
            memcpy(&multiplier, w + 32 + 8 * taps + lane, sizeof multiplier);
            for (int32_t k = 0; k < taps; k++) {
                const int32_t column = x * p->stride + k % p->kernel_width * p->dilation;
                acc +=
                    mbn_load(rows[k / p->kernel_width], column * p->channels + c, p->wide_in) * w[32 + 8 * k + c % 8];
            }
            acc = mbn_smmlar((int32_t)((uint32_t)acc << p->lift), multiplier, p->zero_point);
            mbn_store(out, x * p->channels + c, acc < p->low ? p->low : acc > p->high ? p->high : acc, p->wide_out);
        }
    }
}
