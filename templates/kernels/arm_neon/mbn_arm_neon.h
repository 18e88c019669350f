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
    /* per 4 outputs: per 16 taps, then for what is left per 8: their bytes of each output */
    const int8_t *weights;
    const int32_t *bias; /* input zero point folded in; as many as outputs, rounded up to 4 */
    const float *scale;  /* likewise */
    int32_t taps;        /* of one output; inputs of a 1x1 convolution */
    int32_t in_bytes;    /* from an input pixel, or a column, to the next */
    int32_t out_channels;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
    int32_t is_deep;   /* the weights are so small that four products of any inputs add up to an int16 */
} mbn_conv2d_arm_neon_params;

/* Depthwise convolution. */
typedef struct {
    const int8_t *weights; /* per 16 channels: their bytes of each tap; the last group is filled up */
    const int32_t *bias;   /* input zero point folded in; filled up likewise */
    const float *scale;
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t step;         /* bytes between the windows of two output pixels: stride * channels */
    int32_t column;       /* bytes between the columns of a window: dilation * channels */
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
} mbn_depthwise_conv2d_arm_neon_params;

void mbn_conv2d_1x1_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch);
/* scratch: 4 windows, each rounded up to 16 bytes, and 16 bytes more */
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
