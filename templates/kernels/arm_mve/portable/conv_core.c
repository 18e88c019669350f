/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

/* A weight of the even or the odd channel, whose taps lie at `v`, of a vector of 8 words, or 16 times one of four bits of 4. */
static int32_t weight(const int32_t *v, int32_t words, int32_t odd, int32_t i)
{
    if (words == 8) {
        return ((const int8_t *)(v + 4 * odd))[i];
    }
    const uint32_t byte = ((const uint8_t *)v)[i];
    return (int8_t)(uint8_t)(odd ? byte & 0xf0 : byte << 4);
}

static void block(const mbn_conv_block_mve *b, int32_t pixels, int32_t vectors, int32_t words)
{
    const int8_t *x[4] = {b->x0, b->x1, b->x2, b->x3};
    const uint32_t mask = b->offsets[8];
    uint16_t offsets[8];
    memcpy(offsets, b->offsets, sizeof offsets);
    for (const int32_t *w = b->weights; w != b->weights_end; w += 12 + words * vectors) {
        for (int32_t lane = 0; lane < 8; lane++) {
            const int32_t pixel = lane & 3, odd = lane >> 2, m = w[8 + words * vectors + 2 * odd];
            if (pixel < pixels && (pixels == 4 || (mask >> (2 * lane) & 1) != 0)) {
                int32_t acc = w[lane];
                for (int32_t v = 0; v < vectors; v++) {
                    for (int32_t i = 0; i < 16; i++) {
                        acc += weight(w + 8 + words * v, words, odd, i) * x[pixel][16 * v + i];
                    }
                }
                acc = words == 8 ? acc : acc >> 4;
                b->out[offsets[lane]] = (int8_t)mbn_ssat8(mbn_smmlar(acc, m, b->zero_point));
            }
            offsets[lane] = (uint16_t)(offsets[lane] + b->advance);
        }
    }
}

#define FUNCTION(name, pixels, vectors, words)                  \
    void mbn_conv_##name##_arm_mve(const mbn_conv_block_mve *b) \
    {                                                           \
        block(b, pixels, vectors, words);                       \
    }
FUNCTION(block1, 1, 4 * b->passes - b->skip, 8)
FUNCTION(block2, 2, 4 * b->passes - b->skip, 8)
FUNCTION(block3, 3, 4 * b->passes - b->skip, 8)
FUNCTION(block4, 4, 4 * b->passes - b->skip, 8)
FUNCTION(block3_short, 3, 1, 8)
FUNCTION(block4_short, 4, 1, 8)
FUNCTION(w4_block1, 1, 4 * b->passes - b->skip, 4)
FUNCTION(w4_block2, 2, 4 * b->passes - b->skip, 4)
FUNCTION(w4_block3, 3, 4 * b->passes - b->skip, 4)
FUNCTION(w4_block4, 4, 4 * b->passes - b->skip, 4)
