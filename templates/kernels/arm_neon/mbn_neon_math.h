/* SPDX-License-Identifier: 0BSD */
/* What the kernels for Advanced SIMD share. */
#ifndef MBN_NEON_MATH_H
#define MBN_NEON_MATH_H

#include "mbn_math.h"
#include "mbn_neon.h"
#include "mbn_simd.h"

/* What QLinearConv does, in its own float32 arithmetic: rint(acc * scale), ties to even. */
static inline int32x4_t mbn_scaled(int32x4_t acc, float32x4_t scale)
{
    return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), scale));
}

/* Eight of them plus the zero point. */
static inline int16x8_t mbn_scaled8(int32x4_t a, float32x4_t scale_a, int32x4_t b, float32x4_t scale_b, int16x8_t zero)
{
    return vqaddq_s16(vqmovn_high_s32(vqmovn_s32(mbn_scaled(a, scale_a)), mbn_scaled(b, scale_b)), zero);
}

/* Sixteen, of as many scales. */
static inline int8x16_t mbn_scaled16(const int32x4_t *acc, const float *scale, int16x8_t zero)
{
    const int16x8_t low = mbn_scaled8(acc[0], vld1q_f32(scale), acc[1], vld1q_f32(scale + 4), zero);
    const int16x8_t high = mbn_scaled8(acc[2], vld1q_f32(scale + 8), acc[3], vld1q_f32(scale + 12), zero);
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

#endif
