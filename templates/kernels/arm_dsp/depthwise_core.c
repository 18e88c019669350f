/* SPDX-License-Identifier: 0BSD */
/* Depthwise 3x3 core for Armv7E-M and Armv8-M with DSP.
 *
 * For each channel N outputs of a planar row at once, their sums in registers; all weights of a row are read once. One word of
 * a row, four columns, is extended to two pairs (columns 0 2, columns 1 3); SMLAD takes weights 0 and 2 at once.
 * The `once` functions make one block per channel, the others several.
 *
 * Registers: sums r0.., weights r8 = (w0, w2) r9 = (w1, what follows), columns r10 r11, r12 reads columns, lr reads weights. On the
 * stack from sp: zero_point, out_stride, out, three rows, row_skip, out_back, weights_end, blocks_left, blocks, multipliers.
 *
 * Where the network's layers share their multipliers (SHARED), a byte says which one is the channel's; flash is short there, so
 * one function makes any number of blocks. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define OPEN MBN_SAVE_ALL L("ldm r0, {r0-r12}") L("push {r0-r11}") MBN_PUSHED(48) L("mov lr, r12")
#define CLOSE L("add sp, sp, #48") MBN_PUSHED(-48) MBN_RETURN
/* A channel's multiplier, and from its constants to those of the next. */
#define OWN_MULTIPLIER L("ldr r8, [lr, #12]")
#define OWN_BYTES "16"
#define SHARED_MULTIPLIER L("ldrb r8, [lr, #12]") L("ldr r9, [sp, #44]") L("ldr r8, [r9, r8, lsl #2]")
#define SHARED_BYTES "13"
#define ROW(at, weights) L("ldr r12, [sp, #" at "]") L("ldr r9, [lr, #" weights "]") L("sxtb16 r8, r9") L("sxtb16 r9, r9, ror #8")
/* Outputs a and b from four columns; their sums start at a0 and b0. */
#define TWO_S1(a, b, a0, b0) L("ldr r10, [r12], #2") L("sxtb16 r11, r10, ror #8") L("sxtb16 r10, r10") \
    L("smlad " a ", r10, r8, " a0) L("smlad " b ", r11, r8, " b0) L("smlabb " a ", r11, r9, " a) L("smlatb " b ", r10, r9, " b)
#define ONE_S1(a, a0) L("ldrsb r10, [r12], #1") L("ldrsb r11, [r12]") L("smlabb " a ", r10, r8, " a0) L("smlabb " a ", r11, r9, " a) \
    L("ldrsb r10, [r12, #1]") L("smlabt " a ", r10, r8, " a)
/* With stride 2 the first of four columns is the last one of the output before. */
#define COLUMNS_S2 L("ldr r10, [r12], #4") L("sxtb16 r11, r10, ror #8") L("sxtb16 r10, r10")
#define LAST_S2(a) L("smlabt " a ", r10, r8, " a)
#define TWO_S2(a, a0) L("smlad " a ", r10, r8, " a0) L("smlabb " a ", r11, r9, " a)
#define HALF_S2(b, b0) L("smlatb " b ", r10, r8, " b0) L("smlatb " b ", r11, r9, " b)
#define ONE_S2(a, a0) L("smlabb " a ", r10, r8, " a0) L("ldrsb r10, [r12], #1") L("smlabb " a ", r10, r9, " a) L("ldrsb r10, [r12]") \
    L("smlabt " a ", r10, r8, " a)
