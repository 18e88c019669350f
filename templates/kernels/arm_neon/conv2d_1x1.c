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

/* All outputs of `pixels` pixels. */
static void outputs(const mbn_conv2d_arm_neon_params *p, mbn_conv_block_arm_neon *b, int8_t *out, int32_t pixels)
{
    const int32_t groups = p->out_channels >> 2;
    const int64_t steps = b->whole < 16 ? 0 : ((b->whole - 16) >> 5) + 1;
    if (groups > 0) {
        b->weights = p->weights;
        b->steps = p->steps;
        b->groups = groups;
        mbn_put_outputs(b, p, 0, out, p->pixel_stride, pixels);
        run(b, pixels);
    }
    if (p->out_channels & 3) {
        int8_t few[4 * 4];
        b->weights = p->weights + groups * 4 * ((p->taps + 7) & ~7);
        b->steps = p->steps + groups * steps;
        b->groups = 1;
        if (groups > 0) {
            mbn_put_outputs(b, p, p->out_channels - 4, out, p->pixel_stride, pixels);
        } else {
            mbn_put_outputs(b, p, 0, few, 4, pixels);
        }
        run(b, pixels);
        for (int32_t i = 0; groups == 0 && i < pixels; i++) {
            memcpy(out + i * p->pixel_stride, few + 4 * i, (size_t)p->out_channels);
        }
    }
}

void mbn_conv2d_1x1_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
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
