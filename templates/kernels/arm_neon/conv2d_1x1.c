/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer with Advanced SIMD: blocks of four pixels and four outputs. The lanes of an
 * accumulator are taps; two products, or four where all weights are small, are added in 16 bits before they are widened. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

/* Pairs of products added to an accumulator, or its first ones. */
MBN_TEMPLATE int32x4_t added(int32x4_t acc, int16x8_t products, int is_first)
{
    return is_first ? vpaddlq_s16(products) : vpadalq_s16(acc, products);
}

/* Sixteen taps of each pixel and output. */
MBN_TEMPLATE void add_taps(int32x4_t acc[4][4], const int8_t *const *x, const int8_t *w, int32_t k, int pixels,
                           int is_first)
{
    int8x16_t in[4];
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        in[i] = vld1q_s8(x[i] + k);
    }
    MBN_IN_REGISTERS for (int o = 0; o < 4; o++)
    {
        const int8x16_t taps = vld1q_s8(w + 16 * o);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            const int16x8_t products = vmull_s8(vget_low_s8(in[i]), vget_low_s8(taps));
            acc[i][o] = added(acc[i][o], vmlal_high_s8(products, in[i], taps), is_first);
        }
    }
}

/* Thirty-two, where four products fit 16 bits. */
MBN_TEMPLATE void add_deep_taps(int32x4_t acc[4][4], const int8_t *const *x, const int8_t *w, int32_t k, int pixels)
{
    int8x16_t in[4], more[4];
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        in[i] = vld1q_s8(x[i] + k);
        more[i] = vld1q_s8(x[i] + k + 16);
    }
    MBN_IN_REGISTERS for (int o = 0; o < 4; o++)
    {
        const int8x16_t taps = vld1q_s8(w + 16 * o), others = vld1q_s8(w + 64 + 16 * o);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            int16x8_t products = vmull_s8(vget_low_s8(in[i]), vget_low_s8(taps));
            products = vmlal_high_s8(products, in[i], taps);
            products = vmlal_s8(products, vget_low_s8(more[i]), vget_low_s8(others));
            acc[i][o] = vpadalq_s16(acc[i][o], vmlal_high_s8(products, more[i], others));
        }
    }
}

/* Eight. */
MBN_TEMPLATE void add_last_taps(int32x4_t acc[4][4], const int8_t *const *x, const int8_t *w, int32_t k, int pixels,
                                int is_first)
{
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        const int8x8_t in = vld1_s8(x[i] + k);
        MBN_IN_REGISTERS for (int o = 0; o < 4; o++)
        {
            acc[i][o] = added(acc[i][o], vmull_s8(in, vld1_s8(w + 8 * o)), is_first);
        }
    }
}

/* Four outputs of each pixel. */
MBN_TEMPLATE void store(int32x4_t acc[4][4], const mbn_conv2d_arm_neon_params *p, int32_t o, int8_t *out, int pixels)
{
    const int32x4_t bias = vld1q_s32(p->bias + o);
    const float32x4_t scale = vld1q_f32(p->scale + o);
    const int16x8_t zero = vdupq_n_s16((int16_t)p->zero_point);
    const int32_t left = p->out_channels - o;
    int32x4_t sums[4] = {bias, bias, bias, bias};
    int8_t bytes[16];
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        sums[i] = vaddq_s32(bias, vpaddq_s32(vpaddq_s32(acc[i][0], acc[i][1]), vpaddq_s32(acc[i][2], acc[i][3])));
    }
    const int16x8_t low = mbn_scaled8(sums[0], scale, sums[1], scale, zero);
    const int16x8_t high = pixels > 2 ? mbn_scaled8(sums[2], scale, sums[3], scale, zero) : low;
    const int32x4_t fours = vreinterpretq_s32_s8(vqmovn_high_s16(vqmovn_s16(low), high));
    if (left >= 4) {
        const int32_t pixel = p->pixel_stride;
        mbn_store_four(out, fours, 0);
        if (pixels > 1) {
            mbn_store_four(out + pixel, fours, 1);
        }
        if (pixels > 2) {
            mbn_store_four(out + 2 * pixel, fours, 2);
        }
        if (pixels > 3) {
            mbn_store_four(out + 3 * pixel, fours, 3);
        }
        return;
    }
    vst1q_s8(bytes, vreinterpretq_s8_s32(fours));
    for (int i = 0; i < pixels; i++) {
        for (int32_t j = 0; j < left; j++) {
            out[i * p->pixel_stride + j] = bytes[4 * i + j];
        }
    }
}

MBN_TEMPLATE void block(const mbn_conv2d_arm_neon_params *params, const int8_t *in, int8_t *out, int pixels)
{
    /* A copy, which no output can lie in: its members stay in registers. */
    const mbn_conv2d_arm_neon_params own = *params, *const p = &own;
    const int32_t taps = p->taps, whole = (taps + 7) & ~15, deep = p->is_deep ? whole - 16 : 0;
    const int8_t *w = p->weights, *x[4];
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        x[i] = in + i * p->in_bytes;
    }
    for (int32_t o = 0; o < p->out_channels; o += 4) {
        int32x4_t acc[4][4];
        int32_t k;
        if (whole == 0) {
            add_last_taps(acc, x, w, 0, pixels, 1);
            w += 32;
            store(acc, p, o, out + o, pixels);
            continue;
        }
        add_taps(acc, x, w, 0, pixels, 1);
        w += 64;
        for (k = 16; k < deep; k += 32) {
            add_deep_taps(acc, x, w, k, pixels);
            w += 128;
        }
        for (; k < whole; k += 16) {
            add_taps(acc, x, w, k, pixels, 0);
            w += 64;
        }
        if (k < taps) {
            add_last_taps(acc, x, w, k, pixels, 0);
            w += 32;
        }
        store(acc, p, o, out + o, pixels);
    }
}

void mbn_conv2d_1x1_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch)
{
    const int8_t *in = rows[0];
    (void)scratch;
    for (; count >= 4; count -= 4) {
        block(p, in, out, 4);
        in += 4 * p->in_bytes;
        out += 4 * p->pixel_stride;
    }
    if (count == 3) {
        block(p, in, out, 3);
    } else if (count == 2) {
        block(p, in, out, 2);
    } else if (count == 1) {
        block(p, in, out, 1);
    }
}
