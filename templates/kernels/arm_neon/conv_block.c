/* SPDX-License-Identifier: 0BSD */
/* Blocks of one to four pixels times groups of four outputs with Advanced SIMD. The lanes of a sum are taps; two products, or
 * four where the weights are small enough, are added in 16 bits before they are widened.
 *
 * Registers: x1-x4 pixels, x5-x8 outputs, x9 weights, x10 biases, x11 multipliers, x12 groups, x13 taps in whole vectors,
 * x14 whether eight are left, x15 zero point, x16 kinds of steps. v0-v7 inputs, v8-v11 weights, v12-v15 products,
 * v16-v31 sums: those of a pixel are four in a row. */
#include "mbn_a64_asm.h"
#include "mbn_arm_neon.h"

/* clang-format off */

/* What is done for each pixel: product, two vectors of inputs, weights, sum. */
#define PIXELS1(M, w, sums) CALL(M, 12, 0, 1, w, FIRST sums)
#define PIXELS2(M, w, sums) PIXELS1(M, w, sums) CALL(M, 13, 2, 3, w, SECOND sums)
#define PIXELS3(M, w, sums) PIXELS2(M, w, sums) CALL(M, 14, 4, 5, w, THIRD sums)
#define PIXELS4(M, w, sums) PIXELS3(M, w, sums) CALL(M, 15, 6, 7, w, FOURTH sums)
#define CALL(M, ...) M(__VA_ARGS__)
#define FIRST(a, b, c, d) a
#define SECOND(a, b, c, d) b
#define THIRD(a, b, c, d) c
#define FOURTH(a, b, c, d) d
#define SUMS0 (16, 20, 24, 28)
#define SUMS1 (17, 21, 25, 29)
#define SUMS2 (18, 22, 26, 30)
#define SUMS3 (19, 23, 27, 31)

#define BEGIN(t, x, y, w, a) L("smull v" #t ".8h, v" #x ".8b, v" #w ".8b")
#define HIGH(t, x, y, w, a) L("smlal2 v" #t ".8h, v" #x ".16b, v" #w ".16b")
#define BEGIN_Y(t, x, y, w, a) L("smull v" #t ".8h, v" #y ".8b, v" #w ".8b")
#define LOW_Y(t, x, y, w, a) L("smlal v" #t ".8h, v" #y ".8b, v" #w ".8b")
#define HIGH_Y(t, x, y, w, a) L("smlal2 v" #t ".8h, v" #y ".16b, v" #w ".16b")
#define BEGIN_SUM(t, x, y, w, a) L("saddlp v" #a ".4s, v" #t ".8h")
#define ADD(t, x, y, w, a) L("sadalp v" #a ".4s, v" #t ".8h")

/* Sixteen and eight taps of one output; thirty-two, whose products are added twice, or once. */
#define TAPS16(P, SUM, w, s) P(BEGIN, w, s) P(HIGH, w, s) P(SUM, w, s)
#define TAPS8(P, SUM, w, s) P(BEGIN, w, s) P(SUM, w, s)
#define TAPS32(P, w, v, s) TAPS16(P, ADD, w, s) P(BEGIN_Y, v, s) P(HIGH_Y, v, s) P(ADD, v, s)
#define DEEP32(P, w, v, s) \
    P(BEGIN, w, s) P(HIGH, w, s) P(LOW_Y, v, s) P(HIGH_Y, v, s) P(ADD, v, s)
/* Of four outputs. */
#define ALL(TAPS, P, SUM) \
    TAPS(P, SUM, 8, SUMS0) TAPS(P, SUM, 9, SUMS1) TAPS(P, SUM, 10, SUMS2) TAPS(P, SUM, 11, SUMS3)
#define ALL32(TAPS, P) WEIGHTS TAPS(P, 8, 9, SUMS0) TAPS(P, 10, 11, SUMS1) WEIGHTS TAPS(P, 8, 9, SUMS2) TAPS(P, 10, 11, SUMS3)

#define WEIGHTS L("ld1 {v8.16b-v11.16b}, [x9], #64")
#define HALF_WEIGHTS L("ld1 {v8.8b-v11.8b}, [x9], #32")
#define LOAD16(x, a, b) L("ldr q" #a ", [x" #x "], #16")
#define LOAD32(x, a, b) L("ldp q" #a ", q" #b ", [x" #x "], #32")
#define LOAD8(x, a, b) L("ldr d" #a ", [x" #x "]")
#define BACK(x, a, b) L("sub x" #x ", x" #x ", x13")
#define INPUTS1(M) M(1, 0, 1)
#define INPUTS2(M) M(1, 0, 1) M(2, 2, 3)
#define INPUTS3(M) INPUTS2(M) M(3, 4, 5)
#define INPUTS4(M) INPUTS3(M) M(4, 6, 7)

