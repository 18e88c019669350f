/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_interleaved_core.c does in assembly, for tests on the host. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void pixels(const mbn_depthwise_pixels *b, int32_t count, int32_t stride)
{
    const uint32_t *w = b->weights;
    for (int32_t c = 0; w != b->weights_end; w += 26, c += 4) {
        for (int32_t x = 0; x < count; x++) {
            for (int32_t k = 0; k < 4; k++) {
                int32_t acc = (int32_t)w[k];
                for (int32_t tap = 0; tap < 9; tap++) {
                    const uint32_t pair = w[4 + 2 * tap + k % 2];
                    const int32_t weight = k < 2 ? mbn_low16(pair) : mbn_high16(pair);
                    acc += weight * b->rows[tap / 3][(x * stride + tap % 3) * b->in_bytes + c + k];
                }
                b->out[x * b->out_stride + c + k] =
                    (int8_t)mbn_ssat8(mbn_smmlar(acc, (int32_t)w[22 + k], b->zero_point));
            }
        }
    }
}

void mbn_depthwise_one_arm_dsp(const mbn_depthwise_pixels *b)
{
    pixels(b, 1, 1);
}

void mbn_depthwise_two_s1_arm_dsp(const mbn_depthwise_pixels *b)
{
    pixels(b, 2, 1);
}

void mbn_depthwise_two_s2_arm_dsp(const mbn_depthwise_pixels *b)
{
    pixels(b, 2, 2);
}
