/* SPDX-License-Identifier: 0BSD */
/* Requantization of imported layers.
 *
 * An integer product decides, unless it lies within a band around a step. Then ONNX Runtime's float32 arithmetic does,
 * operation by operation; `volatile` keeps compilers from fusing two of them. Needs IEEE floats that round to nearest. */
#ifndef MBN_GUARD_H
#define MBN_GUARD_H

#include <stdint.h>
#include <string.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_guard.h is of another version of mbn2c: take all files from one build"
#endif

/* Nearest integer, ties to even; |value| < 2^22. */
static inline int32_t mbn_rint(float value)
{
    volatile float shifted = value + 12582912.0f;
    volatile float whole = shifted - 12582912.0f;
    return (int32_t)whole;
}

static inline int8_t mbn_clamp(int32_t value, int32_t low, int32_t high)
{
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* value / 1, rounded, plus zero point, clamped; a value far outside saturates first. */
static inline int8_t mbn_quantize(float value, int32_t zero_point, int32_t low, int32_t high)
{
    const float near = value < -520.0f ? -520.0f : value > 520.0f ? 520.0f : value;
    return mbn_clamp(mbn_rint(near) + zero_point, low, high);
}

/* The integer result before clamping, and in *near whether float32 could disagree. 0 < shift < 32, multiplier >= 0. */
static inline int32_t mbn_guess(int32_t acc, int32_t multiplier, int32_t shift, int32_t band, int32_t zero_point,
                                int32_t low, int32_t high, int *near)
{
    const uint32_t mask = ((uint32_t)1 << shift) - 1u;
    const int64_t product = (int64_t)acc * multiplier + ((int64_t)1 << (shift - 1));
    const uint32_t rest = (uint32_t)((uint64_t)product & mask);
    const int64_t wide = (product >> shift) + zero_point;
    const int32_t value = (int32_t)(wide < -1024 ? -1024 : wide > 1024 ? 1024 : wide);
    *near = (rest < (uint32_t)band || rest > mask - (uint32_t)band) &&
            (multiplier == 0 || (value >= low - 1 && value <= high + 1));
    return value;
}

/* As QLinearConv: rint(float32(acc) * scale) + zero_point. */
static inline int8_t mbn_requantize_guarded(int32_t acc, int32_t multiplier, int32_t shift, int32_t band, float scale,
                                            int32_t zero_point, int32_t low, int32_t high)
{
    int near;
    const int32_t value = mbn_guess(acc, multiplier, shift, band, zero_point, low, high, &near);
    if (near) {
        volatile float real = (float)acc;
        real = real * scale;
        return mbn_quantize(real, zero_point, low, high);
    }
    return mbn_clamp(value, low, high);
}

/* float32 a * b + c, rounded once: the float64 sum is rounded to odd before it is rounded to float32.
 * Boldo and Melquiond, Emulation of FMA and correctly rounded sums (2008). */
static inline float mbn_fused_multiply_add(float a, float b, float c)
{
    const volatile double product = (double)a * (double)b;
    const volatile double total = product + (double)c;
    const volatile double back = total - product;
    const volatile double lost = total - back;
    const volatile double error = (product - lost) + ((double)c - back);
    double result = total;
    if (error != 0.0) {
        int64_t bits;
        memcpy(&bits, &result, sizeof bits);
        if ((bits & 1) == 0) {
            bits += (error > 0.0) == (result > 0.0) ? 1 : -1;
            memcpy(&result, &bits, sizeof bits);
        }
    }
    return (float)result;
}

/* One layer's float32 sum, a product at a time; see FloatSum in mbn2c's ops/base/requantize.py. */
typedef struct {
    float total;
    float partial;
    int32_t count;
} mbn_float_sum;

static inline void mbn_float_sum_begin(mbn_float_sum *sum, float bias, int32_t block)
{
    sum->total = block == 0 ? bias : 0.0f;
    sum->partial = 0.0f;
    sum->count = 0;
}

/* block 0: four products, rounded one by one, are added up and then to the total. Else: fused, `block` at a time. */
static inline void mbn_float_sum_add(mbn_float_sum *sum, float x, float w, int32_t block)
{
    if (block == 0) {
        const volatile float product = x * w;
        const volatile float partial = sum->partial + product;
        sum->partial = sum->count == 0 ? product : partial;
        sum->count++;
        if (sum->count == 4) {
            const volatile float total = sum->partial + sum->total;
            sum->total = total;
            sum->count = 0;
        }
    } else {
        sum->partial = mbn_fused_multiply_add(x, w, sum->partial);
        sum->count++;
        if (sum->count == block) {
            const volatile float total = sum->total + sum->partial;
            sum->total = total;
            sum->partial = 0.0f;
            sum->count = 0;
        }
    }
}

static inline float mbn_float_sum_end(mbn_float_sum *sum, float bias, int32_t block)
{
    if (sum->count != 0) {
        const volatile float total = block == 0 ? sum->partial + sum->total : sum->total + sum->partial;
        sum->total = total;
    }
    if (block != 0) {
        const volatile float total = sum->total + bias;
        sum->total = total;
    }
    return sum->total;
}

#endif
