/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for x86-64 with AVX-512 (F, BW, VL) and VNNI.
 *
 * VPDPBUSD multiplies unsigned by signed bytes: inputs are read with 128 added, which the biases take off again. Rows are
 * interleaved, [pixel][channel]. Kernels may read up to 15 bytes past the last row they are given. */
#ifndef MBN_X86_AVX512_VNNI_H
#define MBN_X86_AVX512_VNNI_H

#include <stdint.h>

#include "mbn_kernels.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_x86_avx512_vnni.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution and fully connected layer. Windows of more than a pixel are copied to columns, and those are the pixels. */
typedef struct {
    const int8_t *weights; /* per 16 outputs, per 4 taps: the 4 bytes of each output; filled up with zeros */
    const int32_t *bias;   /* input zero point and 128 folded in; as many as outputs, rounded up to 16 */
    const float *scale;    /* likewise */
    int32_t taps;          /* of one output; inputs of a 1x1 convolution */
    int32_t in_bytes;      /* from an input pixel, or a column, to the next */
    int32_t out_channels;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
} mbn_conv2d_x86_avx512_vnni_params;

/* Depthwise convolution. Where windows are one pixel apart and output pixels lie side by side, a row is one long pixel, so
 * that few channels fill a vector, too. */
typedef struct {
    /* per 64 channels of a period or pixel, per 4 taps, per 4 channels of each 16: the 4 taps of each; filled up with zeros */
    const int8_t *weights;
    const int32_t *bias; /* input zero point and 128 folded in; of 64 channels in the same order */
    const float *scale;  /* likewise */
    int32_t period;      /* channels of a long row after which the constants repeat; 0: a row is many pixels */
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t step;         /* bytes between the windows of two output pixels: stride * channels */
    int32_t column;       /* bytes between the columns of a window: dilation * channels */
    int32_t pixel_stride; /* bytes from an output pixel to the next */
    int32_t zero_point;
} mbn_depthwise_conv2d_x86_avx512_vnni_params;

void mbn_conv2d_1x1_s8_x86_avx512_vnni(const mbn_conv2d_x86_avx512_vnni_params *p, const int8_t *const *rows,
                                       int8_t *out, int32_t count, void *scratch);
/* scratch: 12 windows, each rounded up to 4 bytes, and 16 bytes more */
void mbn_conv2d_s8_x86_avx512_vnni(const mbn_conv2d_x86_avx512_vnni_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
/* At most 48 taps. */
void mbn_depthwise_conv2d_s8_x86_avx512_vnni(const mbn_depthwise_conv2d_x86_avx512_vnni_params *p,
                                             const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
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
