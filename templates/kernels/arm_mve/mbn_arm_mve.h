/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the Helium kernels.
 *
 * Rows are interleaved, [pixel][channel], or planar, [channel][padded column]: depthwise kernels read planar rows, and
 * convolutions write them where out_stride is positive. A planar row is given by its first pixel of channel 0; kernels never
 * write its padding. Kernels may read up to 15 bytes past the last row they are given. */
#ifndef MBN_ARM_MVE_H
#define MBN_ARM_MVE_H

#include <stdint.h>

#include "mbn_kernels.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_arm_mve.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- the convolution core, in assembly; conv_core_arm_mve.c ------------------------------------------------------ */

/* One to four pixels times all output channels, two channels at a time.
 * The assembly knows the order of the members. */
typedef struct {
    int8_t *out;
    const int8_t *x0; /* taps of the pixels */
    int32_t zero_point;
    const int8_t *x1;
    int32_t advance; /* bytes from one channel pair to the next in the output */
    const int8_t *x2;
    const int32_t *weights_end;
    const int8_t *x3;
    int32_t passes; /* of the loop over 4 x 16 taps */
    int32_t skip;   /* steps of 16 taps to skip in the first pass, 0..3 */
    /* per channel pair: bias_even x 4, bias_odd x 4; per 16 taps their bytes of even, of odd; multipliers even x 2, odd x 2 */
    const int32_t *weights;
    /* of 8 outputs from `out`: pixels 0 to 3 of the even channel, of the odd one; then a mask of lanes */
    const uint16_t *offsets;
} mbn_conv_block_mve;

void mbn_conv_block1_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_block2_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_block3_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_block4_arm_mve(const mbn_conv_block_mve *b);
/* At most 16 taps. */
void mbn_conv_block3_short_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_block4_short_arm_mve(const mbn_conv_block_mve *b);

/* Weights of four bits: per channel pair 16 * bias_even x 4, 16 * bias_odd x 4; per 16 taps a byte each, w_odd in its upper
 * half and w_even in its lower one; multipliers as above. */
void mbn_conv_w4_block1_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_w4_block2_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_w4_block3_arm_mve(const mbn_conv_block_mve *b);
void mbn_conv_w4_block4_arm_mve(const mbn_conv_block_mve *b);

/* --- the depthwise core, in assembly; depthwise_core_arm_mve.c --------------------------------------------------- */

/* Where a group of up to 8 outputs goes. */
typedef struct {
    uint16_t lane[8];
    uint32_t mask;  /* of lanes */
    int32_t second; /* bytes to the second group */
} mbn_depthwise_offsets_mve;

/* A block of outputs of every channel. The assembly knows the order of the members. */
typedef struct {
    const int8_t *rows[3]; /* planar, at the first column needed of channel 0 */
    int8_t *scratch;       /* 64 bytes */
    const int8_t *weights;
    int8_t *out;
    int32_t channel_stride;
    int32_t zero_point;
    const mbn_depthwise_offsets_mve *offsets;
    const int8_t *weights_end;
} mbn_depthwise_block_mve;

#define MBN_DEPTHWISE_FUNCTION(outputs, stride) \
    void mbn_depthwise_block##outputs##_s##stride##_arm_mve(const mbn_depthwise_block_mve *b);
MBN_DEPTHWISE_FUNCTION(1, 1)
MBN_DEPTHWISE_FUNCTION(2, 1)
MBN_DEPTHWISE_FUNCTION(3, 1)
MBN_DEPTHWISE_FUNCTION(4, 1)
MBN_DEPTHWISE_FUNCTION(5, 1)
MBN_DEPTHWISE_FUNCTION(6, 1)
MBN_DEPTHWISE_FUNCTION(7, 1)
MBN_DEPTHWISE_FUNCTION(8, 1)
MBN_DEPTHWISE_FUNCTION(10, 1)
MBN_DEPTHWISE_FUNCTION(12, 1)
MBN_DEPTHWISE_FUNCTION(14, 1)
MBN_DEPTHWISE_FUNCTION(1, 2)
MBN_DEPTHWISE_FUNCTION(2, 2)
MBN_DEPTHWISE_FUNCTION(3, 2)
MBN_DEPTHWISE_FUNCTION(4, 2)
MBN_DEPTHWISE_FUNCTION(5, 2)
MBN_DEPTHWISE_FUNCTION(6, 2)
MBN_DEPTHWISE_FUNCTION(7, 2)
#undef MBN_DEPTHWISE_FUNCTION

