/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_5x5_interleaved_core.c does in assembly, for tests on the host. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void pixels(const mbn_depthwise_5x5_pixels *b, int32_t count, int32_t stride)
{
    const uint32_t *w = b->weights;
    for (int32_t c = 0; w != b->weights_end; w += 29, c += c % 2 ? 3 : 1) {
        for (int32_t x = 0; x < count; x++) {
            for (int32_t k = 0; k < 2; k++) {
                int32_t acc = (int32_t)w[k];
                for (int32_t tap = 0; tap < 25; tap++) {
                    const int32_t weight = k == 0 ? mbn_low16(w[2 + tap]) : mbn_high16(w[2 + tap]);
                    acc += weight * b->rows[tap / 5][(x * stride + tap % 5) * b->in_bytes + c + 2 * k];
                }
                b->out[x * b->out_stride + c + 2 * k] =
                    (int8_t)mbn_ssat8(mbn_smmlar(acc, (int32_t)w[27 + k], b->zero_point));
            }
        }
    }
}

#define FUNCTION(count, stride)                                                                   \
    void mbn_depthwise_5x5_pixels##count##_s##stride##_arm_dsp(const mbn_depthwise_5x5_pixels *b) \
    {                                                                                             \
        pixels(b, count, stride);                                                                 \
    }
FUNCTION(1, 1)
FUNCTION(2, 1)
FUNCTION(3, 1)
FUNCTION(2, 2)
FUNCTION(3, 2)
