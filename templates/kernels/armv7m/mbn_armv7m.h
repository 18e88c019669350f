/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for Cortex-M3 (Armv7-M without DSP). */
#ifndef MBN_ARMV7M_H
#define MBN_ARMV7M_H

#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_armv7m.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const void *weights;       /* int8_t [outputs][inputs], zero beyond kernel_height * row_bytes; of four bits: */
                               /* uint32_t [outputs][inputs / 8], the first input in the lowest bits */
    const int32_t *requantize; /* [outputs][5]: M, R of an even pixel, R of an odd pixel; R low word first */
    uint16_t kernel_height;
    uint16_t row_bytes;  /* kernel_width * input channels: contiguous bytes of one window row */
    uint16_t step_bytes; /* stride * input channels: from one output pixel to the next */
    uint16_t inputs;     /* kernel_height * row_bytes, rounded up to 8 */
    uint16_t outputs;
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_conv2d_armv7m_params;

typedef struct {
    const int8_t *weights;     /* [channels][kernel_height * kernel_width] */
    const int32_t *requantize; /* [channels][3]: M, R */
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t channels;
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_depthwise_conv2d_armv7m_params;

/* scratch: 4 * pairs * inputs bytes, 4-aligned, with as many pairs of pixels as fit count, at most 3 */
void mbn_conv2d_s8_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch);
void mbn_conv2d_w4_s8_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch);
void mbn_depthwise_conv2d_3x3_s1_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s2_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s1_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s2_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch);

/* --- the core of conv2d, in assembly; conv2d_core_armv7m.c ------------------------------------------------------- */

/* All channels of six pixels. The assembly knows the order of the members. */
typedef struct {
    const int32_t *a; /* words of three pairs of pixels */
    const int32_t *a_end;
    int8_t *out;
    int32_t stride; /* from pixel to pixel in `out` */
    int32_t last;   /* place of the last odd pixel, or of its even neighbour if the row ends there */
    const int8_t *out_end;
} mbn_conv2d_frame_armv7m;

void mbn_conv2d_block3_armv7m(const mbn_conv2d_frame_armv7m *f, const void *weights, const int32_t *requantize);
void mbn_conv2d_w4_block3_armv7m(const mbn_conv2d_frame_armv7m *f, const void *weights, const int32_t *requantize);

#ifdef __cplusplus
}
#endif

#endif