#define SCALE(a) L("smmlar " a ", " a ", r8, r9")
#define SATURATE(a) L("ssat " a ", #8, " a)
#define STORE(a, at) L("strb " a ", [" at "]")
#define NEXT_BLOCK L("ldr r8, [sp, #36]") L("subs r8, r8, #1") L("str r8, [sp, #36]") L("bne 1b") L("ldr r8, [sp, #40]") L("str r8, [sp, #36]")
#define NEXT_CHANNEL(FORM) L("add r12, sp, #8") L("ldm r12, {r0-r6}") L("add r1, r1, r4") L("add r2, r2, r4") L("add r3, r3, r4") \
    L("add r0, r0, r5") L("stm r12, {r0-r3}") L("add lr, lr, #" FORM##_BYTES) L("cmp lr, r6") L("bne 1b")

/* The sums of N outputs in a row; a, b, ... say where they start. */
#define S1_1(a) ONE_S1("r0", a)
#define S1_2(a, b) TWO_S1("r0", "r1", a, b)
#define S1_3(a, b, c) S1_2(a, b) ONE_S1("r2", c)
#define S1_4(a, b, c, d) S1_2(a, b) TWO_S1("r2", "r3", c, d)
#define S1_5(a, b, c, d, e) S1_4(a, b, c, d) ONE_S1("r4", e)
#define S1_6(a, b, c, d, e, f) S1_4(a, b, c, d) TWO_S1("r4", "r5", e, f)
#define S1_7(a, b, c, d, e, f, g) S1_6(a, b, c, d, e, f) ONE_S1("r6", g)
#define S1_8(a, b, c, d, e, f, g, h) S1_6(a, b, c, d, e, f) TWO_S1("r6", "r7", g, h)
#define PAIRS_S2_2(a, b) COLUMNS_S2 TWO_S2("r0", a) HALF_S2("r1", b)
#define PAIRS_S2_4(a, b, c, d) PAIRS_S2_2(a, b) COLUMNS_S2 TWO_S2("r2", c) LAST_S2("r1") HALF_S2("r3", d)
#define PAIRS_S2_6(a, b, c, d, e, f) PAIRS_S2_4(a, b, c, d) COLUMNS_S2 TWO_S2("r4", e) LAST_S2("r3") HALF_S2("r5", f)
#define PAIRS_S2_8(a, b, c, d, e, f, g, h) PAIRS_S2_6(a, b, c, d, e, f) COLUMNS_S2 TWO_S2("r6", g) LAST_S2("r5") HALF_S2("r7", h)
#define S2_1(a) L("ldrsb r10, [r12], #1") ONE_S2("r0", a)
#define S2_2(a, b) PAIRS_S2_2(a, b) L("ldrsb r10, [r12]") LAST_S2("r1")
#define S2_3(a, b, c) PAIRS_S2_2(a, b) L("ldrsb r10, [r12], #1") LAST_S2("r1") ONE_S2("r2", c)
#define S2_4(a, b, c, d) PAIRS_S2_4(a, b, c, d) L("ldrsb r10, [r12]") LAST_S2("r3")
#define S2_5(a, b, c, d, e) PAIRS_S2_4(a, b, c, d) L("ldrsb r10, [r12], #1") LAST_S2("r3") ONE_S2("r4", e)
#define S2_6(a, b, c, d, e, f) PAIRS_S2_6(a, b, c, d, e, f) L("ldrsb r10, [r12]") LAST_S2("r5")
#define S2_7(a, b, c, d, e, f, g) PAIRS_S2_6(a, b, c, d, e, f) L("ldrsb r10, [r12], #1") LAST_S2("r5") ONE_S2("r6", g)
#define S2_8(a, b, c, d, e, f, g, h) PAIRS_S2_8(a, b, c, d, e, f, g, h) L("ldrsb r10, [r12]") LAST_S2("r7")
/* In the first row they start at the bias, which lies in the last register, since that is written last. */
#define FIRST_1(SUMS) L("ldr r0, [lr, #8]") L("asr r0, r0, #8") SUMS("r0")
#define FIRST_2(SUMS) L("ldr r1, [lr, #8]") L("asr r1, r1, #8") SUMS("r1", "r1")
#define FIRST_3(SUMS) L("ldr r2, [lr, #8]") L("asr r2, r2, #8") SUMS("r2", "r2", "r2")
#define FIRST_4(SUMS) L("ldr r3, [lr, #8]") L("asr r3, r3, #8") SUMS("r3", "r3", "r3", "r3")
#define FIRST_5(SUMS) L("ldr r4, [lr, #8]") L("asr r4, r4, #8") SUMS("r4", "r4", "r4", "r4", "r4")
#define FIRST_6(SUMS) L("ldr r5, [lr, #8]") L("asr r5, r5, #8") SUMS("r5", "r5", "r5", "r5", "r5", "r5")
#define FIRST_7(SUMS) L("ldr r6, [lr, #8]") L("asr r6, r6, #8") SUMS("r6", "r6", "r6", "r6", "r6", "r6", "r6")
#define FIRST_8(SUMS) L("ldr r7, [lr, #8]") L("asr r7, r7, #8") SUMS("r7", "r7", "r7", "r7", "r7", "r7", "r7", "r7")
#define NEXT_1(SUMS) SUMS("r0")
#define NEXT_2(SUMS) SUMS("r0", "r1")
#define NEXT_3(SUMS) SUMS("r0", "r1", "r2")
#define NEXT_4(SUMS) SUMS("r0", "r1", "r2", "r3")
#define NEXT_5(SUMS) SUMS("r0", "r1", "r2", "r3", "r4")
#define NEXT_6(SUMS) SUMS("r0", "r1", "r2", "r3", "r4", "r5")
#define NEXT_7(SUMS) SUMS("r0", "r1", "r2", "r3", "r4", "r5", "r6")
#define NEXT_8(SUMS) SUMS("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7")

/* Sums to bytes, and where the next outputs go. */
#define SCALE_1 SCALE("r0")
#define SCALE_2 SCALE_1 SCALE("r1")
#define SCALE_3 SCALE_2 SCALE("r2")
#define SCALE_4 SCALE_3 SCALE("r3")
#define SCALE_5 SCALE_4 SCALE("r4")
#define SCALE_6 SCALE_5 SCALE("r5")
#define SCALE_7 SCALE_6 SCALE("r6")
#define SCALE_8 SCALE_7 SCALE("r7")
#define SATURATE_1 SATURATE("r0")
#define SATURATE_2 SATURATE_1 SATURATE("r1")
#define SATURATE_3 SATURATE_2 SATURATE("r2")
#define SATURATE_4 SATURATE_3 SATURATE("r3")
#define SATURATE_5 SATURATE_4 SATURATE("r4")
#define SATURATE_6 SATURATE_5 SATURATE("r5")
#define SATURATE_7 SATURATE_6 SATURATE("r6")
#define SATURATE_8 SATURATE_7 SATURATE("r7")
#define STORE_1 STORE("r0", "r11")
#define STORE_2 STORE_1 STORE("r1", "r11, r10")
#define STORE_3 STORE_2 STORE("r2", "r11, r10, lsl #1")
#define STORE_4 STORE_3 STORE("r3", "r11, r12")
#define STORE_5 STORE_4 STORE("r4", "r11, r10, lsl #2")
#define STORE_6 STORE_5 STORE("r5", "r9, r10, lsl #2")
#define STORE_7 STORE_6 STORE("r6", "r11, r12, lsl #1")
#define STORE_8 STORE_7 STORE("r7", "r9, r12, lsl #1")
#define TRIPLE L("add r12, r10, r10, lsl #1")
#define FIFTH L("add r9, r10, r11")
#define FINISH_1 SCALE_1 SATURATE_1 STORE_1 L("add r11, r11, r10")
#define FINISH_2 SCALE_2 SATURATE_2 STORE_2 L("add r11, r11, r10, lsl #1")
#define FINISH_3 SCALE_3 SATURATE_3 TRIPLE STORE_3 L("add r11, r11, r12")
#define FINISH_4 SCALE_4 SATURATE_4 TRIPLE STORE_4 L("add r11, r11, r10, lsl #2")
#define FINISH_5 SCALE_5 SATURATE_5 TRIPLE FIFTH STORE_5 L("add r11, r9, r10, lsl #2")
#define FINISH_6 SCALE_6 SATURATE_6 TRIPLE FIFTH STORE_6 L("add r11, r11, r12, lsl #1")
#define FINISH_7 SCALE_7 SATURATE_7 TRIPLE FIFTH STORE_7 L("add r11, r9, r12, lsl #1")
#define FINISH_8 SCALE_8 SATURATE_8 TRIPLE FIFTH STORE_8 L("add r11, r11, r10, lsl #3")

#define KEEP(at) L("str r12, [sp, #" at "]")
#define FORGET(at)
#define ROWS(n, SUMS, KEPT) \
    ROW("12", "0") FIRST_##n(SUMS) KEPT("12") ROW("16", "3") NEXT_##n(SUMS) KEPT("16") ROW("20", "6") NEXT_##n(SUMS) KEPT("20")
#define BLOCK(n, SUMS, KEPT, FORM, NEXT) \
    OPEN L("1:") ROWS(n, SUMS, KEPT) FORM##_MULTIPLIER L("ldm sp, {r9, r10, r11}") FINISH_##n L("str r11, [sp, #8]") NEXT CLOSE
#define FUNCTIONS(n, stride) \
    MBN_FUNCTION(mbn_depthwise_block##n##_once_s##stride##_arm_dsp, BLOCK(n, S##stride##_##n, FORGET, OWN, NEXT_CHANNEL(OWN))); \
    MBN_FUNCTION(mbn_depthwise_block##n##_s##stride##_arm_dsp, BLOCK(n, S##stride##_##n, KEEP, OWN, NEXT_BLOCK NEXT_CHANNEL(OWN))); \
    MBN_FUNCTION(mbn_depthwise_shared_block##n##_s##stride##_arm_dsp, BLOCK(n, S##stride##_##n, KEEP, SHARED, NEXT_BLOCK NEXT_CHANNEL(SHARED)))

FUNCTIONS(1, 1);
FUNCTIONS(2, 1);
FUNCTIONS(3, 1);
FUNCTIONS(4, 1);
FUNCTIONS(5, 1);
FUNCTIONS(6, 1);
FUNCTIONS(7, 1);
FUNCTIONS(8, 1);
FUNCTIONS(1, 2);
FUNCTIONS(2, 2);
FUNCTIONS(3, 2);
FUNCTIONS(4, 2);
FUNCTIONS(5, 2);
FUNCTIONS(6, 2);
FUNCTIONS(7, 2);
FUNCTIONS(8, 2);
