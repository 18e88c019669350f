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

/* Convolution and fully connected layer. Windows of more than a pixel are copied to columns, and those are the pixels. */
typedef struct {
    /* per 16 outputs, and 8 at last: per 4 taps, whose number is rounded up to 8, the 4 bytes of each output */
    const int8_t *weights;
    const int32_t *bias; /* input zero point folded in; as many as outputs, rounded up to 8 */
    const float *scale;  /* likewise */
    int32_t taps;        /* of one output; inputs of a 1x1 convolution */
    int32_t in_bytes;    /* from an input pixel, or a column, to the next */
    int32_t out_channels;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
} mbn_conv2d_arm_dotprod_params;

void mbn_conv2d_1x1_s8_arm_dotprod(const mbn_conv2d_arm_dotprod_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
/* scratch: 4 windows, each rounded up to 16 bytes, and 16 bytes more */
void mbn_conv2d_s8_arm_dotprod(const mbn_conv2d_arm_dotprod_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
/* Weights: per 16 channels, per column, the taps of three rows and 0 of each channel; the last group is filled up. */
void mbn_depthwise_conv2d_3x3_s8_arm_dotprod(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                             int8_t *out, int32_t count, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
