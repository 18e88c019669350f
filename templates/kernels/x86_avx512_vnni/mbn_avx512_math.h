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

#endif
