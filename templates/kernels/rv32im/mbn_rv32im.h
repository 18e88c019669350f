/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for RISC-V RV32IM. */
#ifndef MBN_RV32IM_H
#define MBN_RV32IM_H

#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_rv32im.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* How a sum becomes int8, four words a channel. n = sum + LOW;
 *   SPAN not 0  n is clamped to 0..SPAN; the result is the highest byte of n * FACTOR + OFFSET
 *   SPAN 0      n * FACTOR >> 39, clamped to 0..255, minus 128 */
enum { MBN_RV32IM_LOW, MBN_RV32IM_FACTOR, MBN_RV32IM_OFFSET, MBN_RV32IM_SPAN, MBN_RV32IM_WORDS };

typedef struct {
    const int8_t *weights;     /* [pairs of outputs][inputs][2], zero beyond the last output; of four bits: */
                               /* [pairs of outputs][inputs], the second output's in the upper halves of bytes */
    const int8_t *groups;      /* lengths of the groups of each pair, which add up to inputs */
    const int32_t *requantize; /* [outputs, made even][MBN_RV32IM_WORDS] */
    uint16_t kernel_height;
    uint16_t row_bytes;  /* kernel_width * input channels: contiguous bytes of one window row */
    uint16_t step_bytes; /* stride * input channels: from one output pixel to the next */
    uint16_t inputs;     /* kernel_height * row_bytes */
    uint16_t outputs;
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_conv2d_rv32im_params;

typedef struct {
    const int8_t *weights;     /* [channels][kernel_height * kernel_width] */
    const int32_t *requantize; /* [channels][MBN_RV32IM_WORDS] */
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t channels;
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_depthwise_conv2d_rv32im_params;

/* scratch: 4 * pairs * inputs bytes, 4-aligned, with as many pairs of pixels as fit count, at most 3 */
void mbn_conv2d_s8_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch);
void mbn_conv2d_w4_s8_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch);
void mbn_depthwise_conv2d_3x3_s1_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s2_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s1_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s2_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch);

static inline int8_t mbn_requantize_short_rv32im(int32_t sum, int32_t low, int32_t factor, int32_t offset, int32_t span)
{
    int32_t n = (int32_t)((uint32_t)sum + (uint32_t)low);
    if ((uint32_t)n > (uint32_t)span) {
        n = ~(n >> 31) & span;
    }
    return (int8_t)(uint8_t)(((uint32_t)n * (uint32_t)factor + (uint32_t)offset) >> 24);
}

static inline int8_t mbn_requantize_long_rv32im(int32_t sum, int32_t low, int32_t factor)
{
    const int32_t n = (int32_t)((uint32_t)sum + (uint32_t)low);
    int32_t stair = (int32_t)(((int64_t)n * factor) >> 39);
    if ((uint32_t)stair > 255u) {
        stair = ~(stair >> 31);
    }
    return (int8_t)(uint8_t)(stair - 128);
}

static inline int8_t mbn_requantize_rv32im(int32_t sum, const int32_t *q)
{
    if (q[MBN_RV32IM_SPAN] == 0) {
        return mbn_requantize_long_rv32im(sum, q[MBN_RV32IM_LOW], q[MBN_RV32IM_FACTOR]);
    }
    return mbn_requantize_short_rv32im(sum, q[MBN_RV32IM_LOW], q[MBN_RV32IM_FACTOR], q[MBN_RV32IM_OFFSET],
                                       q[MBN_RV32IM_SPAN]);
}

/* --- the core of conv2d, in assembly; conv2d_core_rv32im.c ------------------------------------------------------- */

/* What a block of pixels works on; the offsets are in the assembly. */
typedef struct {
    const int32_t *words;      /*  0: [inputs][pairs] */
    const int32_t *words_end;  /*  4 */
    const int32_t *requantize; /*  8 */
    int8_t *out;               /* 12 */
    const int8_t *out_end;     /* 16 */
    int32_t stride;            /* 20: from pixel to pixel in `out` */
    int32_t second;            /* 24: place of the second channel of a pair, 1; 0 if there is none */
    int32_t last;              /* 28: place of the last odd pixel, or of its even neighbour if the row ends there */
    const int8_t *weights;     /* 32 */
    const int8_t *groups;      /* 36 */
} mbn_conv2d_frame_rv32im;

void mbn_conv2d_block1_rv32im(mbn_conv2d_frame_rv32im *f);
void mbn_conv2d_block2_rv32im(mbn_conv2d_frame_rv32im *f);
void mbn_conv2d_block3_rv32im(mbn_conv2d_frame_rv32im *f);
void mbn_conv2d_w4_block1_rv32im(mbn_conv2d_frame_rv32im *f);
void mbn_conv2d_w4_block2_rv32im(mbn_conv2d_frame_rv32im *f);
void mbn_conv2d_w4_block3_rv32im(mbn_conv2d_frame_rv32im *f);

#ifdef __cplusplus
}
#endif

#endif
