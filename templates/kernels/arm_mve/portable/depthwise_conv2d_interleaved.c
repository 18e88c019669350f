/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_conv2d_interleaved.c does with Helium intrinsics, for tests on the host; it reads what the vectors
 * read. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_depthwise_conv2d_interleaved_s8_arm_mve(const mbn_depthwise_any_arm_mve_params *p, const int8_t *const *rows,
                                                 int8_t *out, int32_t count, void *scratch)
{
    /* Where the constants of a channel lie among those of its 16. */
    static const int32_t place[4] = {0, 8, 4, 12};
    const int32_t taps = p->kernel_height * p->kernel_width;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t *group = p->weights;
        for (int32_t c = 0; c < p->channels; c += 16, group += 32 + 4 * taps) {
            for (int32_t k = 0; k < 16; k++) {
                const int32_t lane = place[k % 4] + k / 4;
                const int8_t *const w = (const int8_t *)(group + 16) + k;
                int32_t acc = group[lane];
                for (int32_t tap = 0; tap < taps; tap++) {
                    const int32_t at = x * p->stride * p->channels + tap % p->kernel_width * p->column_bytes;
                    acc += w[16 * tap] * rows[tap / p->kernel_width][at + c + k];
                }
                if (c + k < p->channels) {
                    out[c + k] = (int8_t)mbn_ssat8(mbn_smmlar(acc, group[16 + 4 * taps + lane], p->zero_point));
                }
            }
        }
        out += p->pixel_stride;
    }
}
