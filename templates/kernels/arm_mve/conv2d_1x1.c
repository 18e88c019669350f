/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Helium: all pairs of output channels. */
#include "mbn_arm_mve.h"

void mbn_conv_pixels_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *in, int8_t *out, int32_t count,
                             int32_t vector_words)
{
    const mbn_conv_parts_arm_mve *parts = p->parts;
    const int planar = p->out_stride > 0;
    const int32_t in_channels = p->in_channels, in_bytes = p->in_bytes, out_channels = p->out_channels;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t vectors = (in_channels + 15) >> 4;
    const int32_t pair_words = 12 + vector_words * vectors;
    uint16_t offsets[9];
    mbn_conv_block_mve b;
    for (int i = 0; i < 4; i++) {
        offsets[i] = (uint16_t)(i * pixel);
        offsets[4 + i] = (uint16_t)(i * pixel + channel);
    }
    b.zero_point = p->zero_point;
    b.advance = 2 * channel;
    b.passes = (vectors + 3) >> 2;
    b.skip = -vectors & 3;
    b.offsets = offsets;
    while (count > 0) {
        const int32_t pixels = count == 5 || count == 6 ? 3 : count >= 4 ? 4 : count;
        const uint32_t lanes = 0xffu >> (8 - 2 * pixels);
        offsets[8] = (uint16_t)(lanes | lanes << 8);
        b.out = out;
        b.x0 = in;
        b.x1 = pixels > 1 ? in + in_bytes : in;
        b.x2 = pixels > 2 ? in + 2 * in_bytes : in;
        b.x3 = in + (pixels - 1) * in_bytes;
        b.weights = p->weights;
        b.weights_end = p->weights + (out_channels >> 1) * pair_words;
        (vectors == 1 && vector_words == 8 && pixels >= 3 ? parts->short_blocks[pixels - 3]
                                                          : parts->blocks[pixels - 1])(&b);
        in += pixels * in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}

void mbn_conv2d_1x1_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    (void)scratch;
    mbn_conv_pixels_arm_mve(p, rows[0], out, count, 8);
}
