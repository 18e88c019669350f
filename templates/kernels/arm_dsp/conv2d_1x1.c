/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Arm DSP cores: all pairs of output channels. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

void mbn_widen_rest_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int32_t pixels, uint32_t *x,
                            int32_t taps)
{
    for (int32_t first = p->in_channels & ~3; first < taps; first += 4) {
        const int32_t left = p->in_channels - first;
        for (int32_t i = 0; i < pixels; i++) {
            uint32_t word = 0;
            memcpy(&word, in + i * p->in_bytes + first, left > 0 ? (size_t)left : 0);
            x[first / 2 * pixels + i] = mbn_sxtb16(word);
            x[(first / 2 + 1) * pixels + i] = mbn_sxtb16_ror8(word);
        }
    }
}

void mbn_conv_pixels_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int8_t *out, int32_t count,
                             uint32_t *x, const mbn_conv_inputs *inputs)
{
    const mbn_conv_parts_arm_dsp *parts = p->parts;
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *blocks = planar ? parts->planar : parts->interleaved;
    const int32_t pixel = planar ? 1 : -p->out_stride, whole = p->in_channels & ~3;
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = mbn_block_stride(p->out_stride, parts->multipliers);
    b.x = x;
    b.multipliers = parts->multipliers;
    b.weights = p->weights;
    b.weights_end = p->weights + (p->out_channels >> 1) * (inputs->words + mbn_pair_constants(parts->multipliers));
    b.skip = inputs->skip;
    while (count > 0) {
        const int32_t pixels = mbn_next_pixels(count, inputs->taps >> 2);
        if (whole != 0) {
            parts->widen[pixels - 1](in, p->in_bytes, x, in + whole);
        }
        if (inputs->add != NULL) {
            inputs->add(p, in, pixels, x, inputs->taps);
        }
        b.out = out;
        b.x_end = x + (inputs->taps >> 1) * pixels;
        blocks[pixels - 1](&b);
        in += pixels * p->in_bytes;
        out += pixels * pixel;
        count -= pixels;
    }
}

void mbn_conv2d_1x1_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    const int32_t groups = (p->in_channels + 3) >> 2;
    const mbn_conv_inputs inputs = {4 * groups, 2 * groups, groups == 1 ? 4 : (1 - groups) & 3,
                                    (p->in_channels & 3) != 0 ? mbn_widen_rest_arm_dsp : NULL};
    mbn_conv_pixels_arm_dsp(p, rows[0], out, count, (uint32_t *)scratch, &inputs);
}
