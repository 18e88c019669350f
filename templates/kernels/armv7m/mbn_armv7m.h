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
    const int8_t *weights;     /* [outputs][inputs], zero beyond kernel_height * row_bytes */
    const int32_t *requantize; /* [outputs][5]: M, R of an even pixel, R of an odd pixel; R low word first */
    uint16_t kernel_height;
    uint16_t row_bytes;  /* kernel_width * input channels: contiguous bytes of one window row */
    uint16_t step_bytes; /* stride * input channels: from one output pixel to the next */
    uint16_t inputs;     /* kernel_height * row_bytes, rounded up to 8 */
    uint16_t outputs;
} mbn_conv2d_armv7m_params;

typedef struct {
    const int8_t *weights;     /* [channels][kernel_height * kernel_width] */
    const int32_t *requantize; /* [channels][3]: M, R */
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t channels;
} mbn_depthwise_conv2d_armv7m_params;

/* scratch: 4 * pairs * inputs bytes, 4-aligned, with as many pairs of pixels as fit count, at most 3 */
void mbn_conv2d_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);
void mbn_depthwise_conv2d_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch);

/* The high word of v * M + R, saturated: one SMLAL and one SSAT. q: M, R low word first. */
static inline int8_t mbn_requantize_armv7m(int32_t v, int32_t multiplier, const int32_t *r)
{
#if defined(__ARM_ARCH_7M__)
    int32_t low = r[0], high = r[1];
    __asm__("smlal %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(v), "r"(multiplier));
    __asm__("ssat %0, #8, %0" : "+r"(high));
    return (int8_t)high;
#else
    const uint64_t bits = (uint64_t)(uint32_t)r[1] << 32 | (uint32_t)r[0];
    const int64_t high = ((int64_t)bits + (int64_t)v * multiplier) >> 32;
    return (int8_t)(high < -128 ? -128 : high > 127 ? 127 : high);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
