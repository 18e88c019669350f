/* SPDX-License-Identifier: 0BSD */
/* What the kernels for float32 SIMD share, whatever the instructions. */
#ifndef MBN_SIMD_H
#define MBN_SIMD_H

#include <stdint.h>
#include <string.h>

/* Loops whose accumulators shall be registers. */
#if defined(__GNUC__) && !defined(__clang__)
#define MBN_IN_REGISTERS _Pragma("GCC unroll 16")
#elif defined(__clang__)
#define MBN_IN_REGISTERS _Pragma("unroll")
#else
#define MBN_IN_REGISTERS
#endif

/* Copies the windows of pixels to columns [pixel][taps]. The vectors of a row are copied whole: what is too much is
 * overwritten by the next row, or, behind the last one, meets weight zero. */
static inline void mbn_gather(const int8_t *const *rows, int32_t first, int32_t step, int32_t pixels, int32_t height,
                              int32_t row_bytes, int8_t *columns, int32_t column)
{
    for (int32_t r = 0; r < height; r++, columns += row_bytes) {
        for (int32_t k = 0; k < row_bytes; k += 16) {
            const int8_t *from = rows[r] + first * step + k;
            int8_t *to = columns + k;
            for (int32_t i = 0; i < pixels; i++, from += step, to += column) {
                memcpy(to, from, 16);
            }
        }
    }
}

#endif
