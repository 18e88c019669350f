/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_avx512.h has those that the kernels use in plain C. */
#ifndef MBN_AVX512_H
#define MBN_AVX512_H

#include <immintrin.h>

#endif
