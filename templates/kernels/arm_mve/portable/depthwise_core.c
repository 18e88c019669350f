/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_core.c does in assembly, for tests on the host; it reads the 16 columns that the vectors read. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

static void block(const mbn_depthwise_block_mve *b, int32_t n, int32_t stride)
{
    const int32_t group = n > 7 ? n / 2 : n;
    const int8_t *rows[3] = {b->rows[0], b->rows[1], b->rows[2]};
    int8_t *out = b->out;
    for (const int8_t *w = b->weights; w != b->weights_end; w += 28, out++) {
        int32_t bias, multiplier;
        memcpy(&bias, w + 20, 4);
        memcpy(&multiplier, w + 24, 4);
        for (int i = 0; i < 3; i++) {
            for (int x = 0; x < 16; x++) {
                b->scratch[4 * x + i] = rows[i][x];
            }
            rows[i] += b->channel_stride;
        }
        for (int32_t k = 0; k < n; k++) {
            int32_t acc = bias;
            for (int32_t i = 0; i < 12; i++) {
                if (i % 4 != 3) {
                    acc += w[4 + i] * b->scratch[4 * k * stride + i];
                }
            }
            out[b->offsets->lane[k % group] + (k < group ? 0 : b->offsets->second)] =
                (int8_t)mbn_ssat8(mbn_smmlar(acc, multiplier, b->zero_point));
        }
    }
}

#define FUNCTION(n, stride)                                                             \
    void mbn_depthwise_block##n##_s##stride##_arm_mve(const mbn_depthwise_block_mve *b) \
    {                                                                                   \
        block(b, n, stride);                                                            \
    }
FUNCTION(1, 1)
FUNCTION(2, 1)
FUNCTION(3, 1)
FUNCTION(4, 1)
FUNCTION(5, 1)
FUNCTION(6, 1)
FUNCTION(7, 1)
FUNCTION(8, 1)
FUNCTION(10, 1)
FUNCTION(12, 1)
FUNCTION(14, 1)
FUNCTION(1, 2)
FUNCTION(2, 2)
FUNCTION(3, 2)
FUNCTION(4, 2)
FUNCTION(5, 2)
FUNCTION(6, 2)
FUNCTION(7, 2)
