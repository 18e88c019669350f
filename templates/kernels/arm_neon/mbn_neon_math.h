/* SPDX-License-Identifier: 0BSD */
/* What the kernels for Advanced SIMD share. */
#ifndef MBN_NEON_MATH_H
#define MBN_NEON_MATH_H

#include "mbn_arm_neon.h"
#include "mbn_math.h"
#include "mbn_neon.h"
#include "mbn_simd.h"

/* Eight sums times multipliers in units of 2^-32, rounded, plus the zero point: proved equal to what QLinearConv does in
 * float32 when the network was built. */
static inline int16x8_t mbn_scaled8(int32x4_t a, int32x4_t multiplier_a, int32x4_t b, int32x4_t multiplier_b,
                                    int16x8_t zero)
{
    const int16x4_t low = vqrshrn_n_s32(vqdmulhq_s32(a, multiplier_a), 1);
    return vqaddq_s16(vqrshrn_high_n_s32(low, vqdmulhq_s32(b, multiplier_b), 1), zero);
}

/* Sixteen, of as many multipliers. */
static inline int8x16_t mbn_scaled16(const int32x4_t *acc, const int32_t *multiplier, int16x8_t zero)
{
    const int16x8_t low = mbn_scaled8(acc[0], vld1q_s32(multiplier), acc[1], vld1q_s32(multiplier + 4), zero);
    const int16x8_t high = mbn_scaled8(acc[2], vld1q_s32(multiplier + 8), acc[3], vld1q_s32(multiplier + 12), zero);
    return vqmovn_high_s16(vqmovn_s16(low), high);
}

/* The first `left` bytes. */
static inline void mbn_store_first(int8_t *to, int8x16_t values, int32_t left)
{
    if (left >= 16) {
        vst1q_s8(to, values);
    } else if (left == 8) {
        vst1_s8(to, vget_low_s8(values));
    } else {
        int8_t bytes[16];
        vst1q_s8(bytes, values);
        for (int32_t i = 0; i < left; i++) {
            to[i] = bytes[i];
        }
    }
}

/* The first four pixels of a row, and where their outputs go, into a block. */
static inline void mbn_first_pixels(mbn_conv_block_arm_neon *b, const int8_t *in, int32_t in_bytes, int8_t *out,
                                    int32_t out_bytes)
{
    MBN_IN_REGISTERS for (int i = 0; i < 4; i++)
    {
        b->x[i] = in + b->whole + i * in_bytes;
        b->out[i] = out + i * out_bytes;
    }
}

/* The next four. */
static inline void mbn_next_pixels(mbn_conv_block_arm_neon *b, int32_t in_bytes, int32_t out_bytes)
{
    MBN_IN_REGISTERS for (int i = 0; i < 4; i++)
    {
        b->x[i] += 4 * in_bytes;
        b->out[i] += 4 * out_bytes;
    }
}

/* Of the block's pixels only some are there: the last one stands for the others. */
static inline void mbn_last_pixels(mbn_conv_block_arm_neon *b, int32_t pixels)
{
    for (int32_t i = pixels; i < 4; i++) {
        b->x[i] = b->x[pixels - 1];
        b->out[i] = b->out[pixels - 1];
    }
}

#endif
