/* SPDX-License-Identifier: 0BSD */
/* Integer arithmetic shared by the kernels. */
#ifndef MBN_MATH_H
#define MBN_MATH_H

#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_math.h is of another version of mbn2c: take all files from one build"
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

#endif
