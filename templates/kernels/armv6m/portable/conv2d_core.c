/* SPDX-License-Identifier: 0BSD */
/* conv2d for Cortex-M0+: one to 16 output channels of four pixels, in plain C for tests on the host. */
#include "mbn_armv6m.h"

enum { PIXELS = MBN_CONV2D_PIXELS_ARMV6M, INTERLEAVE = 16 };

void mbn_conv2d_channels_armv6m(const mbn_conv2d_frame_armv6m *f)
{
    const int8_t *weights = f->weights;
    const int32_t *q = f->requantize;
    for (int8_t *out = f->out; out != f->out_end; out++) {
        uint32_t sum[PIXELS] = {0};
        const int8_t *w = weights++;
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (const int32_t *words = f->words; words != f->words_end; w += INTERLEAVE) {
            for (int32_t i = 0; i < PIXELS; i++) {
                sum[i] += (uint32_t)(*words++ * *w);
            }
        }
        for (int32_t i = PIXELS - 1; i >= 0; i--) {
            out[f->place[i]] = mbn_requantize_armv6m((int32_t)sum[i], &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}
