/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for 64-bit Arm with Advanced SIMD.
 *
 * Rows are interleaved, [pixel][channel]. Kernels may read up to 15 bytes past the last row they are given. */
#ifndef MBN_ARM_NEON_H
#define MBN_ARM_NEON_H

#include <stdint.h>

#include "mbn_kernels.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_arm_neon.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution and fully connected layer. Windows of more than a pixel are copied to columns, and those are the pixels. */
typedef struct {
    const int8_t *weights;     /* in the kernel's order */
    const int32_t *bias;       /* input zero point folded in; filled up to a whole group of outputs if there is none */
    const int32_t *multiplier; /* of outputs, in units of 2^-32; likewise */
    int32_t taps;              /* of one output; inputs of a 1x1 convolution */
    int32_t in_bytes;          /* from an input pixel, or a column, to the next */
    int32_t out_channels;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
    int32_t kernel_height;
    int32_t row_bytes;    /* of one kernel row: kernel_width * channels */
    int32_t step;         /* bytes between the windows of two output pixels: stride * channels */
    const uint8_t *steps; /* kinds of steps through the taps, where there are several */
} mbn_conv2d_arm_neon_params;

/* What a block of a convolution reads and makes: up to four pixels, some groups of outputs. Of less than four pixels the
 * last one stands for those that are missing. */
typedef struct {
    const int8_t *x[4]; /* the pixels, behind their whole vectors */
    int8_t *out[4];
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multiplier;
    int64_t groups; /* of outputs, at least 1 */
    int64_t whole;  /* taps in vectors of sixteen */
    int64_t rest;   /* whether up to eight are left */
    int64_t zero_point;
    const uint8_t *steps;
} mbn_conv_block_arm_neon;

/* Depthwise convolution. */
typedef struct {
    const int8_t *weights;     /* per 16 channels: their bytes of each tap; the last group is filled up */
    const int32_t *bias;       /* input zero point folded in; filled up likewise */
    const int32_t *multiplier; /* in units of 2^-32; likewise */
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t step;         /* bytes between the windows of two output pixels: stride * channels */
    int32_t column;       /* bytes between the columns of a window: dilation * channels */
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
} mbn_depthwise_conv2d_arm_neon_params;

/* Weights: per 4 outputs: per 16 taps, then, where up to eight are left, per 8: their bytes of each output; the last four
 * outputs at last, if less are left. Steps, per 4 outputs: of each two vectors behind the first 1, if the weights are so small
 * that four products of any inputs add up to an int16, else 0; and 2 at the end. */
void mbn_conv2d_1x1_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch);
/* A block of 1 to 4 pixels, groups of four outputs. */
void mbn_conv_block_1x4_arm_neon(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_2x4_arm_neon(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_3x4_arm_neon(const mbn_conv_block_arm_neon *b);
void mbn_conv_block_4x4_arm_neon(const mbn_conv_block_arm_neon *b);
/* scratch: 8 windows, of each the last row rounded up to 16 bytes, and then all of it */
void mbn_conv2d_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                            void *scratch);
void mbn_depthwise_conv2d_3x3_s8_arm_neon(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                          int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_s8_arm_neon(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                      int8_t *out, int32_t count, void *scratch);
void mbn_add_s8_arm_neon(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
void mbn_lookup_s8_arm_neon(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                            void *scratch);

/* Adds one input row of at most 255 pixels to the sums in scratch (int32 per channel, zero at first); _finish makes the
 * output pixel of them. */
void mbn_global_average_pool_s8_arm_neon(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch);
void mbn_global_average_pool_s8_arm_neon_finish(const mbn_pool_params *p, int8_t *out, const void *scratch);

#ifdef __cplusplus
}
#endif

#endif
