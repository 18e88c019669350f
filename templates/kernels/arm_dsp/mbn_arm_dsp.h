/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the Arm DSP kernels.
 *
 * Rows are interleaved, [pixel][channel], or planar, [channel][padded column]: depthwise kernels read planar rows, and
 * convolutions write them where out_stride is positive. A planar row is given by its first pixel of channel 0; kernels never write its padding. */
#ifndef MBN_ARM_DSP_H
#define MBN_ARM_DSP_H

#include <stddef.h>
#include <stdint.h>

#include "mbn_kernels.h"

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_arm_dsp.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- the convolution core, in assembly; conv_core_arm_dsp.c ------------------------------------------------------ */

/* One to four pixels times all output channels, two channels at a time.
 * The assembly knows the order of the members. */
typedef struct {
    int32_t zero_point;
    int8_t *out;
    int32_t out_stride; /* bytes between channels (planar) or between pixels (interleaved; minus these: `shared`) */
    const uint32_t *x;  /* inputs [pair of taps][pixel], two int16 each */
    const uint32_t *weights_end;
    const uint32_t *x_end;
    int32_t skip; /* steps of 4 taps to skip in the first pass of the loop over four (quads: eight), 0..4 (8) */
                  /* steps of 8 taps of weights of four bits in that of the loop over two, 0..2 */
    const uint32_t *multipliers; /* of all layers; unused by functions whose pairs have their own */
    /* per channel pair: bias_even, 256 * bias_odd + bias_even, one word per pair of taps, multipliers of even and odd */
    const uint32_t *weights;
} mbn_conv_block;

/* Where the windows of some pixels start, for mbn_gather. */
typedef struct {
    const int8_t *rows[3];
    int32_t step; /* bytes from pixel to pixel */
    uint32_t *x;
} mbn_gather;

/* `planar` and `interleaved` say how the output row lies. `w4`: weights of four bits. Per channel pair bias_even,
 * 16 * bias_odd + bias_even, one word per four taps of bytes 16 * w_odd + w_even + 8, multipliers; behind x, 8 times the
 * sum of each pixel's inputs. `shared`, for either layout: per channel pair 256 * bias of even and odd, and the words of its taps; in the lower
 * bytes of the first two words behind it which multipliers they have. */
#define MBN_CONV_FUNCTIONS(pixels)                                                                        \
    void mbn_conv_block##pixels##_planar_arm_dsp(const mbn_conv_block *b);                                \
    void mbn_conv_block##pixels##_interleaved_arm_dsp(const mbn_conv_block *b);                           \
    void mbn_conv_w4_block##pixels##_planar_arm_dsp(const mbn_conv_block *b);                             \
    void mbn_conv_w4_block##pixels##_interleaved_arm_dsp(const mbn_conv_block *b);                        \
    void mbn_conv_shared_block##pixels##_arm_dsp(const mbn_conv_block *b);                                \
    void mbn_conv_w4_shared_block##pixels##_arm_dsp(const mbn_conv_block *b);                             \
    void mbn_widen##pixels##_arm_dsp(const int8_t *in, int32_t channels, uint32_t *x, const int8_t *end); \
    void mbn_gather##pixels##_3x3x3_arm_dsp(const mbn_gather *g);                                         \
    void mbn_gather##pixels##_3x3x1_arm_dsp(const mbn_gather *g);
MBN_CONV_FUNCTIONS(1)
MBN_CONV_FUNCTIONS(2)
MBN_CONV_FUNCTIONS(3)
MBN_CONV_FUNCTIONS(4)
#undef MBN_CONV_FUNCTIONS

/* Two channel pairs at a time: both pairs' biases, per pair of taps a word of each, both pairs' multipliers. */
void mbn_conv_quad1_planar_arm_dsp(const mbn_conv_block *b);
void mbn_conv_quad1_interleaved_arm_dsp(const mbn_conv_block *b);
void mbn_conv_quad2_planar_arm_dsp(const mbn_conv_block *b);
void mbn_conv_quad2_interleaved_arm_dsp(const mbn_conv_block *b);

