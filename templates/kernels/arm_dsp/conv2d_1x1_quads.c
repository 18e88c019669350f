/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution on Arm DSP cores, four output channels of two pixels at a time. */
#include "mbn_arm_dsp.h"

void mbn_conv2d_1x1_quads_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                     int32_t count, void *scratch)
{
    const mbn_conv_parts_arm_dsp *parts = p->parts;
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *quads = planar ? parts->planar : parts->interleaved;
    const int32_t in_channels = p->in_channels, in_bytes = p->in_bytes, out_channels = p->out_channels;
    const int32_t groups = in_channels >> 2;
    const int32_t pixel = planar ? 1 : -p->out_stride;
    const int8_t *in = rows[0];
    uint32_t *x = (uint32_t *)scratch;
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = planar ? p->out_stride : pixel;
    b.x = x;
    b.weights = p->weights;
    b.weights_end = p->weights + (out_channels >> 2) * (4 * groups + 8);
    b.skip = groups == 1 ? 8 : (1 - groups) & 7;
    while (count > 0) {
        const int32_t pixels = count > 1 ? 2 : 1;
        parts->widen[pixels - 1](in, in_bytes, x, in + in_channels);
        b.out = out;
        b.x_end = x + 2 * groups * pixels;
        quads[pixels - 1](&b);
        in += pixels * in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}
