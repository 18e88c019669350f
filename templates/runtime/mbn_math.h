/* SPDX-License-Identifier: 0BSD */
/* Integer arithmetic shared by the kernels. */
#ifndef MBN_MATH_H
#define MBN_MATH_H

#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_math.h is of another version of mbn2c: take all files from one build"
#endif

/* A function whose constant arguments shall make another one each. */
#if defined(__GNUC__)
#define MBN_TEMPLATE static inline __attribute__((always_inline))
#else
#define MBN_TEMPLATE static inline
#endif

static inline int8_t mbn_saturate(int32_t value)
{
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* (acc * multiplier + (zero_point << shift) + 2^(shift - 1)) >> shift, saturated: proved equal to ONNX Runtime's
 * float32 requantization when the network was built. 0 < shift <= 32. */
static inline int8_t mbn_requantize(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point)
{
    const int64_t product = (int64_t)acc * multiplier + ((int64_t)1 << (shift - 1));
    const int64_t value = (product >> shift) + zero_point;
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* --- int16 -------------------------------------------------------------------------------------- */

/* ((acc * multiplier + 2^(shift - 1)) >> shift) + zero_point, clamped: what layers with int16 do. 0 < shift < 53. */
static inline int32_t mbn_requantize_wide(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point,
                                          int32_t low, int32_t high)
{
    const int64_t product = (int64_t)acc * multiplier + ((int64_t)1 << (shift - 1));
    const int64_t value = (product >> shift) + zero_point;
    return value < low ? low : value > high ? high : (int32_t)value;
}

/* Value i of a row, int16 or int8. */
static inline int32_t mbn_load(const int8_t *row, int32_t i, int32_t wide)
{
    return wide ? ((const int16_t *)(const void *)row)[i] : row[i];
}

static inline void mbn_store(int8_t *row, int32_t i, int32_t value, int32_t wide)
{
    if (wide) {
        ((int16_t *)(void *)row)[i] = (int16_t)value;
    } else {
        row[i] = (int8_t)value;
    }
}

#endif
