/* SPDX-License-Identifier: 0BSD */
/* In plain C the intrinsics of <immintrin.h> that the kernels use, for tests on the host: a lane after the other. */
#ifndef MBN_AVX2_H
#define MBN_AVX2_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Of intrinsics: that a function has the instructions. */
#define MBN_AVX2

typedef union {
    int8_t s8[16];
    int16_t s16[8];
} __m128i;

typedef union {
    int8_t s8[32];
    int16_t s16[16];
    int32_t s32[8];
} __m256i;

typedef struct {
    float lane[8];
} __m256;

static inline int32_t mbn_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Wraps around, as lanes do. */
static inline int32_t mbn_wrap32(int64_t value)
{
    return (int32_t)(uint32_t)value;
}

static inline __m128i _mm_loadu_si128(const __m128i *from)
{
    __m128i r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline __m128i _mm_loadl_epi64(const __m128i *from)
{
    __m128i r = {{0}};
    memcpy(&r, from, 8);
    return r;
}

static inline __m256i _mm256_loadu_si256(const __m256i *from)
{
    __m256i r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline __m256 _mm256_loadu_ps(const float *from)
{
    __m256 r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline void _mm_storeu_si128(__m128i *to, __m128i v)
{
    memcpy(to, &v, sizeof v);
}

static inline void _mm256_storeu_si256(__m256i *to, __m256i v)
{
    memcpy(to, &v, sizeof v);
}

static inline __m128i _mm_set1_epi16(int16_t v)
{
    __m128i r;
    for (int i = 0; i < 8; i++) {
        r.s16[i] = v;
    }
    return r;
}

static inline __m256i _mm256_set1_epi16(int16_t v)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = v;
    }
    return r;
}

static inline __m256i _mm256_set1_epi32(int32_t v)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = v;
    }
    return r;
}

static inline __m128i _mm_cvtsi32_si128(int32_t v)
{
    __m128i r = {{0}};
    memcpy(&r, &v, sizeof v);
    return r;
}

static inline __m256i _mm256_cvtepi8_epi16(__m128i v)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = v.s8[i];
    }
    return r;
}

static inline __m256i _mm256_cvtepi8_epi32(__m128i v)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = v.s8[i];
    }
    return r;
}

static inline __m256i _mm256_add_epi32(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = mbn_wrap32((int64_t)a.s32[i] + b.s32[i]);
    }
    return r;
}

static inline __m256i _mm256_mullo_epi32(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = mbn_wrap32((int64_t)a.s32[i] * b.s32[i]);
    }
    return r;
}

static inline __m256i _mm256_madd_epi16(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = mbn_wrap32((int64_t)a.s16[2 * i] * b.s16[2 * i] + (int64_t)a.s16[2 * i + 1] * b.s16[2 * i + 1]);
    }
    return r;
}

static inline __m256i _mm256_sra_epi32(__m256i a, __m128i by)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = a.s32[i] >> by.s16[0];
    }
    return r;
}

static inline __m256 _mm256_cvtepi32_ps(__m256i v)
{
    __m256 r;
    for (int i = 0; i < 8; i++) {
        r.lane[i] = (float)v.s32[i];
    }
    return r;
}

static inline __m256 _mm256_mul_ps(__m256 a, __m256 b)
{
    __m256 r;
    for (int i = 0; i < 8; i++) {
        r.lane[i] = a.lane[i] * b.lane[i];
    }
    return r;
}

/* Ties to even. */

static inline __m256i _mm256_cvtps_epi32(__m256 v)
{
    __m256i r;
    for (int i = 0; i < 8; i++) {
        r.s32[i] = (int32_t)rintf(v.lane[i]);
    }
    return r;
}

/* Halves of 128 bits each by itself: four of a, then four of b. */

static inline __m256i _mm256_packs_epi32(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = (int16_t)mbn_clamp((i & 4 ? b : a).s32[i / 8 * 4 + i % 4], -32768, 32767);
    }
    return r;
}

static inline __m256i _mm256_unpacklo_epi16(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = (i & 1 ? b : a).s16[i / 8 * 8 + i % 8 / 2];
    }
    return r;
}

static inline __m256i _mm256_unpackhi_epi16(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = (i & 1 ? b : a).s16[i / 8 * 8 + 4 + i % 8 / 2];
    }
    return r;
}

static inline __m256i _mm256_permute4x64_epi64(__m256i v, int order)
{
    __m256i r;
    for (int i = 0; i < 4; i++) {
        memcpy(&r.s8[8 * i], &v.s8[8 * (order >> 2 * i & 3)], 8);
    }
    return r;
}

static inline __m256i _mm256_adds_epi16(__m256i a, __m256i b)
{
    __m256i r;
    for (int i = 0; i < 16; i++) {
        r.s16[i] = (int16_t)mbn_clamp(a.s16[i] + b.s16[i], -32768, 32767);
    }
    return r;
}

static inline __m128i _mm256_castsi256_si128(__m256i v)
{
    __m128i r;
    memcpy(&r, &v, sizeof r);
    return r;
}

static inline __m128i _mm256_extracti128_si256(__m256i v, int half)
{
    __m128i r;
    memcpy(&r, &v.s8[16 * half], sizeof r);
    return r;
}

static inline __m128i _mm_packs_epi16(__m128i a, __m128i b)
{
    __m128i r;
    for (int i = 0; i < 16; i++) {
        r.s8[i] = (int8_t)mbn_clamp(i < 8 ? a.s16[i] : b.s16[i - 8], -128, 127);
    }
    return r;
}

#endif
