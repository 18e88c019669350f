/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_avx512.h has those that the kernels use in plain C. */
#ifndef MBN_AVX512_H
#define MBN_AVX512_H

#include <immintrin.h>

/* A function that has the instructions whatever the flags. */
#define MBN_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

#endif