/* The four lanes of each sum added up: four outputs of a pixel in the first. */
#define FOLD(a, b, c, d) \
    L("addp v" #a ".4s, v" #a ".4s, v" #b ".4s") L("addp v" #c ".4s, v" #c ".4s, v" #d ".4s") \
    L("addp v" #a ".4s, v" #a ".4s, v" #c ".4s") L("add v" #a ".4s, v" #a ".4s, v0.4s")
#define FOLDS1 FOLD(16, 17, 18, 19)
#define FOLDS2 FOLDS1 FOLD(20, 21, 22, 23)
#define FOLDS3 FOLDS2 FOLD(24, 25, 26, 27)
#define FOLDS4 FOLDS3 FOLD(28, 29, 30, 31)
#define STORE(lane, x) L("st1 {v16.s}[" #lane "], [x" #x "], #4")
#define STORES1 STORE(0, 5)
#define STORES2 STORES1 STORE(1, 6)
#define STORES3 STORES2 STORE(2, 7)
#define STORES4 STORES3 STORE(3, 8)

#define BLOCK(name, P, IN, FOLDS, STORES) MBN_A64_FUNCTION(name, \
    L("stp d8, d9, [sp, #-64]!") L(".cfi_adjust_cfa_offset 64") \
    L("stp d10, d11, [sp, #16]") L("stp d12, d13, [sp, #32]") L("stp d14, d15, [sp, #48]") \
    L("ldp x1, x2, [x0]") L("ldp x3, x4, [x0, #16]") L("ldp x5, x6, [x0, #32]") L("ldp x7, x8, [x0, #48]") \
    L("ldp x9, x10, [x0, #64]") L("ldp x11, x12, [x0, #80]") L("ldp x13, x14, [x0, #96]") L("ldp x15, x16, [x0, #112]") \
    IN(BACK) \
    "1:\n" L("cbz x13, 7f") \
    WEIGHTS IN(LOAD16) ALL(TAPS16, P, BEGIN_SUM) \
    "2:\n" L("ldrb w17, [x16], #1") L("tbnz w17, #0, 3f") L("tbnz w17, #1, 4f") \
    IN(LOAD32) ALL32(TAPS32, P) L("b 2b") \
    "3:\n" IN(LOAD32) ALL32(DEEP32, P) L("b 2b") \
    "4:\n" L("tbnz x13, #4, 5f") WEIGHTS IN(LOAD16) ALL(TAPS16, P, ADD) \
    "5:\n" L("cbz x14, 6f") HALF_WEIGHTS IN(LOAD8) ALL(TAPS8, P, ADD) \
    "6:\n" IN(BACK) \
    L("ldr q0, [x10], #16") L("ldr q1, [x11], #16") L("dup v2.8h, w15") \
    FOLDS MBN_SCALE16(16, 20, 24, 28, 1, 1, 1, 1, 2) STORES L("subs x12, x12, #1") L("b.ne 1b") \
    L("ldp d10, d11, [sp, #16]") L("ldp d12, d13, [sp, #32]") L("ldp d14, d15, [sp, #48]") \
    L("ldp d8, d9, [sp], #64") L(".cfi_adjust_cfa_offset -64") L("ret") L(".cfi_adjust_cfa_offset 64") \
    "7:\n" HALF_WEIGHTS IN(LOAD8) ALL(TAPS8, P, BEGIN_SUM) L("b 6b") L(".cfi_adjust_cfa_offset -64"))

BLOCK(mbn_conv_block_1x4_arm_neon, PIXELS1, INPUTS1, FOLDS1, STORES1);
BLOCK(mbn_conv_block_2x4_arm_neon, PIXELS2, INPUTS2, FOLDS2, STORES2);
BLOCK(mbn_conv_block_3x4_arm_neon, PIXELS3, INPUTS3, FOLDS3, STORES3);
BLOCK(mbn_conv_block_4x4_arm_neon, PIXELS4, INPUTS4, FOLDS4, STORES4);
/* clang-format on */
