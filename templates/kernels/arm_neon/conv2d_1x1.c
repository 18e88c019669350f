/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer with Advanced SIMD: blocks of four pixels. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

static void run(const mbn_conv_block_arm_neon *b, int32_t pixels)
{
    switch (pixels) {
    case 1:
        mbn_conv_block_1x4_arm_neon(b);
        break;
    case 2:
        mbn_conv_block_2x4_arm_neon(b);
        break;
    case 3:
        mbn_conv_block_3x4_arm_neon(b);
        break;
    default:
        mbn_conv_block_4x4_arm_neon(b);
        break;
    }
}

/* Some outputs of all pixels of a row. */
static void row(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, const int8_t *in, int8_t *out,
                int32_t out_bytes, int32_t count)
{
    mbn_first_pixels(b, in, p->in_bytes, out, out_bytes);
    for (; count >= 4; count -= 4) {
        run(b, 4);
        mbn_next_pixels(b, p->in_bytes, out_bytes);
    }
    if (count > 0) {
        mbn_last_pixels(b, count);
        run(b, count);
    }
}

/* Outputs of a convolution that has less than a group of them. */
static void few(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, const int8_t *in, int8_t *out,
                int32_t count)
{
    int8_t made[4 * 4];
    for (int32_t x = 0; x < count; x += 4) {
        const int32_t pixels = count - x < 4 ? count - x : 4;
        row(p, b, in + x * p->in_bytes, made, 4, pixels);
        for (int32_t i = 0; i < pixels; i++) {
            memcpy(out + (x + i) * p->pixel_stride, made + 4 * i, (size_t)p->out_channels);
        }
    }
}

void mbn_conv2d_1x1_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch)
{
    const int32_t groups = p->out_channels >> 2;
    mbn_conv_block_arm_neon b;
    (void)scratch;
    b.whole = (p->taps + 7) & ~15;
    b.rest = b.whole < p->taps;
    b.zero_point = p->zero_point;
    b.weights = p->weights;
    b.bias = p->bias;
    b.multiplier = p->multiplier;
    b.steps = p->steps;
    b.groups = groups;
    if (groups > 0) {
        row(p, &b, rows[0], out, p->pixel_stride, count);
    }
    if (p->out_channels & 3) {
        const int64_t steps = b.whole < 16 ? 0 : ((b.whole - 16) >> 5) + 1;
        b.weights += groups * 4 * ((p->taps + 7) & ~7);
        b.steps += groups * steps;
        b.groups = 1;
        if (groups > 0) {
            b.bias += p->out_channels - 4;
            b.multiplier += p->out_channels - 4;
            row(p, &b, rows[0], out + p->out_channels - 4, p->pixel_stride, count);
        } else {
            few(p, &b, rows[0], out, count);
        }
    }
}
