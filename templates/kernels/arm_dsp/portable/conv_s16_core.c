/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_s16_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static int32_t finish(const mbn_conv_s16_block *b, int32_t acc, uint32_t multiplier)
{
    const int32_t value = mbn_smmlar((int32_t)((uint32_t)acc << b->lift), (int32_t)multiplier, b->zero_point);
    const int32_t low = (int16_t)b->low, high = (int16_t)b->high;
    return value < low ? low : value > high ? high : value;
}

static void block(const mbn_conv_s16_block *b, int32_t pixels, int wide)
{
    const int32_t pairs = (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += pairs + 4) {
        for (int32_t p = 0; p < pixels; p++) {
            int32_t sums[2] = {(int32_t)w[0], (int32_t)w[1]};
            for (int32_t k = 0; k < pairs; k++) {
                const uint32_t x = b->x[k * pixels + p];
                sums[0] = mbn_smlad(mbn_sxtb16(w[2 + k]), x, sums[0]);
                sums[1] = mbn_smlad(mbn_sxtb16_ror8(w[2 + k]), x, sums[1]);
            }
            for (int32_t i = 0; i < 2; i++) {
                const int16_t value = (int16_t)finish(b, sums[i], w[2 + pairs + i]);
                int8_t *const to = out + p * b->out_stride + i * (wide ? 2 : 1);
                memcpy(to, &value, wide ? 2 : 1);
            }
        }
        out += wide ? 4 : 2;
    }
}

#define FUNCTIONS(pixels)                                                         \
    void mbn_conv_s16_block##pixels##_wide_arm_dsp(const mbn_conv_s16_block *b)   \
    {                                                                             \
        block(b, pixels, 1);                                                      \
    }                                                                             \
    void mbn_conv_s16_block##pixels##_narrow_arm_dsp(const mbn_conv_s16_block *b) \
    {                                                                             \
        block(b, pixels, 0);                                                      \
    }
FUNCTIONS(1)
FUNCTIONS(2)
FUNCTIONS(3)
FUNCTIONS(4)
