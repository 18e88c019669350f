/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../mbn_smlal.h does with instructions of Armv7-M, for tests on the host. */
#ifndef MBN_SMLAL_H
#define MBN_SMLAL_H

#include <stdint.h>

/* The high word of v * M + R, saturated: one SMLAL and one SSAT. q: M, R low word first. */
static inline int8_t mbn_requantize_armv7m(int32_t v, int32_t multiplier, const int32_t *r)
{
    const uint64_t bits = (uint64_t)(uint32_t)r[1] << 32 | (uint32_t)r[0];
    const int64_t high = ((int64_t)bits + (int64_t)v * multiplier) >> 32;
    return (int8_t)(high < -128 ? -128 : high > 127 ? 127 : high);
}

/* acc += sum over k of pairs[k][i] * w[k]; inputs is a multiple of 8. */
static inline void mbn_dot_armv7m(const int32_t *a, const int32_t *end, const int8_t *w, int64_t *s, int32_t pairs)
{
    while (a != end) {
        for (int32_t i = 0; i < pairs; i++) {
            s[i] += (int64_t)*a++ * *w;
        }
        w++;
    }
}

/* The same for weights of four bits, eight to a word. */
static inline void mbn_dot_w4_armv7m(const int32_t *a, const int32_t *end, const uint32_t *w, int64_t *s, int32_t pairs)
{
    for (int32_t k = 0; a != end; k++) {
        const int32_t weight = (int32_t)((w[k / 8] >> k % 8 * 4 & 15) ^ 8) - 8;
        for (int32_t i = 0; i < pairs; i++) {
            s[i] += (int64_t)*a++ * weight;
        }
    }
}

static inline void mbn_dot3_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_armv7m(a, end, (const int8_t *)w, s, 3);
}

static inline void mbn_dot2_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_armv7m(a, end, (const int8_t *)w, s, 2);
}

static inline void mbn_dot1_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_armv7m(a, end, (const int8_t *)w, s, 1);
}

static inline void mbn_dot3_w4_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_w4_armv7m(a, end, (const uint32_t *)w, s, 3);
}

static inline void mbn_dot2_w4_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_w4_armv7m(a, end, (const uint32_t *)w, s, 2);
}

static inline void mbn_dot1_w4_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    mbn_dot_w4_armv7m(a, end, (const uint32_t *)w, s, 1);
}

#endif
