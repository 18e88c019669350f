/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_avx512.h has those that the kernels use in plain C. */
#ifndef MBN_AVX512_H
#define MBN_AVX512_H

#include <immintrin.h>

/* A function that has the instructions whatever the flags. */
#define MBN_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

/* VPDPBUSD: acc + products of unsigned and signed bytes, four to a lane. Of the intrinsic GCC 12 copies and spills sums. */
static inline MBN_AVX512 __m512i mbn_dot(__m512i acc, __m512i x, __m512i w)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    return acc;
}

#endif