/* How many of the `count` pixels left the next block takes. Three pixels cost fewer instructions per multiplication than
 * four, four cost fewer per output; one or two are expensive. */
static inline int32_t mbn_next_pixels(int32_t count, int32_t groups)
{
    if (count <= 4) {
        return count;
    }
    return count == 5 || count == 6 || (groups >= 8 && count % 3 == 0) ? 3 : 4;
}

/* --- the same where the input or the output is int16; conv_s16_core_arm_dsp.c ------------------------------------ */

/* The assembly knows the order of the members. */
typedef struct {
    int32_t lift; /* of a sum, to the left, before it is multiplied */
    int32_t zero_point;
    uint32_t low, high; /* twice, in both halves */
    int8_t *out;
    int32_t out_stride; /* bytes between pixels */
    const uint32_t *x;  /* inputs [pair of taps][pixel], two int16 each */
    const uint32_t *weights_end;
    const uint32_t *x_end;
    int32_t skip; /* steps of 4 taps to skip in the first pass of the loop over four, 0..4 */
    /* per channel pair: biases, per pair of taps a word of bytes even odd even odd, multipliers */
    const uint32_t *weights;
} mbn_conv_s16_block;

/* The output is int16 where it is wide, else int8. */
#define MBN_CONV_FUNCTIONS(pixels)                                               \
    void mbn_conv_s16_block##pixels##_wide_arm_dsp(const mbn_conv_s16_block *b); \
    void mbn_conv_s16_block##pixels##_narrow_arm_dsp(const mbn_conv_s16_block *b);
MBN_CONV_FUNCTIONS(1)
MBN_CONV_FUNCTIONS(2)
MBN_CONV_FUNCTIONS(3)
MBN_CONV_FUNCTIONS(4)
#undef MBN_CONV_FUNCTIONS

/* --- the 3x3 depthwise core where the input or the output is int16; depthwise_s16_core_arm_dsp.c ----------------- */

/* A pixel of all channels. The assembly knows the order of the members. */
typedef struct {
    const int8_t *rows[3];
    int32_t lift;
    int32_t zero_point;
    uint32_t low, high; /* twice, in both halves */
    int8_t *out;
    int32_t column; /* bytes between the taps of a row */
    const uint32_t *weights_end;
    const uint32_t *weights; /* packed: see mbn_depthwise_s16_arm_dsp_params */
} mbn_depthwise_s16_pixel;

void mbn_depthwise_s16_wide_to_wide_arm_dsp(const mbn_depthwise_s16_pixel *b);
void mbn_depthwise_s16_wide_to_narrow_arm_dsp(const mbn_depthwise_s16_pixel *b);
void mbn_depthwise_s16_narrow_to_wide_arm_dsp(const mbn_depthwise_s16_pixel *b);

/* --- the depthwise core, in assembly; depthwise_core_arm_dsp.c --------------------------------------------------- */

/* One or more blocks of outputs of every channel. The assembly knows the order of the members. */
typedef struct {
    int32_t zero_point;
    int32_t out_stride; /* bytes between pixels */
    int8_t *out;
    const int8_t *rows[3]; /* at the first column needed of channel 0 */
    int32_t row_skip; /* from where the reading of a channel ends to the next channel; with one block: channel stride */
    int32_t out_back; /* from the end of a channel's outputs to the first of the next */
    const uint32_t *weights_end;
    int32_t blocks_left, blocks; /* blocks per channel */
    const uint32_t *multipliers; /* of all layers; unused by functions whose channels have their own */
    const uint32_t *weights;
} mbn_depthwise_block;

/* The `once` functions make one block of every channel. `shared`, for any number of blocks: a channel has a byte that says which
 * multiplier is its own. */
