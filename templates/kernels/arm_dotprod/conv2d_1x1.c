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

/* All outputs of `pixels` pixels. */
static void outputs(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, int8_t *out, int32_t pixels)
{
    const int32_t groups = p->out_channels >> 4, last = p->out_channels & 15, width = last <= 8 ? 8 : 16;
    if (groups > 0) {
        b->weights = p->weights;
        b->groups = groups;
        mbn_put_outputs(b, p, 0, out, p->pixel_stride, pixels);
        run(b, pixels, 16);
    }
    if (last > 0) {
        int8_t few[4 * 16];
        /* The last group ends with the last output; if it begins before the first one, not all that it makes is one. */
        const int32_t first = p->out_channels - width;
        b->weights = p->weights + groups * 16 * ((p->taps + 7) & ~7);
        b->groups = 1;
        if (first >= 0) {
            mbn_put_outputs(b, p, first, out, p->pixel_stride, pixels);
        } else {
            mbn_put_outputs(b, p, 0, few, 16, pixels);
        }
        run(b, pixels, width);
        for (int32_t i = 0; first < 0 && i < pixels; i++) {
            memcpy(out + i * p->pixel_stride, few + 16 * i, (size_t)p->out_channels);
        }
    }
}

void mbn_conv2d_1x1_s8_arm_dotprod(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    const int8_t *in = rows[0];
    mbn_conv_block_arm_neon b;
    (void)scratch;
    b.whole = (p->taps + 7) & ~15;
    b.rest = b.whole < p->taps;
    b.zero_point = p->zero_point;
    for (; count > 0; count -= 4) {
        const int32_t pixels = count < 4 ? count : 4;
        mbn_put_pixels(&b, in, p->in_bytes, pixels);
        outputs(p, &b, out, pixels);
        in += 4 * p->in_bytes;
        out += 4 * p->pixel_stride;
    }
}
