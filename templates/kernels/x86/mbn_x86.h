/* SPDX-License-Identifier: 0BSD */
/* Constants of the kernels for x86-64. Weights lie in the order of each kernel. */
#ifndef MBN_X86_H
#define MBN_X86_H

#include <stdint.h>

#include "mbn_kernels.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_x86.h is of another version of mbn2c: take all files from one build"
#endif

/* Convolution and fully connected layer. Windows of more than a pixel are copied to columns, and those are the pixels. */
typedef struct {
    const int8_t *weights;
    const int32_t
        *bias; /* input zero point, and what the kernel adds to inputs, folded in; filled up to whole vectors */
    const float *scale; /* likewise */
    int32_t taps;       /* of one output; inputs of a 1x1 convolution */
    int32_t in_bytes;   /* from an input pixel, or a column, to the next */
    int32_t out_channels;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
} mbn_conv2d_x86_params;

/* Depthwise convolution. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias; /* as above, in the order of the weights */
    const float *scale;  /* likewise */
    int32_t period;      /* channels of a long row after which the constants repeat; 0: a row is many pixels */
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t step;         /* bytes between the windows of two output pixels: stride * channels */
    int32_t column;       /* bytes between the columns of a window: dilation * channels */
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
} mbn_depthwise_conv2d_x86_params;

#endif