#define MBN_DEPTHWISE_FUNCTIONS(outputs)                                                 \
    void mbn_depthwise_block##outputs##_s1_arm_dsp(const mbn_depthwise_block *b);        \
    void mbn_depthwise_block##outputs##_s2_arm_dsp(const mbn_depthwise_block *b);        \
    void mbn_depthwise_block##outputs##_once_s1_arm_dsp(const mbn_depthwise_block *b);   \
    void mbn_depthwise_block##outputs##_once_s2_arm_dsp(const mbn_depthwise_block *b);   \
    void mbn_depthwise_shared_block##outputs##_s1_arm_dsp(const mbn_depthwise_block *b); \
    void mbn_depthwise_shared_block##outputs##_s2_arm_dsp(const mbn_depthwise_block *b);
MBN_DEPTHWISE_FUNCTIONS(1)
MBN_DEPTHWISE_FUNCTIONS(2)
MBN_DEPTHWISE_FUNCTIONS(3)
MBN_DEPTHWISE_FUNCTIONS(4)
MBN_DEPTHWISE_FUNCTIONS(5)
MBN_DEPTHWISE_FUNCTIONS(6)
MBN_DEPTHWISE_FUNCTIONS(7)
MBN_DEPTHWISE_FUNCTIONS(8)
#undef MBN_DEPTHWISE_FUNCTIONS

/* --- the 5x5 depthwise core, in assembly; depthwise_5x5_core_arm_dsp.c ------------------------------------------- */

/* As mbn_depthwise_block. */
typedef struct {
    int32_t zero_point;
    int32_t out_stride;
    int8_t *out;
    const int8_t *rows[5];
    int32_t row_skip;
    int32_t out_back;
    const uint32_t *weights_end;
    int32_t blocks_left, blocks;
    const uint32_t *weights;
} mbn_depthwise_5x5_block;

#define MBN_DEPTHWISE_FUNCTIONS(outputs)                                                       \
    void mbn_depthwise_5x5_block##outputs##_s1_arm_dsp(const mbn_depthwise_5x5_block *b);      \
    void mbn_depthwise_5x5_block##outputs##_s2_arm_dsp(const mbn_depthwise_5x5_block *b);      \
    void mbn_depthwise_5x5_block##outputs##_once_s1_arm_dsp(const mbn_depthwise_5x5_block *b); \
    void mbn_depthwise_5x5_block##outputs##_once_s2_arm_dsp(const mbn_depthwise_5x5_block *b);
MBN_DEPTHWISE_FUNCTIONS(1)
MBN_DEPTHWISE_FUNCTIONS(2)
MBN_DEPTHWISE_FUNCTIONS(3)
MBN_DEPTHWISE_FUNCTIONS(4)
MBN_DEPTHWISE_FUNCTIONS(5)
MBN_DEPTHWISE_FUNCTIONS(6)
MBN_DEPTHWISE_FUNCTIONS(7)
#undef MBN_DEPTHWISE_FUNCTIONS

/* --- the depthwise core for interleaved rows; depthwise_interleaved_core_arm_dsp.c ------------------------------- */

/* One or two output pixels of every channel. The assembly knows the order of the members. */
typedef struct {
    int32_t zero_point;
    int8_t *out;
    int32_t out_stride; /* bytes between pixels */
    int32_t in_bytes;   /* the same of the rows */
    const int8_t *rows[3];
    const uint32_t *weights_end;
    const uint32_t *weights;
} mbn_depthwise_pixels;

void mbn_depthwise_one_arm_dsp(const mbn_depthwise_pixels *b);
void mbn_depthwise_two_s1_arm_dsp(const mbn_depthwise_pixels *b);
void mbn_depthwise_two_s2_arm_dsp(const mbn_depthwise_pixels *b);

/* --- the 5x5 depthwise core for interleaved rows; depthwise_5x5_interleaved_core_arm_dsp.c ----------------------- */

/* One to three output pixels of every channel. The assembly knows the order of the members. */
typedef struct {
    int32_t zero_point;
    int8_t *out;
    int32_t out_stride; /* bytes between pixels */
    int32_t in_bytes;   /* the same of the rows */
    const int8_t *rows[5];
    const uint32_t *weights_end;
    const uint32_t *weights;
} mbn_depthwise_5x5_pixels;

