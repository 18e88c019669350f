/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Helium, weights of four bits: all pairs of output channels. */
#include "mbn_arm_mve.h"
#include "mbn_mve.h"

static const int8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* The sum of a pixel's channels. */
static int32_t sum(const int8_t *in, int32_t channels)
{
    int32_t acc = 0;
    for (; channels >= 16; channels -= 16, in += 16) {
        acc = mbn_dot16(acc, in, ones);
    }
    for (; channels > 0; channels--) {
        acc += *in++;
    }
    return acc;
}

void mbn_conv2d_1x1_w4_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    const mbn_conv_parts_arm_mve *parts = p->parts;
    const int planar = p->out_stride > 0;
    const int32_t in_channels = p->in_channels, in_bytes = p->in_bytes;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t vectors = (in_channels + 15) >> 4;
    const int8_t *in = rows[0];
    mbn_conv_w4_lanes_mve lanes = {0};
    mbn_conv_block_mve b;
    (void)scratch;
    for (int i = 0; i < 4; i++) {
        lanes.offsets[i] = (uint16_t)(i * pixel);
        lanes.offsets[4 + i] = (uint16_t)(i * pixel + channel);
    }
    b.zero_point = p->zero_point;
    b.advance = 2 * channel;
    b.passes = (vectors + 3) >> 2;
    b.skip = -vectors & 3;
    b.offsets = lanes.offsets;
    b.weights = p->weights;
    b.weights_end = p->weights + (p->out_channels >> 1) * (12 + 4 * vectors);
    while (count > 0) {
        const int32_t pixels = count == 5 || count == 6 ? 3 : count >= 4 ? 4 : count;
        const uint32_t mask = 0xffu >> (8 - 2 * pixels);
        lanes.mask = (uint16_t)(mask | mask << 8);
        for (int32_t i = 0; i < pixels; i++) {
            lanes.sums[(i & 1) * 4 + (i >> 1)] = 8 * sum(in + i * in_bytes, in_channels);
        }
        b.out = out;
        b.x0 = in;
        b.x1 = pixels > 1 ? in + in_bytes : in;
        b.x2 = pixels > 2 ? in + 2 * in_bytes : in;
        b.x3 = in + (pixels - 1) * in_bytes;
        parts->blocks[pixels - 1](&b);
        in += pixels * in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}
