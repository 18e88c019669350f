/* SPDX-License-Identifier: 0BSD */
/* conv2d 3x3 with one or three input channels (the first layer) on Arm DSP cores: each window is gathered as pairs of int16,
 * then the convolution core runs. */
#include "mbn_arm_dsp.h"

void mbn_conv2d_3x3_s8_arm_dsp(const mbn_conv2d_3x3_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    const mbn_conv_3x3_parts_arm_dsp *parts = p->parts;
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *blocks = planar ? parts->planar : parts->interleaved;
    const int32_t pixel = planar ? 1 : -p->out_stride, pairs = p->pairs;
    uint32_t *x = (uint32_t *)scratch;
    mbn_gather g = {{rows[0], rows[1], rows[2]}, p->step, x};
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = mbn_block_stride(p->out_stride, parts->multipliers);
    b.x = x;
    b.multipliers = parts->multipliers;
    b.weights = p->weights;
    b.weights_end = p->weights + (p->out_channels >> 1) * (pairs + mbn_pair_constants(parts->multipliers));
    b.skip = (1 - (pairs >> 1)) & 3;
    while (count > 0) {
        const int32_t pixels = count == 5 || count == 6 ? 3 : count >= 4 ? 4 : count;
        b.out = out;
        b.x_end = x + pairs * pixels;
        parts->gather[pixels - 1](&g);
        blocks[pixels - 1](&b);
        for (int i = 0; i < 3; i++) {
            g.rows[i] += pixels * p->step;
        }
        out += pixels * pixel;
        count -= pixels;
    }
}
