/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_interleaved_core.c does in assembly, for tests on the host; it reads what the vectors read. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

void mbn_depthwise_pixels_arm_mve(const mbn_depthwise_pixels_mve *b)
{
    /* Where the constants of a channel lie among those of its 16. */
    static const int32_t place[4] = {0, 8, 4, 12};
    const int8_t *rows[3] = {b->rows[0], b->rows[1], b->rows[2]};
    int8_t *out = b->out;
    for (int32_t x = 0; x < b->count; x++) {
        const int32_t *group = b->weights;
        for (int32_t left = b->channels; left > 0; left -= 16, group += 68) {
            for (int32_t k = 0; k < 16; k++) {
                const int32_t lane = place[k % 4] + k / 4;
                const int8_t *w = (const int8_t *)(group + 16) + k;
                int32_t acc = group[lane];
                for (int32_t tap = 0; tap < 9; tap++) {
                    acc += w[16 * tap] * rows[tap / 3][tap % 3 * b->channels + k];
                }
                if (k < left) {
                    out[k] = (int8_t)mbn_ssat8(mbn_smmlar(acc, group[52 + lane], b->zero_point));
                }
            }
            out += 16;
            for (int32_t i = 0; i < 3; i++) {
                rows[i] += 16;
            }
        }
        out += b->out_step;
        for (int32_t i = 0; i < 3; i++) {
            rows[i] += b->row_step;
        }
    }
}
