/* SPDX-License-Identifier: 0BSD */
/* Constants and signatures of the kernels for Cortex-M0 and M0+ (Armv6-M). */
#ifndef MBN_ARMV6M_H
#define MBN_ARMV6M_H

#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_armv6m.h is of another version of mbn2c: take all files from one build"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* How a sum becomes int8, three words a channel, because there is no 64-bit multiply:
 *   BASE    added to the sum; see below
 *   SHAPE   bits 31..21 LOW, signed; bits 20..11 SPAN; both in units of 2^(bits 5..1); bit 0: the form is long
 *   FACTOR
 * short  n = sum + BASE - LOW is clamped to 0..SPAN; the result is the highest byte of n * FACTOR + LOW * FACTOR + rounding
 * long   n = sum + BASE is clamped to 0..SPAN; the result is (n * FACTOR >> 34) - 128, with FACTOR in two parts of which
 *        the lower has 10 bits, so that both products fit 32 bits */
enum { MBN_ARMV6M_BASE, MBN_ARMV6M_SHAPE, MBN_ARMV6M_FACTOR, MBN_ARMV6M_WORDS };

typedef struct {
    const int8_t *weights;     /* conv2d: [blocks of 16 outputs][inputs][16]; conv2d_direct: [outputs][inputs] */
    const int32_t *requantize; /* [outputs][MBN_ARMV6M_WORDS] */
    int32_t rounding;
    uint16_t kernel_height;
    uint16_t row_bytes;  /* kernel_width * input channels: contiguous bytes of one window row */
    uint16_t step_bytes; /* stride * input channels: from one output pixel to the next */
    uint16_t inputs;     /* kernel_height * row_bytes; for conv2d rounded up to 8 */
    uint16_t outputs;
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_conv2d_armv6m_params;

typedef struct {
    const int8_t *weights; /* [blocks of 16 outputs][inputs][16] */
    const uint8_t *groups; /* [blocks][most_groups][16]: 20 * (12 - length of the group), bytes of code to jump over */
    const int32_t *requantize; /* [outputs][MBN_ARMV6M_WORDS] */
    int32_t rounding;
    uint16_t kernel_height;
    uint16_t row_bytes;
    uint16_t step_bytes;
    uint16_t inputs; /* kernel_height * row_bytes, or one more */
    uint16_t outputs;
    uint16_t most_groups;  /* of any output */
    uint16_t pixel_stride; /* bytes from an output pixel to the next */
} mbn_conv2d_lanes_armv6m_params;

typedef struct {
    const int8_t *weights;     /* [channels][kernel_height * kernel_width] */
    const int32_t *requantize; /* [channels][MBN_ARMV6M_WORDS] */
    int32_t rounding;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t channels;
    uint16_t pixel_stride; /* bytes from an output pixel to the next; with a 3x3 window: channels */
} mbn_depthwise_conv2d_armv6m_params;

/* scratch: 16 * inputs bytes, 4-aligned */
void mbn_conv2d_s8_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch);
/* scratch: 16 * (inputs + most_groups) bytes, 4-aligned */
void mbn_conv2d_lanes_s8_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch);
/* The same with weights [blocks of 32 outputs][inputs][16], of two outputs 16 apart each, and bytes of code of 24 and of 22
 * per input in turn. */
void mbn_conv2d_lanes_w4_s8_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch);
void mbn_conv2d_direct_s8_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s1_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_3x3_s2_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s1_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_5x5_s2_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch);

/* The words of a channel, unpacked: a * n + b in the short form, both parts of the factor in the long one. */
typedef struct {
    int32_t base;
    int32_t span;
    uint32_t a;
    uint32_t b;
    int32_t is_long;
} mbn_stairs_armv6m;

static inline mbn_stairs_armv6m mbn_stairs_of_armv6m(const int32_t *q, int32_t rounding)
{
    const uint32_t shape = (uint32_t)q[MBN_ARMV6M_SHAPE], factor = (uint32_t)q[MBN_ARMV6M_FACTOR];
    const uint32_t unit = shape >> 1 & 31u;
    const int32_t low = q[MBN_ARMV6M_SHAPE] >> 21;
    mbn_stairs_armv6m stairs;
    stairs.base = q[MBN_ARMV6M_BASE];
    stairs.span = (int32_t)((shape >> 11 & 1023u) << unit);
    stairs.is_long = (int32_t)(shape & 1u);
    if (stairs.is_long) {
        stairs.a = factor >> 10;
        stairs.b = factor & 1023u;
    } else {
        stairs.base -= low * (1 << unit);
        stairs.a = factor;
        stairs.b = ((uint32_t)low << unit) * factor + (uint32_t)rounding;
    }
    return stairs;
}

static inline int8_t mbn_requantize_armv6m(int32_t sum, const mbn_stairs_armv6m *stairs)
{
    int32_t n = (int32_t)((uint32_t)sum + (uint32_t)stairs->base);
    uint32_t result;
    if ((uint32_t)n > (uint32_t)stairs->span) {
        n = ~(n >> 31) & stairs->span;
    }
    if (stairs->is_long) {
        result = (((uint32_t)n * stairs->a + ((uint32_t)n * stairs->b >> 10)) >> 24) - 128u;
    } else {
        result = ((uint32_t)n * stairs->a + stairs->b) >> 24;
    }
    return (int8_t)(uint8_t)result;
}

