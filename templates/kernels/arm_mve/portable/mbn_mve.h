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

/* acc + 16 products. */
static inline int32_t mbn_dot16(int32_t acc, const int8_t *a, const int8_t *b)
{
    for (int32_t i = 0; i < 16; i++) {
        acc += a[i] * b[i];
    }
    return acc;
}

#endif
