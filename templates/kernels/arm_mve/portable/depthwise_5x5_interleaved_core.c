/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_5x5_interleaved_core.c does in assembly, for tests on the host; it reads what the vectors
 * read. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_depthwise_5x5_pixels_arm_mve(const mbn_depthwise_5x5_pixels_mve *b)
{
    /* Where the constants of a channel lie among those of its 16. */
    static const int32_t place[4] = {0, 8, 4, 12};
    int32_t from = 0;
    int8_t *out = b->out;
    for (int32_t x = 0; x < b->count; x++) {
        const int32_t *group = b->weights;
        for (int32_t left = b->channels; left > 0; left -= 16, group += 132, from += 16, out += 16) {
            for (int32_t k = 0; k < 16; k++) {
                const int32_t lane = place[k % 4] + k / 4;
                const int8_t *w = (const int8_t *)(group + 16) + k;
                int32_t acc = group[lane];
                for (int32_t tap = 0; tap < 25; tap++) {
                    acc += w[16 * tap] * b->rows[tap / 5][from + tap % 5 * b->channels + k];
                }
                if (k < left) {
                    out[k] = (int8_t)mbn_ssat8(mbn_smmlar(acc, group[116 + lane], b->zero_point));
                }
            }
        }
        from += b->row_step;
        out += b->out_step;
    }
}
