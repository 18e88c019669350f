/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_block.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_neon.h"
#include "mbn_neon.h"

/* The products of taps k, k + 8 and so on, each added in 16 bits before it is widened. */
static int32_t sum_of(int32_t sum, const int8_t *x, const int8_t *w, int taps, int depth)
{
    for (int lane = 0; lane < 8; lane++) {
        for (int k = lane; k < taps; k += 8 * depth) {
            int16_t product = 0;
            for (int j = k; j < taps && j < k + 8 * depth; j += 8) {
                product = mbn_wrap16(product + x[j] * w[j]);
            }
            sum = mbn_wrap32((int64_t)sum + product);
        }
    }
    return sum;
}

static void block(const mbn_conv_block_arm_neon *b, int pixels)
{
    const int8_t *w = b->weights;
    const uint8_t *steps = b->steps;
    for (int64_t group = 0; group < b->groups; group++) {
        int64_t k = 0;
        int32_t sums[4][4] = {{0}};
        while (k < b->whole + 8 * b->rest) {
            const int is_step = k >= 16 && k + 16 < b->whole;
            const int taps = is_step ? 32 : k < b->whole ? 16 : 8, depth = is_step && *steps == 1 ? 4 : 2;
            steps += is_step;
            for (int i = 0; i < pixels; i++) {
                for (int o = 0; o < 4; o++) {
                    sums[i][o] = sum_of(sums[i][o], b->x[i] - b->whole + k, w + o * taps, taps, depth);
                }
            }
            k += taps;
            w += 4 * taps;
        }
        steps += b->whole > 0;
        for (int i = 0; i < pixels; i++) {
            for (int o = 0; o < 4; o++) {
                const int64_t at = 4 * group + o;
                const int32_t sum = mbn_wrap32((int64_t)sums[i][o] + b->bias[at]);
                const int16_t scaled = mbn_to_s16(mbn_doubled(sum, b->multiplier[at]));
                b->out[i][at] = mbn_to_s8(scaled + (int32_t)b->zero_point);
            }
        }
    }
}

void mbn_conv_block_1x4_arm_neon(const mbn_conv_block_arm_neon *b)
{
    block(b, 1);
}

void mbn_conv_block_2x4_arm_neon(const mbn_conv_block_arm_neon *b)
{
    block(b, 2);
}

void mbn_conv_block_3x4_arm_neon(const mbn_conv_block_arm_neon *b)
{
    block(b, 3);
}

void mbn_conv_block_4x4_arm_neon(const mbn_conv_block_arm_neon *b)
{
    block(b, 4);
}
