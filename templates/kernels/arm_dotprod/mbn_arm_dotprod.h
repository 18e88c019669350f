/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for 64-bit Arm with the dot product instructions (Armv8.2 and later).
 *
 * Rows are interleaved, [pixel][channel]. Kernels may read up to 15 bytes past the last row they are given. */
#ifndef MBN_ARM_DOTPROD_H
#define MBN_ARM_DOTPROD_H

#include <stdint.h>

#include "mbn_arm_neon.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_arm_dotprod.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution and fully connected layer. Weights: per 16 outputs per 4 taps, whose number is rounded up to 8, the 4 bytes of
 * each output; where up to 15 outputs are left, at last those of the last 8 or 16. */
void mbn_conv2d_1x1_s8_arm_dotprod(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
/* scratch: 8 windows, of each the last row rounded up to 16 bytes, and then all of it */
void mbn_conv2d_s8_arm_dotprod(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
/* A block of 1 to 4 pixels, groups of 16 or 8 outputs. */
void mbn_conv_block_1x16_arm_dotprod(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_2x16_arm_dotprod(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_3x16_arm_dotprod(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_4x16_arm_dotprod(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_4x8_arm_dotprod(const mbn_conv_block_arm_neon *b);

/* What a part of a depthwise convolution reads and makes. */
typedef struct {
    const int8_t *in[3]; /* the first column of each row */
    int8_t *out;
    int64_t in_bytes;  /* from a column to the next */
    int64_t out_bytes; /* from a pixel to the next */
    int64_t count;     /* of pixels, at least 1 */
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multiplier;
    int64_t zero_point;
} mbn_depthwise_row_arm_dotprod;

/* Depthwise 3x3, column stride 1 or 2, 8 channels or at least 16. Weights: per 16 channels, per column, the taps of three
 * rows and 0 of each channel; the last group has the last 16 channels. */
void mbn_depthwise_conv2d_3x3_s8_arm_dotprod(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                             int8_t *out, int32_t count, void *scratch);
/* 16 or 8 channels of a row; the stride in columns. */
void mbn_depthwise_row_16x1_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r);
void mbn_depthwise_row_16x2_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r);
void mbn_depthwise_row_8x1_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r);
void mbn_depthwise_row_8x2_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r);

#ifdef __cplusplus
}
#endif

#endif
