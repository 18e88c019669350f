/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../mbn_mve.h does with Helium intrinsics, for tests on the host. */
#ifndef MBN_MVE_H
#define MBN_MVE_H

#include <stdint.h>
#include <string.h>

static inline void mbn_copy16(int8_t *to, const int8_t *from)
{
    memcpy(to, from, 16);
}

typedef struct {
    int8_t values[16];
} mbn_int8x16;

static inline mbn_int8x16 mbn_load16(const int8_t *from)
{
    mbn_int8x16 r;
    memcpy(r.values, from, 16);
    return r;
}

/* The first `left` bytes, at most 16. */
static inline void mbn_store16(int8_t *to, mbn_int8x16 values, int32_t left)
{
    memcpy(to, values.values, (size_t)(left < 16 ? left : 16));
}

/* The larger of each pair. */
static inline mbn_int8x16 mbn_max16(mbn_int8x16 a, mbn_int8x16 b)
{
    for (int32_t i = 0; i < 16; i++) {
        a.values[i] = a.values[i] > b.values[i] ? a.values[i] : b.values[i];
    }
    return a;
}

/* acc + 16 products. */
static inline int32_t mbn_dot16(int32_t acc, const int8_t *a, const int8_t *b)
{
    for (int32_t i = 0; i < 16; i++) {
        acc += a[i] * b[i];
    }
    return acc;
}

#endif
