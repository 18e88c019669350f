/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for x86-64 with AVX-512 (F, BW, VL) and VNNI.
 *
 * VPDPBUSD multiplies unsigned by signed bytes: inputs are read with 128 added, which the biases take off again. Rows are
 * interleaved, [pixel][channel]. Kernels may read up to 3 bytes past the last row they are given. */
#ifndef MBN_X86_AVX512_VNNI_H
#define MBN_X86_AVX512_VNNI_H

#include <stdint.h>

#include "mbn_x86.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_x86_avx512_vnni.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution and fully connected layer. Weights: per 16 outputs, per row of the window, per 4 taps: the 4 bytes of each output;
 * filled up with zeros. */
void mbn_conv2d_s8_x86_avx512_vnni(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
/* Depthwise convolution of at most 48 taps. Where windows are one pixel apart and output pixels lie side by side, a row is one
 * long pixel, so that few channels fill a vector, too. Weights: per 64 channels of a period or pixel, per 4 taps, per 4 channels
 * of each 16: the 4 taps of each; filled up with zeros. */
void mbn_depthwise_conv2d_s8_x86_avx512_vnni(const mbn_depthwise_conv2d_x86_params *p, const int8_t *const *rows,
                                             int8_t *out, int32_t count, void *scratch);
/* 3x3, column stride 1 or 2. Weights: per 64 channels, per column, per 4 channels of each 16: the taps of three rows and 0. */
void mbn_depthwise_conv2d_3x3_s8_x86_avx512_vnni(const mbn_depthwise_conv2d_x86_params *p, const int8_t *const *rows,
                                                 int8_t *out, int32_t count, void *scratch);
void mbn_add_s8_x86_avx512_vnni(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                void *scratch);

/* Adds one input row to the sums in scratch (int32 per channel, zero at first); _finish makes the output pixel of them. */
void mbn_global_average_pool_s8_x86_avx512_vnni(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out,
                                                int32_t count, void *scratch);
void mbn_global_average_pool_s8_x86_avx512_vnni_finish(const mbn_pool_params *p, int8_t *out, const void *scratch);

#ifdef __cplusplus
}
#endif

#endif
