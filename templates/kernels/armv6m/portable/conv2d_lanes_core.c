/* SPDX-License-Identifier: 0BSD */
/* conv2d_lanes for Cortex-M0+: one to 16 output channels of eight pixels, in plain C for tests on the host. */
#include "mbn_armv6m.h"

enum { PAIRS = MBN_LANES_PAIRS_ARMV6M, INTERLEAVE = 16 };

void mbn_lanes_channels_armv6m(const mbn_lanes_frame_armv6m *f)
{
    const int8_t *weights = f->weights;
    const uint8_t *groups = f->groups;
    const int32_t *q = f->requantize;
    for (int8_t *out = f->out; out != f->out_end; out++) {
        uint32_t all[PAIRS] = {0};
        int32_t high[PAIRS] = {0};
        const int8_t *w = weights++;
        const uint8_t *group = groups++;
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (const int32_t *words = f->words; words != f->words_end;) {
            uint32_t s[PAIRS] = {0};
            for (int32_t n = 12 - *group / 20; n > 0; n--) {
                for (int32_t i = 0; i < PAIRS; i++) {
                    s[i] += (uint32_t)*words++ * (uint32_t)*w;
                }
                w += INTERLEAVE;
            }
            group += INTERLEAVE;
            for (int32_t i = 0; i < PAIRS; i++) {
                all[i] += s[i];
                high[i] += (int32_t)(s[i] + (1u << 15)) >> 16;
            }
        }
        for (int32_t i = PAIRS - 1; i >= 0; i--) {
            const int32_t low = (int32_t)(all[i] - ((uint32_t)high[i] << 16));
            out[f->place[2 * i + 1]] = mbn_requantize_armv6m(high[i], &stairs);
            out[f->place[2 * i]] = mbn_requantize_armv6m(low, &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}
