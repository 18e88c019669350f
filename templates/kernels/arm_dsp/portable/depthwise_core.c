/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_core.c does in assembly, for tests on the host. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void block(const mbn_depthwise_block *b, int32_t n, int32_t stride, int is_shared)
{
    int8_t *out = b->out;
    const int8_t *rows[3] = {b->rows[0], b->rows[1], b->rows[2]};
    const int8_t *const end = (const int8_t *)b->weights_end;
    for (const int8_t *w = (const int8_t *)b->weights; w != end; w += is_shared ? 13 : 16) {
        const uint32_t multiplier = is_shared ? b->multipliers[(uint8_t)w[12]] : mbn_load4(w + 12);
        for (int32_t x = 0; x < b->blocks * n; x++) {
            int32_t acc = (int32_t)mbn_load4(w + 8) >> 8;
            for (int i = 0; i < 3; i++) {
                for (int j = 0; j < 3; j++) {
                    acc += rows[i][x * stride + j] * w[3 * i + j];
                }
            }
            *out = (int8_t)mbn_ssat8(mbn_smmlar(acc, (int32_t)multiplier, b->zero_point));
            out += b->out_stride;
        }
        out += b->out_back;
        for (int i = 0; i < 3; i++) {
            rows[i] += (b->blocks == 1 && !is_shared ? 0 : b->blocks * n * stride) + b->row_skip;
        }
    }
}

#define FUNCTION(name, n, stride, is_shared)                          \
    void mbn_depthwise_##name##_arm_dsp(const mbn_depthwise_block *b) \
    {                                                                 \
        block(b, n, stride, is_shared);                               \
    }
#define FUNCTIONS(n)                        \
    FUNCTION(block##n##_s1, n, 1, 0)        \
    FUNCTION(block##n##_s2, n, 2, 0)        \
    FUNCTION(block##n##_once_s1, n, 1, 0)   \
    FUNCTION(block##n##_once_s2, n, 2, 0)   \
    FUNCTION(shared_block##n##_s1, n, 1, 1) \
    FUNCTION(shared_block##n##_s2, n, 2, 1)
FUNCTIONS(1)
FUNCTIONS(2)
FUNCTIONS(3)
FUNCTIONS(4)
FUNCTIONS(5)
FUNCTIONS(6)
FUNCTIONS(7)
FUNCTIONS(8)
