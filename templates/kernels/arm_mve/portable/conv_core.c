/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_mve.h"
#include "mbn_dsp.h"

static void block(const mbn_conv_block_mve *b, int32_t pixels, int32_t vectors)
{
    const int8_t *x[4] = {b->x0, b->x1, b->x2, b->x3};
    const uint32_t mask = b->offsets[8];
    uint16_t offsets[8];
    memcpy(offsets, b->offsets, sizeof offsets);
    for (const int32_t *w = b->weights; w != b->weights_end; w += 12 + 8 * vectors) {
        for (int32_t lane = 0; lane < 8; lane++) {
            const int32_t pixel = lane & 3, odd = lane >> 2;
            if (pixel < pixels && (pixels == 4 || (mask >> (2 * lane) & 1) != 0)) {
                int32_t acc = w[lane];
                for (int32_t v = 0; v < vectors; v++) {
                    const int8_t *taps = (const int8_t *)(w + 8 + 8 * v + 4 * odd);
                    for (int32_t i = 0; i < 16; i++) {
                        acc += taps[i] * x[pixel][16 * v + i];
                    }
                }
                b->out[offsets[lane]] = (int8_t)mbn_ssat8(mbn_smmlar(acc, w[8 + 8 * vectors + 2 * odd], b->zero_point));
            }
            offsets[lane] = (uint16_t)(offsets[lane] + b->advance);
        }
    }
}

static void block_w4(const mbn_conv_block_mve *b, int32_t pixels)
{
    const int32_t vectors = 4 * b->passes - b->skip;
    const int8_t *x[4] = {b->x0, b->x1, b->x2, b->x3};
    const mbn_conv_w4_lanes_mve *lanes = (const mbn_conv_w4_lanes_mve *)(const void *)b->offsets;
    int32_t done = 0;
    for (const int32_t *w = b->weights; w != b->weights_end; w += 12 + 4 * vectors, done += b->advance) {
        const int8_t *taps = (const int8_t *)(w + 8);
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            int32_t q = w[0], s = w[4];
            for (int32_t i = 0; i < 16 * vectors; i++) {
                q += (taps[i] & 15) * x[pixel][i];
                s += taps[i] * x[pixel][i];
            }
            s = (s - q) >> 4;
            q -= lanes->sums[(pixel & 1) * 4 + (pixel >> 1)];
            const int32_t *m = w + 8 + 4 * vectors;
            b->out[done + lanes->offsets[pixel]] = (int8_t)mbn_ssat8(mbn_smmlar(q, m[0], b->zero_point));
            b->out[done + lanes->offsets[4 + pixel]] = (int8_t)mbn_ssat8(mbn_smmlar(s, m[2], b->zero_point));
        }
    }
}

void mbn_conv_block1_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 1, 4 * b->passes - b->skip);
}

void mbn_conv_block2_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 2, 4 * b->passes - b->skip);
}

void mbn_conv_block3_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 3, 4 * b->passes - b->skip);
}

void mbn_conv_block4_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 4, 4 * b->passes - b->skip);
}

void mbn_conv_block3_short_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 3, 1);
}

void mbn_conv_block4_short_arm_mve(const mbn_conv_block_mve *b)
{
    block(b, 4, 1);
}

void mbn_conv_w4_block1_arm_mve(const mbn_conv_block_mve *b)
{
    block_w4(b, 1);
}

void mbn_conv_w4_block2_arm_mve(const mbn_conv_block_mve *b)
{
    block_w4(b, 2);
}

void mbn_conv_w4_block3_arm_mve(const mbn_conv_block_mve *b)
{
    block_w4(b, 3);
}

void mbn_conv_w4_block4_arm_mve(const mbn_conv_block_mve *b)
{
    block_w4(b, 4);
}
