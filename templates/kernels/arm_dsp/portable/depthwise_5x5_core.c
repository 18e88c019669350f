/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_5x5_core.c does in assembly, for tests on the host. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void block(const mbn_depthwise_5x5_block *b, int32_t n, int32_t stride)
{
    int8_t *out = b->out;
    const int8_t *rows[5] = {b->rows[0], b->rows[1], b->rows[2], b->rows[3], b->rows[4]};
    for (const uint32_t *w = b->weights; w != b->weights_end; w += 8) {
        for (int32_t x = 0; x < b->blocks * n; x++) {
            int32_t acc = (int32_t)mbn_load4((const int8_t *)w + 24) >> 8;
            for (int i = 0; i < 5; i++) {
                for (int j = 0; j < 5; j++) {
                    acc += rows[i][x * stride + j] * ((const int8_t *)w)[5 * i + j];
                }
            }
            *out = (int8_t)mbn_ssat8(mbn_smmlar(acc, (int32_t)w[7], b->zero_point));
            out += b->out_stride;
        }
        out += b->out_back;
        for (int i = 0; i < 5; i++) {
            rows[i] += (b->blocks == 1 ? 0 : b->blocks * n * stride) + b->row_skip;
        }
    }
}

#define FUNCTIONS(n)                                                                    \
    void mbn_depthwise_5x5_block##n##_s1_arm_dsp(const mbn_depthwise_5x5_block *b)      \
    {                                                                                   \
        block(b, n, 1);                                                                 \
    }                                                                                   \
    void mbn_depthwise_5x5_block##n##_s2_arm_dsp(const mbn_depthwise_5x5_block *b)      \
    {                                                                                   \
        block(b, n, 2);                                                                 \
    }                                                                                   \
    void mbn_depthwise_5x5_block##n##_once_s1_arm_dsp(const mbn_depthwise_5x5_block *b) \
    {                                                                                   \
        block(b, n, 1);                                                                 \
    }                                                                                   \
    void mbn_depthwise_5x5_block##n##_once_s2_arm_dsp(const mbn_depthwise_5x5_block *b) \
    {                                                                                   \
        block(b, n, 2);                                                                 \
    }
FUNCTIONS(1)
FUNCTIONS(2)
FUNCTIONS(3)
FUNCTIONS(4)
FUNCTIONS(5)
FUNCTIONS(6)
FUNCTIONS(7)
