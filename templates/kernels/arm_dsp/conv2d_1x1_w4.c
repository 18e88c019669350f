/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer on Arm DSP cores, weights of four bits: all pairs of output channels. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* The sum of a pixel's channels. */
static int32_t sum(const int8_t *in, int32_t channels)
{
    int32_t acc = -128 * channels;
    for (; channels >= 8; channels -= 8, in += 8) {
        acc = mbn_usada8(mbn_load4(in) ^ 0x80808080u, 0, acc);
        acc = mbn_usada8(mbn_load4(in + 4) ^ 0x80808080u, 0, acc);
    }
    for (; channels > 0; channels--) {
        acc += 128 + *in++;
    }
    return acc;
}

/* Fills the last group of eight up with zeros; behind the inputs lie 8 times the sums of the pixels. */
static void add_sums(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int32_t pixels, uint32_t *x,
                     int32_t taps)
{
    mbn_widen_rest_arm_dsp(p, in, pixels, x, taps);
    x += (taps >> 1) * pixels;
    for (int32_t i = 0; i < pixels; i++) {
        x[i] = (uint32_t)(8 * sum(in + i * p->in_bytes, p->in_channels));
    }
}

void mbn_conv2d_1x1_w4_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    const int32_t groups = (p->in_channels + 7) >> 3;
    const mbn_conv_inputs inputs = {8 * groups, 2 * groups, groups == 1 ? 2 : (1 - groups) & 1, add_sums};
    mbn_conv_pixels_arm_dsp(p, rows[0], out, count, (uint32_t *)scratch, &inputs);
}