void mbn_depthwise_5x5_pixels1_s1_arm_dsp(const mbn_depthwise_5x5_pixels *b);
void mbn_depthwise_5x5_pixels2_s1_arm_dsp(const mbn_depthwise_5x5_pixels *b);
void mbn_depthwise_5x5_pixels3_s1_arm_dsp(const mbn_depthwise_5x5_pixels *b);
void mbn_depthwise_5x5_pixels2_s2_arm_dsp(const mbn_depthwise_5x5_pixels *b);
void mbn_depthwise_5x5_pixels3_s2_arm_dsp(const mbn_depthwise_5x5_pixels *b);

/* --- which functions of the cores a network's layers need ---------------------------------------------------------
 *
 * A kernel calls the cores through a table that the network's C holds, so that the linker keeps of them what the network
 * needs. What no layer needs is NULL. */

typedef void (*mbn_conv_block_arm_dsp)(const mbn_conv_block *b);
typedef void (*mbn_depthwise_block_arm_dsp)(const mbn_depthwise_block *b);
typedef void (*mbn_depthwise_5x5_block_arm_dsp)(const mbn_depthwise_5x5_block *b);
typedef void (*mbn_depthwise_pixels_arm_dsp)(const mbn_depthwise_pixels *b);
typedef void (*mbn_depthwise_5x5_pixels_arm_dsp)(const mbn_depthwise_5x5_pixels *b);

/* For 1, 2, 3, 4 pixels. Where a table has multipliers, its functions are the `shared` ones. */
typedef struct {
    mbn_conv_block_arm_dsp planar[4];
    mbn_conv_block_arm_dsp interleaved[4];
    void (*widen[4])(const int8_t *in, int32_t channels, uint32_t *x, const int8_t *end);
    const uint32_t *multipliers;
} mbn_conv_parts_arm_dsp;

typedef struct {
    mbn_conv_block_arm_dsp planar[4];
    mbn_conv_block_arm_dsp interleaved[4];
    void (*gather[4])(const mbn_gather *g);
    const uint32_t *multipliers;
} mbn_conv_3x3_parts_arm_dsp;

/* For 1 to 8 outputs in several blocks, and in one. */
typedef struct {
    mbn_depthwise_block_arm_dsp several[8];
    mbn_depthwise_block_arm_dsp once[8];
    const uint32_t *multipliers;
} mbn_depthwise_parts_arm_dsp;

/* Likewise for 1 to 7 outputs. */
typedef struct {
    mbn_depthwise_5x5_block_arm_dsp several[7];
    mbn_depthwise_5x5_block_arm_dsp once[7];
} mbn_depthwise_5x5_parts_arm_dsp;

typedef struct {
    mbn_depthwise_pixels_arm_dsp one;
    mbn_depthwise_pixels_arm_dsp two;
} mbn_depthwise_interleaved_parts_arm_dsp;

/* For 1, 2, 3 pixels. */
typedef struct {
    mbn_depthwise_5x5_pixels_arm_dsp pixels[3];
} mbn_depthwise_5x5_interleaved_parts_arm_dsp;

/* For 1, 2, 3, 4 pixels. */
typedef struct {
    void (*wide[4])(const mbn_conv_s16_block *b);
    void (*narrow[4])(const mbn_conv_s16_block *b);
    void (*widen[4])(const int8_t *in, int32_t channels, uint32_t *x, const int8_t *end);
} mbn_conv_s16_parts_arm_dsp;

typedef void (*mbn_depthwise_s16_pixel_arm_dsp)(const mbn_depthwise_s16_pixel *b);

typedef struct {
    mbn_depthwise_s16_pixel_arm_dsp wide_to_wide;
    mbn_depthwise_s16_pixel_arm_dsp wide_to_narrow;
    mbn_depthwise_s16_pixel_arm_dsp narrow_to_wide;
} mbn_depthwise_s16_parts_arm_dsp;

