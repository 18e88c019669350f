/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Arm DSP cores: all pairs of output channels. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* The last one to three channels as a group filled up with zeros, as pairs of int16. */
static void widen_rest(const int8_t *in, int32_t channels, int32_t in_bytes, int32_t pixels, uint32_t *x)
{
    const int32_t whole = channels & ~3;
    x += whole / 2 * pixels;
    for (int32_t i = 0; i < pixels; i++) {
        uint32_t word = 0;
        memcpy(&word, in + i * in_bytes + whole, (size_t)(channels - whole));
        x[i] = mbn_sxtb16(word);
        x[pixels + i] = mbn_sxtb16_ror8(word);
    }
}

void mbn_conv2d_1x1_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    const mbn_conv_parts_arm_dsp *parts = p->parts;
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *blocks = planar ? parts->planar : parts->interleaved;
    const int32_t in_channels = p->in_channels, in_bytes = p->in_bytes, out_channels = p->out_channels,
                  whole = in_channels & ~3;
    const int32_t groups = (in_channels + 3) >> 2;
    const int32_t pixel = planar ? 1 : -p->out_stride;
    const int8_t *in = rows[0];
    uint32_t *x = (uint32_t *)scratch;
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = planar ? p->out_stride : pixel;
    b.x = x;
    b.multipliers = parts->multipliers;
    b.weights = p->weights;
    b.weights_end = p->weights + (out_channels >> 1) * (2 * groups + mbn_pair_constants(parts->multipliers));
    b.skip = groups == 1 ? 4 : (1 - groups) & 3;
    while (count > 0) {
        const int32_t pixels = mbn_next_pixels(count, groups);
        if (whole != 0) {
            parts->widen[pixels - 1](in, in_bytes, x, in + whole);
        }
        if (whole != in_channels) {
            widen_rest(in, in_channels, in_bytes, pixels, x);
        }
        b.out = out;
        b.x_end = x + 2 * groups * pixels;
        blocks[pixels - 1](&b);
        in += pixels * in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}
