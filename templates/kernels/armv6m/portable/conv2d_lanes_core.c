/* SPDX-License-Identifier: 0BSD */
/* conv2d_lanes for Cortex-M0+: one to 16 output channels of eight pixels, in plain C for tests on the host. */
#include "mbn_armv6m.h"

enum { PAIRS = MBN_LANES_PAIRS_ARMV6M, INTERLEAVE = 16 };

/* A weight lies in the byte's bits from `shift` on, as many as there are above `lost`; a step is `bytes` of code. */
static void channels(const mbn_lanes_frame_armv6m *f, int32_t lost, int32_t shift, int32_t bytes)
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
            for (int32_t n = 12 - *group / bytes; n > 0; n--) {
                const int32_t weight = (int8_t)(uint8_t)((uint32_t)*w << lost) >> shift;
                for (int32_t i = 0; i < PAIRS; i++) {
                    s[i] += (uint32_t)*words++ * (uint32_t)weight;
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

void mbn_lanes_channels_armv6m(const mbn_lanes_frame_armv6m *f)
{
    channels(f, 0, 0, 20);
}

void mbn_lanes_lower_channels_armv6m(const mbn_lanes_frame_armv6m *f)
{
    channels(f, 4, 4, 24);
}

void mbn_lanes_upper_channels_armv6m(const mbn_lanes_frame_armv6m *f)
{
    channels(f, 0, 4, 22);
}