/* --- the depthwise core for interleaved rows, in assembly; depthwise_interleaved_core_arm_mve.c ------------------ */

/* Output pixels of every channel. The assembly knows the order of the members. */
typedef struct {
    const int8_t *rows[3];
    int32_t channels;
    int32_t zero_point;
    int8_t *out;
    const int32_t *weights;
    int32_t count;    /* output pixels, at least 1 */
    int32_t row_step; /* from where the reading of a pixel ends to the next one */
    int32_t out_step; /* the same for writing */
} mbn_depthwise_pixels_mve;

void mbn_depthwise_pixels_arm_mve(const mbn_depthwise_pixels_mve *b);

/* The same for 5x5; depthwise_5x5_interleaved_core_arm_mve.c. */
typedef struct {
    const int8_t *rows[5];
    int32_t channels;
    int32_t zero_point;
    int8_t *out;
    const int32_t *weights;
    int32_t count;
    int32_t row_step;
    int32_t out_step;
} mbn_depthwise_5x5_pixels_mve;

void mbn_depthwise_5x5_pixels_arm_mve(const mbn_depthwise_5x5_pixels_mve *b);

/* --- which functions of the cores a network's layers need ---------------------------------------------------------
 *
 * A kernel calls the cores through a table that the network's C holds, so that the linker keeps of them what the network
 * needs. What no layer needs is NULL. */

typedef void (*mbn_conv_block_arm_mve)(const mbn_conv_block_mve *b);
typedef void (*mbn_depthwise_block_arm_mve)(const mbn_depthwise_block_mve *b);

typedef struct {
    mbn_conv_block_arm_mve blocks[4];       /* 1, 2, 3, 4 pixels */
    mbn_conv_block_arm_mve short_blocks[2]; /* 3, 4 pixels of at most 16 taps */
} mbn_conv_parts_arm_mve;

typedef struct {
    mbn_depthwise_block_arm_mve blocks[11]; /* 1 to 7, 8, 10, 12, 14 outputs */
} mbn_depthwise_parts_arm_mve;

/* --- the kernels -------------------------------------------------------------------------------------------------- */

/* 1x1 convolution and fully connected layer. */
typedef struct {
    const int32_t *weights; /* packed: see mbn_conv_block_mve */
    const mbn_conv_parts_arm_mve *parts;
    int32_t in_channels;
    int32_t in_bytes; /* from an input pixel to the next */
    int32_t out_channels;
    int32_t zero_point;
    int32_t out_stride; /* bytes between channels of a planar output row; or minus those between interleaved pixels */
} mbn_conv2d_1x1_arm_mve_params;

/* Any window as a 1x1 convolution over taps [kernel_height][kernel_width][channel]. */
typedef struct {
    const int32_t *weights;
    const mbn_conv_parts_arm_mve *parts;
    int32_t taps;
    int32_t out_channels;
    int32_t zero_point;
    int32_t out_stride;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
} mbn_conv2d_arm_mve_params;

/* 3x3 depthwise convolution. */
typedef struct {
    /* per channel 28 bytes: 0 0 0 0, three columns of w_0j w_1j w_2j 0, 0 0 0 0, bias, multiplier */
    const int32_t *weights;
    const mbn_depthwise_parts_arm_mve *parts;
    int32_t channels;
    int32_t stride;
    int32_t zero_point;
    int32_t channel_stride; /* bytes between channels of the planar input rows */
    int32_t block;          /* outputs made at once */
    int32_t pixel_stride;   /* bytes between output pixels */
} mbn_depthwise_conv2d_arm_mve_params;

/* The same for interleaved rows, and 5x5. */
typedef struct {
    const int32_t
        *weights; /* per 16 channels: biases, 9 or 25 taps of 16 bytes, multipliers; the last group is filled up */
    int32_t channels;
    int32_t stride;
    int32_t zero_point;
    int32_t pixel_stride; /* bytes between output pixels */
} mbn_depthwise_interleaved_arm_mve_params;

/* Likewise, of any window. */
typedef struct {
    const int32_t *weights;
    int32_t channels;
    int32_t stride;
    int32_t zero_point;
    int32_t pixel_stride;
    int32_t kernel_height, kernel_width;
    int32_t column_bytes; /* between the taps of a kernel row: dilation * channels */
} mbn_depthwise_any_arm_mve_params;

