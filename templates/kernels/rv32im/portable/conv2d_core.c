/* SPDX-License-Identifier: 0BSD */
/* conv2d for RV32IM: all channels of one to three pairs of pixels, in plain C for tests on the host. */
#include "mbn_rv32im.h"

/* The next input's weight of channel c of a pair. */
static int32_t weight(const int8_t *weights, int32_t c, int is_w4)
{
    const int32_t low = weights[0] & 15;
    return !is_w4 ? weights[c] : c == 0 ? (low ^ 8) - 8 : (weights[0] - low) / 16;
}

/* A pixel or a channel that does not exist is stored to the place of its neighbour, and before it. */
static void block(mbn_conv2d_frame_rv32im *f, int32_t pairs, int is_w4)
{
    do {
        uint32_t all[2][3] = {{0}, {0}};
        int32_t high[2][3] = {{0}, {0}};
        for (const int32_t *words = f->words; words != f->words_end;) {
            uint32_t s[2][3] = {{0}, {0}};
            for (int32_t n = *f->groups++; n > 0; n--) {
                const uint32_t even = (uint32_t)weight(f->weights, 0, is_w4),
                               odd = (uint32_t)weight(f->weights, 1, is_w4);
                for (int32_t i = 0; i < pairs; i++) {
                    s[0][i] += (uint32_t)*words * even;
                    s[1][i] += (uint32_t)*words++ * odd;
                }
                f->weights += is_w4 ? 1 : 2;
            }
            for (int32_t c = 0; c < 2; c++) {
                for (int32_t i = 0; i < pairs; i++) {
                    all[c][i] += s[c][i];
                    high[c][i] += (int32_t)(s[c][i] + (1u << 15)) >> 16;
                }
            }
        }
        for (int32_t c = 1; c >= 0; c--) {
            int8_t *out = f->out + c * f->second;
            for (int32_t i = pairs - 1; i >= 0; i--) {
                const int32_t odd = i == pairs - 1 ? f->last : (2 * i + 1) * f->stride;
                const int32_t low = (int32_t)(all[c][i] - ((uint32_t)high[c][i] << 16));
                out[odd] = mbn_requantize_rv32im(high[c][i], f->requantize + MBN_RV32IM_WORDS * c);
                out[2 * i * f->stride] = mbn_requantize_rv32im(low, f->requantize + MBN_RV32IM_WORDS * c);
            }
        }
        f->requantize += 2 * MBN_RV32IM_WORDS;
        f->out += 2;
    } while (f->out < f->out_end);
}

void mbn_conv2d_block1_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 1, 0);
}

void mbn_conv2d_block2_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 2, 0);
}

void mbn_conv2d_block3_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 3, 0);
}

void mbn_conv2d_w4_block1_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 1, 1);
}

void mbn_conv2d_w4_block2_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 2, 1);
}

void mbn_conv2d_w4_block3_rv32im(mbn_conv2d_frame_rv32im *f)
{
    block(f, 3, 1);
}