/* The words that a channel pair has besides its weights. */
static inline int32_t mbn_pair_constants(const uint32_t *multipliers)
{
    return multipliers != NULL ? 2 : 4;
}

/* The stride of an output row as its functions want it. */
static inline int32_t mbn_block_stride(int32_t out_stride, const uint32_t *multipliers)
{
    return multipliers == NULL && out_stride < 0 ? -out_stride : out_stride;
}

/* --- the kernels -------------------------------------------------------------------------------------------------- */

/* 1x1 convolution and fully connected layer. */
typedef struct {
    const uint32_t *weights; /* packed: see mbn_conv_block */
    const mbn_conv_parts_arm_dsp *parts;
    int32_t in_channels;
    int32_t in_bytes; /* from an input pixel to the next */
    int32_t out_channels;
    int32_t zero_point;
    int32_t out_stride; /* bytes between channels of a planar output row; or minus those between interleaved pixels */
} mbn_conv2d_1x1_arm_dsp_params;

/* How inputs and weights of any number of bits lie; conv2d_1x1.c. */
typedef struct {
    int32_t taps;  /* in whole groups */
    int32_t words; /* of a channel pair's weights */
    int32_t skip;  /* see mbn_conv_block */
    /* what some pixels want beside whole fours of channels, or NULL */
    void (*add)(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int32_t pixels, uint32_t *x, int32_t taps);
} mbn_conv_inputs;

/* The last one to three channels of some pixels, filled up with zeros to so many taps, as pairs of int16. */
void mbn_widen_rest_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int32_t pixels, uint32_t *x,
                            int32_t taps);
/* All pairs of output channels of `count` pixels. */
void mbn_conv_pixels_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *in, int8_t *out, int32_t count,
                             uint32_t *x, const mbn_conv_inputs *inputs);

/* Any window as a 1x1 convolution over taps [kernel_height][kernel_width][channel]. */
typedef struct {
    const uint32_t *weights;
    const mbn_conv_parts_arm_dsp *parts;
    int32_t taps; /* rounded up to a multiple of 4 */
    int32_t out_channels;
    int32_t zero_point;
    int32_t out_stride;
    int32_t kernel_height;
    int32_t row_bytes; /* of one kernel row: kernel_width * channels */
    int32_t step;      /* bytes between the windows of two output pixels: stride * channels */
} mbn_conv2d_arm_dsp_params;

/* Any window, in groups of channels. */
typedef struct {
    const uint32_t *weights; /* group behind group */
    const mbn_conv_parts_arm_dsp *parts;
    int32_t taps; /* of a group, rounded up to a multiple of 4 */
    int32_t groups;
    int32_t group_inputs;
    int32_t group_outputs; /* even */
    int32_t zero_point;
    int32_t out_stride;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t column_bytes; /* between the taps of a kernel row: dilation * channels */
    int32_t step;         /* as above */
} mbn_grouped_conv2d_arm_dsp_params;

/* 3x3 windows of one or three channels. */
typedef struct {
    const uint32_t *weights;
    const mbn_conv_3x3_parts_arm_dsp *parts;
    int32_t pairs;        /* of taps: 14 or 6 */
    int32_t out_channels; /* even */
    int32_t step;         /* as above */
    int32_t zero_point;
    int32_t out_stride;
} mbn_conv2d_3x3_arm_dsp_params;

/* 3x3 depthwise convolution. */
typedef struct {
    const uint32_t
        *weights; /* per channel: nine bytes of weights, bias of three bytes, multiplier or the byte for it */
    const mbn_depthwise_parts_arm_dsp *parts;
    int32_t channels;
    int32_t stride;
    int32_t zero_point;
    int32_t channel_stride; /* bytes between channels of the planar input rows */
    int32_t block;          /* outputs made at once */
    int32_t pixel_stride;   /* bytes between output pixels */
} mbn_depthwise_conv2d_arm_dsp_params;

