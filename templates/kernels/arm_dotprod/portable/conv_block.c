/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_block.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dotprod.h"
#include "mbn_neon.h"

static void block(const mbn_conv_block_arm_neon *b, int pixels, int outputs)
{
    const int64_t taps = b->whole + 8 * b->rest;
    for (int64_t group = 0; group < b->groups; group++) {
        const int8_t *w = b->weights + group * taps * outputs;
        for (int i = 0; i < pixels; i++) {
            const int8_t *x = b->x[i] - b->whole;
            for (int o = 0; o < outputs; o++) {
                int32_t sum = b->bias[group * outputs + o];
                for (int64_t k = 0; k < taps; k++) {
                    sum = mbn_wrap32((int64_t)sum + x[k] * w[(k / 4 * outputs + o) * 4 + k % 4]);
                }
                const int32_t scaled = mbn_doubled(sum, b->multiplier[group * outputs + o]);
                b->out[i][group * outputs + o] = mbn_to_s8(mbn_to_s16(scaled) + (int32_t)b->zero_point);
            }
        }
    }
}

void mbn_conv_block_1x16_arm_dotprod(const mbn_conv_block_arm_neon *b)
{
    block(b, 1, 16);
}

void mbn_conv_block_2x16_arm_dotprod(const mbn_conv_block_arm_neon *b)
{
    block(b, 2, 16);
}

void mbn_conv_block_3x16_arm_dotprod(const mbn_conv_block_arm_neon *b)
{
    block(b, 3, 16);
}

void mbn_conv_block_4x16_arm_dotprod(const mbn_conv_block_arm_neon *b)
{
    block(b, 4, 16);
}

void mbn_conv_block_4x8_arm_dotprod(const mbn_conv_block_arm_neon *b)
{
    block(b, 4, 8);
}
