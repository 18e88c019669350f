/* SPDX-License-Identifier: 0BSD */
/* grouped_conv2d on Arm DSP cores: for each group the windows of up to four pixels are copied to columns [pixel][taps] of its
 * channels, and the convolution core makes its output channels of them. */
#include <string.h>

#include "mbn_arm_dsp.h"

static inline void copy_windows(const mbn_grouped_conv2d_arm_dsp_params *p, const int8_t *const *rows, int32_t first,
                                int32_t pixels, int8_t *columns)
{
    for (int32_t i = 0; i < pixels; i++, first += p->step) {
        int8_t *to = columns + i * p->taps;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *in = rows[r] + first;
            for (int32_t k = 0; k < p->kernel_width; k++) {
                memcpy(to, in, (size_t)p->group_inputs);
                to += p->group_inputs;
                in += p->column_bytes;
            }
        }
    }
}

void mbn_grouped_conv2d_s8_arm_dsp(const mbn_grouped_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int planar = p->out_stride > 0;
    const mbn_conv_block_arm_dsp *blocks = planar ? p->parts->planar : p->parts->interleaved;
    const int32_t quads = p->taps >> 2;
    int8_t *columns = (int8_t *)scratch;
    uint32_t *x = (uint32_t *)scratch + p->taps;
    mbn_conv_block b;
    b.zero_point = p->zero_point;
    b.out_stride = planar ? p->out_stride : -p->out_stride;
    b.x = x;
    b.skip = quads == 1 ? 4 : (1 - quads) & 3;
    /* The taps that fill up the last four stay zero. */
    memset(columns, 0, (size_t)(4 * p->taps));
    for (int32_t done = 0; done < count; done += 4) {
        const int32_t pixels = count - done < 4 ? count - done : 4;
        b.x_end = x + 2 * quads * pixels;
        b.weights = p->weights;
        for (int32_t g = 0; g < p->groups; g++) {
            copy_windows(p, rows, done * p->step + g * p->group_inputs, pixels, columns);
            p->parts->widen[pixels - 1](columns, p->taps, x, columns + p->taps);
            b.out = out + g * p->group_outputs * (planar ? p->out_stride : 1);
            b.weights_end = b.weights + (p->group_outputs >> 1) * (2 * quads + 4);
            blocks[pixels - 1](&b);
            b.weights = b.weights_end;
        }
        out += pixels * (planar ? 1 : -p->out_stride);
    }
}
