/* SPDX-License-Identifier: 0BSD */
/* In plain C the intrinsics of <immintrin.h> that the kernels use, for tests on the host: a lane after the other. */
#ifndef MBN_AVX512_H
#define MBN_AVX512_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Of intrinsics: that a function has the instructions. */
#define MBN_AVX512

typedef union {
    int8_t s8[16];
} __m128i;

typedef union {
    int8_t s8[64];
    uint8_t u8[64];
    int16_t s16[32];
    int32_t s32[16];
    uint32_t u32[16];
} __m512i;

typedef struct {
    float lane[16];
} __m512;

typedef uint16_t __mmask16;
typedef uint64_t __mmask64;

static inline int32_t mbn_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static inline __m512i _mm512_set1_epi32(int32_t v)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.s32[i] = v;
    }
    return r;
}

static inline __m512i _mm512_set1_epi16(int16_t v)
{
    __m512i r;
    for (int i = 0; i < 32; i++) {
        r.s16[i] = v;
    }
    return r;
}

static inline __m512i _mm512_loadu_si512(const void *from)
{
    __m512i r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline __m512 _mm512_loadu_ps(const float *from)
{
    __m512 r;
    memcpy(&r, from, sizeof r);
    return r;
}

/* What is masked is 0 and is not read. */
static inline __m128i _mm_maskz_loadu_epi8(__mmask16 mask, const void *from)
{
    __m128i r;
    for (int i = 0; i < 16; i++) {
        r.s8[i] = (int8_t)((mask >> i & 1) != 0 ? ((const int8_t *)from)[i] : 0);
    }
    return r;
}

static inline __m512i _mm512_maskz_loadu_epi8(__mmask64 mask, const void *from)
{
    __m512i r;
    for (int i = 0; i < 64; i++) {
        r.s8[i] = (int8_t)((mask >> i & 1) != 0 ? ((const int8_t *)from)[i] : 0);
    }
    return r;
}

static inline __m512i _mm512_maskz_loadu_epi32(__mmask16 mask, const void *from)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.s32[i] = (mask >> i & 1) != 0 ? ((const int32_t *)from)[i] : 0;
    }
    return r;
}

static inline void _mm512_mask_storeu_epi8(void *to, __mmask64 mask, __m512i v)
{
    for (int i = 0; i < 64; i++) {
        if ((mask >> i & 1) != 0) {
            ((int8_t *)to)[i] = v.s8[i];
        }
    }
}

static inline void _mm512_mask_storeu_epi32(void *to, __mmask16 mask, __m512i v)
{
    for (int i = 0; i < 16; i++) {
        if ((mask >> i & 1) != 0) {
            ((int32_t *)to)[i] = v.s32[i];
        }
    }
}

static inline void _mm512_mask_cvtsepi32_storeu_epi8(void *to, __mmask16 mask, __m512i v)
{
    for (int i = 0; i < 16; i++) {
        if ((mask >> i & 1) != 0) {
            ((int8_t *)to)[i] = (int8_t)mbn_clamp(v.s32[i], -128, 127);
        }
    }
}

static inline __m512i _mm512_cvtepi8_epi32(__m128i v)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.s32[i] = v.s8[i];
    }
    return r;
}

static inline __m512i _mm512_xor_si512(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.u32[i] = a.u32[i] ^ b.u32[i];
    }
    return r;
}

static inline __m512i _mm512_add_epi32(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.u32[i] = a.u32[i] + b.u32[i];
    }
    return r;
}

static inline __m512i _mm512_mullo_epi32(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.u32[i] = a.u32[i] * b.u32[i];
    }
    return r;
}

static inline __m512i _mm512_srai_epi32(__m512i v, unsigned by)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.s32[i] = v.s32[i] >> by;
    }
    return r;
}

static inline __m512i _mm512_adds_epi16(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 32; i++) {
        r.s16[i] = (int16_t)mbn_clamp(a.s16[i] + b.s16[i], -32768, 32767);
    }
    return r;
}

/* Within each 16 bytes. */
static inline __m512i _mm512_packs_epi32(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 32; i++) {
        r.s16[i] =
            (int16_t)mbn_clamp(i % 8 < 4 ? a.s32[i / 8 * 4 + i % 8] : b.s32[i / 8 * 4 + i % 8 - 4], -32768, 32767);
    }
    return r;
}

static inline __m512i _mm512_packs_epi16(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 64; i++) {
        r.s8[i] =
            (int8_t)mbn_clamp(i % 16 < 8 ? a.s16[i / 16 * 8 + i % 16] : b.s16[i / 16 * 8 + i % 16 - 8], -128, 127);
    }
    return r;
}

static inline __m512i _mm512_unpacklo_epi8(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 64; i++) {
        r.s8[i] = (i & 1 ? b : a).s8[i / 16 * 16 + 0 + i % 16 / 2];
    }
    return r;
}

static inline __m512i _mm512_unpackhi_epi8(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 64; i++) {
        r.s8[i] = (i & 1 ? b : a).s8[i / 16 * 16 + 8 + i % 16 / 2];
    }
    return r;
}

static inline __m512i _mm512_unpacklo_epi16(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 32; i++) {
        r.s16[i] = (i & 1 ? b : a).s16[i / 8 * 8 + 0 + i % 8 / 2];
    }
    return r;
}

static inline __m512i _mm512_unpackhi_epi16(__m512i a, __m512i b)
{
    __m512i r;
    for (int i = 0; i < 32; i++) {
        r.s16[i] = (i & 1 ? b : a).s16[i / 8 * 8 + 4 + i % 8 / 2];
    }
    return r;
}

/* VPDPBUSD: four products each, of unsigned and signed bytes; wraps around. */
static inline __m512i mbn_dot(__m512i acc, __m512i a, __m512i b)
{
    for (int i = 0; i < 64; i++) {
        acc.u32[i / 4] += (uint32_t)(a.u8[i] * b.s8[i]);
    }
    return acc;
}

static inline __m512 _mm512_cvtepi32_ps(__m512i v)
{
    __m512 r;
    for (int i = 0; i < 16; i++) {
        r.lane[i] = (float)v.s32[i];
    }
    return r;
}

static inline __m512 _mm512_mul_ps(__m512 a, __m512 b)
{
    __m512 r;
    for (int i = 0; i < 16; i++) {
        r.lane[i] = a.lane[i] * b.lane[i];
    }
    return r;
}

/* Ties to even. */
static inline __m512i _mm512_cvtps_epi32(__m512 v)
{
    __m512i r;
    for (int i = 0; i < 16; i++) {
        r.s32[i] = (int32_t)rintf(v.lane[i]);
    }
    return r;
}

#endif