/* The same for interleaved rows. */
typedef struct {
    const uint32_t *weights; /* per 4 channels: biases, 9 taps of (w0 w2) (w1 w3) as int16, multipliers */
    const mbn_depthwise_interleaved_parts_arm_dsp *parts;
    int32_t channels; /* a multiple of 4 */
    int32_t in_bytes; /* from an input pixel to the next */
    int32_t stride;
    int32_t zero_point;
    int32_t pixel_stride; /* bytes between output pixels */
} mbn_depthwise_interleaved_arm_dsp_params;

/* 5x5 depthwise convolution. */
typedef struct {
    const uint32_t *weights; /* per channel: 25 bytes of weights, bias of three bytes, multiplier */
    const mbn_depthwise_5x5_parts_arm_dsp *parts;
    int32_t channels;
    int32_t stride;
    int32_t zero_point;
    int32_t channel_stride; /* bytes between channels of the planar input rows */
    int32_t block;          /* outputs made at once */
    int32_t pixel_stride;   /* bytes from an output pixel to the next */
} mbn_depthwise_conv2d_5x5_arm_dsp_params;

/* Depthwise convolution of any window, interleaved rows. */
typedef struct {
    const uint32_t *weights; /* per 4 channels: biases, taps of (w0 w2) (w1 w3) as int16, multipliers */
    int32_t channels;        /* a multiple of 4 */
    int32_t in_bytes;        /* from an input pixel to the next */
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride;   /* in columns */
    int32_t dilation; /* likewise */
    int32_t zero_point;
    int32_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_depthwise_any_arm_dsp_params;

/* table: result for 0 first, for -1 last */
typedef struct {
    int32_t channels;
    int32_t out_stride; /* bytes between channels of a planar output row; minus those between pixels of another */
    const int8_t *table;
} mbn_lookup_arm_dsp_params;

/* The same for interleaved rows. */
typedef struct {
    /* per channels 0 2 and 1 3 of four: biases, 25 taps of both as int16, multipliers */
    const uint32_t *weights;
    const mbn_depthwise_5x5_interleaved_parts_arm_dsp *parts;
    int32_t channels; /* a multiple of 4 */
    int32_t in_bytes; /* from an input pixel to the next */
    int32_t stride;
    int32_t zero_point;
    int32_t pixel_stride; /* bytes between output pixels */
} mbn_depthwise_5x5_arm_dsp_params;

/* Layers whose input or output is int16: out = clamp((((acc << lift) * multiplier + 2^31) >> 32) + zero_point). */
typedef struct {
    const uint32_t *weights; /* packed: see mbn_conv_s16_block; inputs of int8 are paired as in mbn_conv_block */
    const mbn_conv_s16_parts_arm_dsp *parts;
    int32_t taps; /* rounded up to a multiple of 4 */
    int32_t out_channels;
    int32_t kernel_height;
    int32_t row_values; /* of one kernel row: kernel_width * channels */
    int32_t step;       /* values between the windows of two output pixels: stride * channels */
    int32_t is_direct;  /* the window is a pixel, which is read where it lies */
    int32_t lift, zero_point, low, high;
    int32_t wide_in, wide_out;
} mbn_conv2d_s16_arm_dsp_params;

/* Likewise; depthwise, interleaved rows. */
typedef struct {
    /* per four channels: biases, per tap the pairs 0 1 and 2 3 as int16, of int8 inputs 0 2 and 1 3; multipliers */
    const uint32_t *weights;
    int32_t channels;
    int32_t kernel_height, kernel_width;
    int32_t stride, dilation;
    int32_t lift, zero_point, low, high;
    int32_t wide_in, wide_out;
} mbn_depthwise_s16_arm_dsp_params;

/* The same for 3x3 and four channels at least. */
typedef struct {
    const uint32_t *weights;
    const mbn_depthwise_s16_parts_arm_dsp *parts;
    int32_t channels;
    int32_t stride, dilation;
    int32_t lift, zero_point, low, high;
    int32_t wide_in, wide_out;
} mbn_depthwise_3x3_s16_arm_dsp_params;

/* out = saturate((offset + (a * multiplier_a >> 16) + (b * multiplier_b >> 16)) >> shift) */
typedef struct {
    int32_t channels;
    int32_t pixel_stride; /* bytes between output pixels */
    int32_t multiplier_a;
    int32_t multiplier_b;
    int32_t offset;
    int32_t shift;
} mbn_add_arm_dsp_params;

/* A tensor times a number b per channel: out = saturate((a * f + offset) >> 24) with f = ((b - zero_point_b) * multiplier
 * + half) >> narrow; multiplier is below 2^23, offset makes up for both other zero points and rounds. */
typedef struct {
    int32_t channels;
    int32_t pixel_stride; /* bytes between output pixels */
    int32_t zero_point_a;
    int32_t zero_point_b;
    int32_t multiplier;
    int32_t narrow;
    int32_t zero_point;
} mbn_mul_vector_arm_dsp_params;

/* out = saturate((((sum + bias) * multiplier + 2^31) >> 32) + zero_point) */
typedef struct {
    int32_t channels;
    int32_t bias; /* minus the input zero point, once per summed pixel */
    int32_t multiplier;
    int32_t zero_point;
} mbn_pool_arm_dsp_params;

void mbn_conv2d_1x1_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_conv2d_1x1_odd_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
void mbn_conv2d_1x1_quads_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                     int32_t count, void *scratch);
void mbn_conv2d_1x1_w4_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch);
void mbn_conv2d_1x1_w4_odd_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch);
void mbn_conv2d_s8_arm_dsp(const mbn_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch);
void mbn_conv2d_odd_s8_arm_dsp(const mbn_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_grouped_conv2d_s8_arm_dsp(const mbn_grouped_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
void mbn_conv2d_3x3_s8_arm_dsp(const mbn_conv2d_3x3_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s8_arm_dsp(const mbn_depthwise_conv2d_arm_dsp_params *p, const int8_t *const *rows,
                                         int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_interleaved_s8_arm_dsp(const mbn_depthwise_interleaved_arm_dsp_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch);
void mbn_max_pool2d_s8_arm_dsp(const mbn_max_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                               void *scratch);

void mbn_depthwise_conv2d_5x5_s8_arm_dsp(const mbn_depthwise_conv2d_5x5_arm_dsp_params *p, const int8_t *const *rows,
                                         int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_interleaved_s8_arm_dsp(const mbn_depthwise_any_arm_dsp_params *p, const int8_t *const *rows,
                                                 int8_t *out, int32_t count, void *scratch);
void mbn_lookup_s8_arm_dsp(const mbn_lookup_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch);
void mbn_depthwise_conv2d_5x5_interleaved_s8_arm_dsp(const mbn_depthwise_5x5_arm_dsp_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch);
void mbn_add_s8_arm_dsp(const mbn_add_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch);
void mbn_conv2d_s16_arm_dsp(const mbn_conv2d_s16_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                            int32_t count, void *scratch);
void mbn_depthwise_conv2d_s16_arm_dsp(const mbn_depthwise_s16_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s16_arm_dsp(const mbn_depthwise_3x3_s16_arm_dsp_params *p, const int8_t *const *rows,
                                          int8_t *out, int32_t count, void *scratch);
void mbn_add_s16_arm_dsp(const mbn_add_s16_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch);
void mbn_mul_vector_s8_arm_dsp(const mbn_mul_vector_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch);

/* Adds one input row to the sums in scratch (int32 per channel, zero at first); _finish makes the output pixel of them. */
void mbn_global_average_pool_s8_arm_dsp(const mbn_pool_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch);
void mbn_global_average_pool_s8_arm_dsp_finish(const mbn_pool_arm_dsp_params *p, int8_t *out, const void *scratch);

#ifdef __cplusplus
}
#endif

#endif
