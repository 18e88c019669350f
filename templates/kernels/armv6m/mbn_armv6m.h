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
} mbn_conv2d_armv6m_params;

typedef struct {
    const int8_t *weights;     /* [blocks of 16 outputs][inputs][16] */
    const uint8_t *groups;     /* [blocks][most_groups][16]: 20 * (12 - length of the group), bytes of code to jump over */
    const int32_t *requantize; /* [outputs][MBN_ARMV6M_WORDS] */
    int32_t rounding;
    uint16_t kernel_height;
    uint16_t row_bytes;
    uint16_t step_bytes;
    uint16_t inputs; /* kernel_height * row_bytes, or one more */
    uint16_t outputs;
    uint16_t most_groups; /* of any output */
} mbn_conv2d_lanes_armv6m_params;

typedef struct {
    const int8_t *weights;     /* [channels][kernel_height * kernel_width] */
    const int32_t *requantize; /* [channels][MBN_ARMV6M_WORDS] */
    int32_t rounding;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t channels;
} mbn_depthwise_conv2d_armv6m_params;

/* scratch: 16 * inputs bytes, 4-aligned */
void mbn_conv2d_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
/* scratch: 16 * (inputs + most_groups) bytes, 4-aligned */
void mbn_conv2d_lanes_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
void mbn_conv2d_direct_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);

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

#if defined(__ARM_ARCH_6M__)
/* The same in assembly. Record at r0 -> r1 base, r5 span, r3 a, r6 b; r2 and r4 are used up. After MBN_RECORD the carry
 * says whether the form is long, and one of the other two follows. */
#define MBN_RECORD                                                                                            \
    "ldmia r0!, {r1, r2, r3}\n\tlsls r4, r2, #26\n\tlsrs r4, r4, #27\n\tlsls r5, r2, #11\n\tlsrs r5, r5, #22\n\t" \
    "lsls r5, r5, r4\n\tlsrs r6, r2, #1\n\t"
#define MBN_SHORT_RECORD(rounding)                                                                            \
    "asrs r6, r2, #21\n\tlsls r6, r6, r4\n\tsubs r1, r1, r6\n\tmuls r6, r3, r6\n\tldr r4, " rounding "\n\t"       \
    "adds r6, r6, r4\n\t"
#define MBN_LONG_RECORD "lsls r6, r3, #22\n\tlsrs r6, r6, #22\n\tlsrs r3, r3, #10\n\t"
#define MBN_CLAMP(v, base, span)                                                                              \
    "adds " v ", " v ", " base "\n\tcmp " v ", " span "\n\tbls 8f\n\tasrs " v ", " v ", #31\n\tmvns " v ", " v     \
    "\n\tands " v ", " span "\n8:\n\t"
#define MBN_SHORT(v, base, span, a, b)                                                                        \
    MBN_CLAMP(v, base, span) "muls " v ", " a ", " v "\n\tadds " v ", " v ", " b "\n\tlsrs " v ", " v ", #24\n\t"
#define MBN_LONG(v, base, span, a, b, spare)                                                                  \
    MBN_CLAMP(v, base, span) "movs " spare ", " v "\n\tmuls " spare ", " b ", " spare "\n\tlsrs " spare ", " spare \
    ", #10\n\tmuls " v ", " a ", " v "\n\tadds " v ", " v ", " spare "\n\tlsrs " v ", " v ", #24\n\tsubs " v ", #128\n\t"
#endif

#ifdef __cplusplus
}
#endif

#endif
