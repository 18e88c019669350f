/* SPDX-License-Identifier: 0BSD */
/* What the kernels for AVX2 share. */
#ifndef MBN_AVX2_MATH_H
#define MBN_AVX2_MATH_H

#include "mbn_avx2.h"
#include "mbn_math.h"
#include "mbn_simd.h"

/* What QLinearConv does, in its own float32 arithmetic: rint(acc * scale), ties to even. */
static inline MBN_AVX2 __m256i mbn_scaled8(__m256i acc, const float *scale)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(scale)));
}

/* Sixteen int16 as bytes. */
static inline MBN_AVX2 __m128i mbn_narrowed(__m256i v)
{
    return _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

/* The first `left` of sixteen bytes. */
static inline MBN_AVX2 void mbn_store_first(int8_t *to, __m128i values, int32_t left)
{
    if (left >= 16) {
        _mm_storeu_si128((__m128i *)(void *)to, values);
    } else {
        int8_t bytes[16];
        _mm_storeu_si128((__m128i *)(void *)bytes, values);
        memcpy(to, bytes, (size_t)left);
    }
}

static inline MBN_AVX2 __m256i mbn_load16(const int8_t *from)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline MBN_AVX2 __m256i mbn_load8_wide(const int8_t *from)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}

static inline MBN_AVX2 __m256i mbn_load_sums(const int32_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

#endif
