/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer with SDOT: blocks of four pixels. */
#include "mbn_arm_dotprod.h"
#include "mbn_neon_math.h"

/* Groups of sixteen outputs, or of eight. */
static void run(const mbn_conv_block_arm_neon *b, int32_t pixels, int32_t width)
{
    if (width == 8) {
        mbn_conv_block_4x8_arm_dotprod(b);
        return;
    }
    switch (pixels) {
    case 1:
        mbn_conv_block_1x16_arm_dotprod(b);
        break;
    case 2:
        mbn_conv_block_2x16_arm_dotprod(b);
        break;
    case 3:
        mbn_conv_block_3x16_arm_dotprod(b);
        break;
    default:
        mbn_conv_block_4x16_arm_dotprod(b);
        break;
    }
}

/* Some outputs of all pixels of a row. */
static void row(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, const int8_t *in, int8_t *out,
                int32_t out_bytes, int32_t count, int32_t width)
{
    mbn_first_pixels(b, in, p->in_bytes, out, out_bytes);
    for (; count >= 4; count -= 4) {
        run(b, 4, width);
        mbn_next_pixels(b, p->in_bytes, out_bytes);
    }
    if (count > 0) {
        mbn_last_pixels(b, count);
        run(b, count, width);
    }
}

/* Outputs of a convolution that has less than a group of them. */
static void few(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, const int8_t *in, int8_t *out,
                int32_t count, int32_t width)
{
    int8_t made[4 * 16];
    for (int32_t x = 0; x < count; x += 4) {
        const int32_t pixels = count - x < 4 ? count - x : 4;
        row(p, b, in + x * p->in_bytes, made, 16, pixels, width);
        for (int32_t i = 0; i < pixels; i++) {
            memcpy(out + (x + i) * p->pixel_stride, made + 16 * i, (size_t)p->out_channels);
        }
    }
}

void mbn_conv2d_1x1_s8_arm_dotprod(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int32_t groups = p->out_channels >> 4, last = p->out_channels & 15, width = last <= 8 ? 8 : 16;
    mbn_conv_block_arm_neon b;
    (void)scratch;
    b.whole = (p->taps + 7) & ~15;
    b.rest = b.whole < p->taps;
    b.zero_point = p->zero_point;
    b.weights = p->weights;
    b.bias = p->bias;
    b.multiplier = p->multiplier;
    b.groups = groups;
    if (groups > 0) {
        row(p, &b, rows[0], out, p->pixel_stride, count, 16);
    }
    if (last > 0) {
        /* The last group ends with the last output; if it begins before the first one, not all that it makes is one. */
        const int32_t first = p->out_channels - width;
        b.weights += groups * 16 * ((p->taps + 7) & ~7);
        b.groups = 1;
        if (first >= 0) {
            b.bias += first;
            b.multiplier += first;
            row(p, &b, rows[0], out + first, p->pixel_stride, count, width);
        } else {
            few(p, &b, rows[0], out, count, width);
        }
    }
}
