/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_avx2.h has those that the kernels use in plain C. */
#ifndef MBN_AVX2_H
#define MBN_AVX2_H

#include <immintrin.h>

/* A function that has the instructions whatever the flags. */
#define MBN_AVX2 __attribute__((target("avx2")))

#endif
