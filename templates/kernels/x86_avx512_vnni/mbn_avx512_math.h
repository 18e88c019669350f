/* SPDX-License-Identifier: 0BSD */
/* What the kernels for AVX-512 share. */
#ifndef MBN_AVX512_MATH_H
#define MBN_AVX512_MATH_H

#include "mbn_avx512.h"
#include "mbn_math.h"
#include "mbn_simd.h"

/* What QLinearConv does, in its own float32 arithmetic: rint(acc * scale), ties to even. */
static inline MBN_AVX512 __m512i mbn_scaled(__m512i acc, const float *scale)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(scale)));
}

/* The first `lanes` of 16 or more. */
static inline MBN_AVX512 __mmask16 mbn_first16(int32_t lanes)
{
    return (__mmask16)(lanes >= 16 ? 0xffffu : (1u << lanes) - 1u);
}

static inline MBN_AVX512 __mmask64 mbn_first64(int32_t lanes)
{
    return lanes >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << lanes) - 1;
}

/* Four times 64 bytes, one of each to a lane. Each 16 channels come four at a time, which mbn_put64 undoes. */
static inline MBN_AVX512 void mbn_interleave(__m512i a, __m512i b, __m512i c, __m512i d, __m512i *lanes)
{
    const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
    const __m512i low2 = _mm512_unpacklo_epi8(c, d), high2 = _mm512_unpackhi_epi8(c, d);
    lanes[0] = _mm512_unpacklo_epi16(low, low2);
    lanes[1] = _mm512_unpackhi_epi16(low, low2);
    lanes[2] = _mm512_unpacklo_epi16(high, high2);
    lanes[3] = _mm512_unpackhi_epi16(high, high2);
}

/* The results of 64 sums in the order of mbn_interleave, those of `mask`; zero is one of int16. */
static inline MBN_AVX512 void mbn_put64(const __m512i *acc, const float *scale, __m512i zero, int8_t *out,
                                        __mmask64 mask)
{
    const __m512i a = mbn_scaled(acc[0], scale), b = mbn_scaled(acc[1], scale + 16);
    const __m512i c = mbn_scaled(acc[2], scale + 32), d = mbn_scaled(acc[3], scale + 48);
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
    _mm512_mask_storeu_epi8(out, mask, _mm512_packs_epi16(first, second));
}

#endif
