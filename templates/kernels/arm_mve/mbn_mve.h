/* SPDX-License-Identifier: 0BSD */
/* What the kernels do with 16 bytes at any address. portable/mbn_mve.h has the same in plain C. */
#ifndef MBN_MVE_H
#define MBN_MVE_H

#include <arm_mve.h>

static inline void mbn_copy16(int8_t *to, const int8_t *from)
{
    vstrbq_s8(to, vldrbq_s8(from));
}

typedef int8x16_t mbn_int8x16;

static inline mbn_int8x16 mbn_load16(const int8_t *from)
{
    return vldrbq_s8(from);
}

/* The first `left` bytes, at most 16. */
static inline void mbn_store16(int8_t *to, mbn_int8x16 values, int32_t left)
{
    vstrbq_p_s8(to, values, vctp8q((uint32_t)left));
}

/* The larger of each pair. */
static inline mbn_int8x16 mbn_max16(mbn_int8x16 a, mbn_int8x16 b)
{
    return vmaxq_s8(a, b);
}

/* acc + 16 products. */
static inline int32_t mbn_dot16(int32_t acc, const int8_t *a, const int8_t *b)
{
    return vmladavaq_s8(acc, vldrbq_s8(a), vldrbq_s8(b));
}

#endif
