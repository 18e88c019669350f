/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Arm DSP cores, weights of four bits: all pairs of output channels. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* What the channels of a pixel from `first` on are as pairs of int16, up to a whole group of eight filled up with zeros. */
static void widen_rest(const int8_t *in, int32_t first, int32_t channels, int32_t groups, int32_t pixels, uint32_t *x)
{
    for (; first < 8 * groups; first += 4, x += 2 * pixels, in += 4) {
        const int32_t left = channels - first;
        uint32_t word = 0;
        if (left > 0) {
            memcpy(&word, in, left < 4 ? (size_t)left : 4);
        }
        x[0] = mbn_sxtb16(word);
        x[pixels] = mbn_sxtb16_ror8(word);
    }
}

/* The sum of a pixel's channels. */
static int32_t sum(const int8_t *in, int32_t channels)
{
    int32_t acc = -128 * channels;
    for (; channels >= 16; channels -= 16, in += 16) {
        acc = mbn_usada8(mbn_load4(in) ^ 0x80808080u, 0, acc);
        acc = mbn_usada8(mbn_load4(in + 4) ^ 0x80808080u, 0, acc);
        acc = mbn_usada8(mbn_load4(in + 8) ^ 0x80808080u, 0, acc);
        acc = mbn_usada8(mbn_load4(in + 12) ^ 0x80808080u, 0, acc);
    }
    for (; channels >= 4; channels -= 4, in += 4) {
        acc = mbn_usada8(mbn_load4(in) ^ 0x80808080u, 0, acc);
    }
    for (; channels > 0; channels--) {
        acc += 128 + *in++;
    }
    return acc;
}

void mbn_conv2d_1x1_w4_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    const mbn_conv_parts_arm_dsp *parts = p->parts;
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *blocks = planar ? parts->planar : parts->interleaved;
    const int32_t in_channels = p->in_channels, in_bytes = p->in_bytes, whole = in_channels & ~3;
    const int32_t groups = (in_channels + 7) >> 3;
    const int32_t pixel = planar ? 1 : -p->out_stride;
    const int8_t *in = rows[0];
    uint32_t *x = (uint32_t *)scratch;
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = planar ? p->out_stride : pixel;
    b.x = x;
    b.multipliers = parts->multipliers;
    b.weights = p->weights;
    b.weights_end = p->weights + (p->out_channels >> 1) * (2 * groups + mbn_pair_constants(parts->multipliers));
    b.skip = groups == 1 ? 2 : (1 - groups) & 1;
    while (count > 0) {
        const int32_t pixels = mbn_next_pixels(count, 2 * groups);
        uint32_t *const end = x + 4 * groups * pixels;
        if (whole != 0) {
            parts->widen[pixels - 1](in, in_bytes, x, in + whole);
        }
        for (int32_t i = 0; i < pixels; i++) {
            widen_rest(in + i * in_bytes + whole, whole, in_channels, groups, pixels, x + whole / 2 * pixels + i);
            end[i] = (uint32_t)(8 * sum(in + i * in_bytes, in_channels));
        }
        b.out = out;
        b.x_end = end;
        blocks[pixels - 1](&b);
        in += pixels * in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}
