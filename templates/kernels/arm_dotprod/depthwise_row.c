/* SPDX-License-Identifier: 0BSD */
/* Sixteen, or eight, channels of a row of a depthwise convolution 3x3 with SDOT: the three rows of a column are interleaved, so
 * that a lane has the column of a channel. Columns stay in registers as long as an output needs them.
 *
 * Registers: x1-x3 rows, x4 output, x5 and x6 bytes between columns and pixels, x7 counts, x8 weights, x9 biases,
 * x10 multipliers, x11 zero point. v0-v3, v4-v7, v16-v19 columns, v20-v31 weights, v8-v11 sums, v12 zero point. */
#include "mbn_a64_asm.h"
#include "mbn_arm_dotprod.h"

/* clang-format off */

#define A 0, 1, 2, 3
#define B 4, 5, 6, 7
#define C 16, 17, 18, 19

/* A column: per channel the bytes of three rows, and that of the last once more, whose weight is 0. */
#define LOAD16_(a, b, c, d) \
    L("ld1 {v8.16b}, [x1], x5") L("ld1 {v9.16b}, [x2], x5") L("ld1 {v10.16b}, [x3], x5") \
    L("zip1 v11.16b, v8.16b, v9.16b") L("zip2 v8.16b, v8.16b, v9.16b") \
    L("zip1 v9.16b, v10.16b, v10.16b") L("zip2 v10.16b, v10.16b, v10.16b") \
    L("zip1 v" #a ".8h, v11.8h, v9.8h") L("zip2 v" #b ".8h, v11.8h, v9.8h") \
    L("zip1 v" #c ".8h, v8.8h, v10.8h") L("zip2 v" #d ".8h, v8.8h, v10.8h")
#define LOAD8_(a, b, c, d) \
    L("ld1 {v8.8b}, [x1], x5") L("ld1 {v9.8b}, [x2], x5") L("ld1 {v10.8b}, [x3], x5") \
    L("zip1 v11.16b, v8.16b, v9.16b") L("zip1 v9.16b, v10.16b, v10.16b") \
    L("zip1 v" #a ".8h, v11.8h, v9.8h") L("zip2 v" #b ".8h, v11.8h, v9.8h")
#define LOAD16(column) LOAD16_(column)
#define LOAD8(column) LOAD8_(column)

/* Three columns make an output; the first is not needed any more, and takes the multipliers. */
/* sdot v<sum>.4s, v<in>.16b, v<w>.16b, as a number: an assembler for Armv8.0 takes it, too */
#define DOT(sum, in, w) L(".inst 0x4e809400 + " #w " * 0x10000 + " #in " * 32 + " #sum)
#define MAKE16_(a, b, c, d, e, f, g, h, i, j, k, l) \
    L("ld1 {v8.4s-v11.4s}, [x9]") \
    DOT(8, a, 20) DOT(9, b, 21) DOT(10, c, 22) DOT(11, d, 23) DOT(8, e, 24) DOT(9, f, 25) DOT(10, g, 26) DOT(11, h, 27) \
    DOT(8, i, 28) DOT(9, j, 29) DOT(10, k, 30) DOT(11, l, 31) \
    L("ld1 {v" #a ".4s-v" #d ".4s}, [x10]") MBN_SCALE16(8, 9, 10, 11, a, b, c, d, 12) L("st1 {v8.16b}, [x4], x6")
#define MAKE8_(a, b, c, d, e, f, g, h, i, j, k, l) \
    L("ld1 {v8.4s, v9.4s}, [x9]") DOT(8, a, 20) DOT(9, b, 21) DOT(8, e, 24) DOT(9, f, 25) DOT(8, i, 28) DOT(9, j, 29) \
    L("ld1 {v" #a ".4s, v" #b ".4s}, [x10]") \
    L("sqdmulh v8.4s, v8.4s, v" #a ".4s") L("sqdmulh v9.4s, v9.4s, v" #b ".4s") \
    L("sqrshrn v8.4h, v8.4s, #1") L("sqrshrn2 v8.8h, v9.4s, #1") \
    L("sqadd v8.8h, v8.8h, v12.8h") L("sqxtn v8.8b, v8.8h") L("st1 {v8.8b}, [x4], x6")
#define MAKE16(x, y, z) MAKE16_(x, y, z)
#define MAKE8(x, y, z) MAKE8_(x, y, z)

#define ROW(name, BODY) MBN_A64_FUNCTION(name, \
    L("stp d8, d9, [sp, #-48]!") L(".cfi_adjust_cfa_offset 48") L("stp d10, d11, [sp, #16]") L("str d12, [sp, #32]") \
    L("ldp x1, x2, [x0]") L("ldp x3, x4, [x0, #16]") L("ldp x5, x6, [x0, #32]") L("ldp x7, x8, [x0, #48]") \
    L("ldp x9, x10, [x0, #64]") L("ldr x11, [x0, #80]") L("dup v12.8h, w11") \
    L("ld1 {v20.16b-v23.16b}, [x8], #64") L("ld1 {v24.16b-v27.16b}, [x8], #64") L("ld1 {v28.16b-v31.16b}, [x8]") \
    BODY L("b.ne 1b") \
    "2:\n" L("ldp d10, d11, [sp, #16]") L("ldr d12, [sp, #32]") L("ldp d8, d9, [sp], #48") L(".cfi_adjust_cfa_offset -48"))
#define COUNT L("subs x7, x7, #1")
#define LAST COUNT L("b.eq 2f")

/* One column more for an output, or two. */
#define STRIDE1(LOAD, MAKE) LOAD(A) LOAD(B) \
    "1:\n" LOAD(C) MAKE(A, B, C) LAST LOAD(A) MAKE(B, C, A) LAST LOAD(B) MAKE(C, A, B) COUNT
#define STRIDE2(LOAD, MAKE) LOAD(A) \
    "1:\n" LOAD(B) LOAD(C) MAKE(A, B, C) LAST LOAD(A) LOAD(B) MAKE(C, A, B) LAST LOAD(C) LOAD(A) MAKE(B, C, A) COUNT

ROW(mbn_depthwise_row_16x1_arm_dotprod, STRIDE1(LOAD16, MAKE16));
ROW(mbn_depthwise_row_16x2_arm_dotprod, STRIDE2(LOAD16, MAKE16));
ROW(mbn_depthwise_row_8x1_arm_dotprod, STRIDE1(LOAD8, MAKE8));
ROW(mbn_depthwise_row_8x2_arm_dotprod, STRIDE2(LOAD8, MAKE8));
/* clang-format on */