/* --- the cores, in assembly; *_core_armv6m.c --------------------------------------------------------------------- */

enum { MBN_CONV2D_PIXELS_ARMV6M = 4, MBN_LANES_PAIRS_ARMV6M = 4 };

/* What one call of mbn_conv2d_channels_armv6m needs; the offsets are in the assembly. */
typedef struct {
    const int32_t *words;      /*  0: [inputs][MBN_CONV2D_PIXELS_ARMV6M] */
    const int32_t *words_end;  /*  4 */
    const int8_t *weights;     /*  8: of the channel */
    const int32_t *requantize; /* 12 */
    int8_t *out;               /* 16 */
    const int8_t *out_end;     /* 20 */
    int32_t rounding;          /* 24 */
    int32_t place
        [MBN_CONV2D_PIXELS_ARMV6M]; /* 28: offset of each pixel in `out`; a pixel beyond the row is stored to pixel 0, before it */
    int32_t unused;                 /* makes 12 words, copied by two LDM of six */
} mbn_conv2d_frame_armv6m;
void mbn_conv2d_channels_armv6m(const mbn_conv2d_frame_armv6m *f);

/* What one call of mbn_lanes_channels_armv6m needs; the offsets are in the assembly. */
typedef struct {
    const int32_t *words;      /*  0: [inputs][MBN_LANES_PAIRS_ARMV6M] */
    const int32_t *words_end;  /*  4 */
    int32_t *sums;             /*  8: [groups][MBN_LANES_PAIRS_ARMV6M] */
    const int8_t *weights;     /* 12: of the channel */
    const uint8_t *groups;     /* 16: of the channel */
    const int32_t *requantize; /* 20 */
    int8_t *out;               /* 24 */
    const int8_t *out_end;     /* 28 */
    int32_t rounding;          /* 32 */
    /* 36: offset of each pixel in `out`; a pixel beyond the row is stored to pixel 0, before it */
    int32_t place[2 * MBN_LANES_PAIRS_ARMV6M];
    int32_t unused; /* makes 18 words, copied by three LDM of six */
} mbn_lanes_frame_armv6m;
void mbn_lanes_channels_armv6m(const mbn_lanes_frame_armv6m *f);
/* With weights of four bits, in the lower and in the upper halves of bytes. */
void mbn_lanes_lower_channels_armv6m(const mbn_lanes_frame_armv6m *f);
void mbn_lanes_upper_channels_armv6m(const mbn_lanes_frame_armv6m *f);

/* Four sums of products of `many` with `one`; the pointers point behind the values. The offsets are in the assembly. */
typedef struct {
    int32_t sum[4];        /*  0 */
    const int8_t *many[4]; /* 16 */
    const int8_t *one;     /* 32 */
    int32_t left;          /* 36: minus the number of values */
} mbn_dots_armv6m;
void mbn_add_products_armv6m(mbn_dots_armv6m *d);

/* What the depthwise core works on; the offsets are in the assembly. */
typedef struct {
    struct {
        const int8_t *in;
        int32_t w[3];
    } row[3];                  /*  0 */
    mbn_stairs_armv6m stairs;  /* 48 */
    const int8_t *weights;     /* 68 */
    const int32_t *requantize; /* 72 */
    int8_t *out;               /* 76 */
    int32_t row_bytes;         /* 80: count * channels */
    int32_t channel;           /* 84 */
    int32_t channels;          /* 88 */
    int32_t rounding;          /* 92; 24 words, copied by four LDM of six */
} mbn_depthwise_frame_armv6m;
void mbn_depthwise_row_s1_armv6m(const mbn_depthwise_frame_armv6m *f);
void mbn_depthwise_row_s2_armv6m(const mbn_depthwise_frame_armv6m *f);

/* The same for 5x5. */
typedef struct {
    struct {
        const int8_t *in;
        int32_t w[5];
    } row[5];                  /*   0 */
    mbn_stairs_armv6m stairs;  /* 120 */
    const int8_t *weights;     /* 140 */
    const int32_t *requantize; /* 144 */
    int8_t *out;               /* 148 */
    int32_t row_bytes;         /* 152: from the first output pixel to behind the last */
    int32_t channel;           /* 156 */
    int32_t channels;          /* 160 */
    int32_t rounding;          /* 164 */
    int32_t step;              /* 168: bytes from the window of one pixel to the next one's */
    int32_t pixel_stride;      /* 172: bytes from an output pixel to the next */
    int32_t unused[4];         /* makes 48 words, copied by eight LDM of six */
} mbn_depthwise_5x5_frame_armv6m;
void mbn_depthwise_5x5_row_armv6m(const mbn_depthwise_5x5_frame_armv6m *f);

#ifdef __cplusplus
}
#endif

#endif
