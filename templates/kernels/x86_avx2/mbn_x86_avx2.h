/* SPDX-License-Identifier: 0BSD */
/* Signatures of the kernels for x86-64 with AVX2.
 *
 * Inputs and weights are widened to 16 bits, since VPMADDUBSW saturates. Rows are interleaved, [pixel][channel]. Kernels may read
 * up to 15 bytes past the last row they are given. */
#ifndef MBN_X86_AVX2_H
#define MBN_X86_AVX2_H

#include <stdint.h>

#include "mbn_x86.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_x86_avx2.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution and fully connected layer. Weights: per 16 outputs, per 2 taps: the 2 bytes of each output; where less are left, at
 * last those of the last 16. */
void mbn_conv2d_1x1_s8_x86_avx2(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                void *scratch);
/* scratch: 4 windows, of each the last row rounded up to 16 bytes, and then all of it to 2 */
void mbn_conv2d_s8_x86_avx2(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                            void *scratch);
/* Depthwise convolution of at most 48 taps. Weights: per 16 channels, per 2 taps: the 2 bytes of each of channels 0 to 3 and 8 to
 * 11, then of the others; where less are left, at last those of the last 16. Biases and scales in the same order. */
void mbn_depthwise_conv2d_s8_x86_avx2(const mbn_depthwise_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch);
void mbn_add_s8_x86_avx2(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);

/* Adds one input row to the sums in scratch (int32 per channel, zero at first); _finish makes the output pixel of them. */
void mbn_global_average_pool_s8_x86_avx2(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch);
void mbn_global_average_pool_s8_x86_avx2_finish(const mbn_pool_params *p, int8_t *out, const void *scratch);

#ifdef __cplusplus
}
#endif

#endif