/* Layers whose input or output is int16: out = clamp((((acc << lift) * multiplier + 2^31) >> 32) + zero_point). */
typedef struct {
    /* per channel pair: biases, per eight taps their bytes of the even and of the odd channel, multipliers */
    const int32_t *weights;
    int32_t taps; /* rounded up to a multiple of 8 */
    int32_t out_channels;
    int32_t kernel_height;
    int32_t row_values; /* of one kernel row: kernel_width * channels */
    int32_t step;       /* values between the windows of two output pixels: stride * channels */
    int32_t is_direct;  /* the window is a pixel, which is read where it lies */
    int32_t lift, zero_point, low, high;
    int32_t wide_in, wide_out;
} mbn_conv2d_s16_arm_mve_params;

/* Likewise; depthwise, interleaved rows. */
typedef struct {
    /* per eight channels, 0 2 4 6 and 1 3 5 7: biases; per tap their bytes; multipliers as biases */
    const int32_t *weights;
    int32_t channels;
    int32_t kernel_height, kernel_width;
    int32_t stride, dilation;
    int32_t lift, zero_point, low, high;
    int32_t wide_in, wide_out;
} mbn_depthwise_s16_arm_mve_params;

/* out = saturate((a * multiplier_a + b * multiplier_b + offset) >> shift) */
typedef struct {
    int32_t channels;
    int32_t pixel_stride; /* bytes between output pixels */
    int32_t multiplier_a;
    int32_t multiplier_b;
    int32_t offset;
    int32_t shift;
} mbn_add_arm_mve_params;

/* A tensor times a number per channel: out = saturate(((a' * b' * multiplier + 2^31) >> 32) + zero_point), a' and b' without
 * their zero points. */
typedef struct {
    int32_t channels;
    int32_t pixel_stride; /* bytes between output pixels */
    int32_t zero_point_a;
    int32_t zero_point_b;
    int32_t multiplier;
    int32_t zero_point;
} mbn_mul_vector_arm_mve_params;

/* out = saturate((((sum + bias) * multiplier + 2^31) >> 32) + zero_point) */
typedef struct {
    int32_t channels;
    int32_t bias; /* minus the input zero point, once per summed pixel */
    int32_t multiplier;
    int32_t zero_point;
} mbn_pool_arm_mve_params;

/* All pairs of output channels of `count` pixels, whose weights take so many words for 16 taps; conv2d_1x1.c. */
void mbn_conv_pixels_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *in, int8_t *out, int32_t count,
                             int32_t vector_words);

void mbn_conv2d_1x1_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_conv2d_1x1_w4_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch);
void mbn_conv2d_1x1_w4_odd_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch);
void mbn_conv2d_1x1_odd_s8_arm_mve(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
void mbn_conv2d_3rows_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch);
void mbn_conv2d_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch);
void mbn_conv2d_odd_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s8_arm_mve(const mbn_depthwise_conv2d_arm_mve_params *p, const int8_t *const *rows,
                                         int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_interleaved_s8_arm_mve(const mbn_depthwise_interleaved_arm_mve_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch);
void mbn_max_pool2d_s8_arm_mve(const mbn_max_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                               void *scratch);

void mbn_depthwise_conv2d_5x5_interleaved_s8_arm_mve(const mbn_depthwise_interleaved_arm_mve_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch);
void mbn_depthwise_conv2d_interleaved_s8_arm_mve(const mbn_depthwise_any_arm_mve_params *p, const int8_t *const *rows,
                                                 int8_t *out, int32_t count, void *scratch);
void mbn_lookup_s8_arm_mve(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch);
void mbn_mul_vector_s8_arm_mve(const mbn_mul_vector_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_add_s8_arm_mve(const mbn_add_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch);

void mbn_conv2d_s16_arm_mve(const mbn_conv2d_s16_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                            int32_t count, void *scratch);
void mbn_depthwise_conv2d_s16_arm_mve(const mbn_depthwise_s16_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch);
void mbn_add_s16_arm_mve(const mbn_add_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch);

/* Adds one input row to the sums in scratch (int32 per channel, zero at first); _finish makes the output pixel of them. */
void mbn_global_average_pool_s8_arm_mve(const mbn_pool_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch);
void mbn_global_average_pool_s8_arm_mve_finish(const mbn_pool_arm_mve_params *p, int8_t *out, const void *scratch);

#ifdef __cplusplus
}
#endif

#endif
