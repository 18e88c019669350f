/* SPDX-License-Identifier: 0BSD */
/* Depthwise 5x5 core for Armv7E-M and Armv8-M with DSP, as depthwise_core.c, for up to 7 outputs at once.
 *
 * A word of a row, four columns, is extended to two pairs, every second column of it. A pair is taps 0 and 2 of one output, taps 1
 * and 3 of the one before, and its upper half is tap 4 of the one before that.
 *
 * Registers: sums r0.., weights r7 = w4, r8 = (w0, w2), r9 = (w1, w3), pairs r10 r11, r12 reads columns, lr reads weights. On the
 * stack from sp: zero_point, out_stride, out, five rows, row_skip, out_back, weights_end, blocks_left, blocks. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define OPEN MBN_SAVE_ALL L("ldm r0, {r0-r12, lr}") L("push {r0-r12}") MBN_PUSHED(52)
#define CLOSE L("add sp, sp, #52") MBN_PUSHED(-52) MBN_RETURN
#define ROW(at, weights, last) L("ldr r12, [sp, #" at "]") L("ldr r9, [lr, #" weights "]") L("ldrsb r7, [lr, #" last "]") \
    L("sxtb16 r8, r9") L("sxtb16 r9, r9, ror #8")
#define WORD(step) L("ldr r10, [r12], #" step) L("sxtb16 r11, r10, ror #8") L("sxtb16 r10, r10")
#define E "r10"
#define O "r11"
/* The sum of an output begins at `start`. */
#define FIRST(a, x, start) L("smlad " a ", " x ", r8, " start)
#define MIDDLE(a, x) L("smlad " a ", " x ", r9, " a)
#define LAST(a, x) L("smlatb " a ", " x ", r7, " a)
/* The last column of the block by itself. */
#define END(a, at) L("ldrsb r10, [r12, #" at "]") L("smlabb " a ", r10, r7, " a)

/* Stride 1: the words of columns 0, 2, ...; behind the last one r12 stands where the next block begins. */
#define HEAD_S1(a, b, a0, b0) WORD("2") FIRST(a, E, a0) MIDDLE(a, O) FIRST(b, O, b0)
#define PAIR_S1(y, z, a, b, a0, b0) WORD("2") FIRST(a, E, a0) MIDDLE(z, E) LAST(y, E) FIRST(b, O, b0) MIDDLE(a, O) LAST(z, O)
#define TAIL_S1(y, z) WORD("0") MIDDLE(z, E) LAST(y, E) LAST(z, O)
#define ODD_S1(y, z, a, a0) WORD("1") FIRST(a, E, a0) MIDDLE(z, E) LAST(y, E) MIDDLE(a, O) LAST(z, O) END(a, "3")
#define S1_1(a) WORD("1") FIRST("r0", E, a) MIDDLE("r0", O) END("r0", "3")
#define S1_2(a, b) HEAD_S1("r0", "r1", a, b) TAIL_S1("r0", "r1")
#define S1_3(a, b, c) HEAD_S1("r0", "r1", a, b) ODD_S1("r0", "r1", "r2", c)
#define PAIRS_S1_4(a, b, c, d) HEAD_S1("r0", "r1", a, b) PAIR_S1("r0", "r1", "r2", "r3", c, d)
#define S1_4(a, b, c, d) PAIRS_S1_4(a, b, c, d) TAIL_S1("r2", "r3")
#define S1_5(a, b, c, d, e) PAIRS_S1_4(a, b, c, d) ODD_S1("r2", "r3", "r4", e)
#define PAIRS_S1_6(a, b, c, d, e, f) PAIRS_S1_4(a, b, c, d) PAIR_S1("r2", "r3", "r4", "r5", e, f)
#define S1_6(a, b, c, d, e, f) PAIRS_S1_6(a, b, c, d, e, f) TAIL_S1("r4", "r5")
#define S1_7(a, b, c, d, e, f, g) PAIRS_S1_6(a, b, c, d, e, f) ODD_S1("r4", "r5", "r6", g)
/* Stride 2: a word for each output. */
#define ONE_S2(a, a0) WORD("2") FIRST(a, E, a0) MIDDLE(a, O)
#define NEXT_S2(z, a, a0) ONE_S2(a, a0) LAST(z, E)
#define TO_S2_1(a) ONE_S2("r0", a)
#define TO_S2_2(a, b) TO_S2_1(a) NEXT_S2("r0", "r1", b)
#define TO_S2_3(a, b, c) TO_S2_2(a, b) NEXT_S2("r1", "r2", c)
#define TO_S2_4(a, b, c, d) TO_S2_3(a, b, c) NEXT_S2("r2", "r3", d)
#define TO_S2_5(a, b, c, d, e) TO_S2_4(a, b, c, d) NEXT_S2("r3", "r4", e)
#define TO_S2_6(a, b, c, d, e, f) TO_S2_5(a, b, c, d, e) NEXT_S2("r4", "r5", f)
#define S2_1(a) TO_S2_1(a) END("r0", "2")
#define S2_2(a, b) TO_S2_2(a, b) END("r1", "2")
#define S2_3(a, b, c) TO_S2_3(a, b, c) END("r2", "2")
#define S2_4(a, b, c, d) TO_S2_4(a, b, c, d) END("r3", "2")
#define S2_5(a, b, c, d, e) TO_S2_5(a, b, c, d, e) END("r4", "2")
#define S2_6(a, b, c, d, e, f) TO_S2_6(a, b, c, d, e, f) END("r5", "2")
#define S2_7(a, b, c, d, e, f, g) TO_S2_6(a, b, c, d, e, f) NEXT_S2("r5", "r6", g) END("r6", "2")

/* In the first row they start at the bias, which lies in the last register, since that is written last. */
#define BIAS(last) L("ldr " last ", [lr, #24]") L("asr " last ", " last ", #8")
#define FIRST_1(SUMS) BIAS("r0") SUMS("r0")
#define FIRST_2(SUMS) BIAS("r1") SUMS("r1", "r1")
#define FIRST_3(SUMS) BIAS("r2") SUMS("r2", "r2", "r2")
#define FIRST_4(SUMS) BIAS("r3") SUMS("r3", "r3", "r3", "r3")
#define FIRST_5(SUMS) BIAS("r4") SUMS("r4", "r4", "r4", "r4", "r4")
#define FIRST_6(SUMS) BIAS("r5") SUMS("r5", "r5", "r5", "r5", "r5", "r5")
#define FIRST_7(SUMS) BIAS("r6") SUMS("r6", "r6", "r6", "r6", "r6", "r6", "r6")
#define NEXT_1(SUMS) SUMS("r0")
#define NEXT_2(SUMS) SUMS("r0", "r1")
#define NEXT_3(SUMS) SUMS("r0", "r1", "r2")
#define NEXT_4(SUMS) SUMS("r0", "r1", "r2", "r3")
#define NEXT_5(SUMS) SUMS("r0", "r1", "r2", "r3", "r4")
#define NEXT_6(SUMS) SUMS("r0", "r1", "r2", "r3", "r4", "r5")
#define NEXT_7(SUMS) SUMS("r0", "r1", "r2", "r3", "r4", "r5", "r6")

/* Sums to bytes; r11 then stands where the next outputs go. */
#define STORE(a) L("smmlar " a ", " a ", r8, r9") L("ssat " a ", #8, " a) L("strb " a ", [r11]") L("add r11, r11, r10")
#define STORE_1 STORE("r0")
#define STORE_2 STORE_1 STORE("r1")
#define STORE_3 STORE_2 STORE("r2")
#define STORE_4 STORE_3 STORE("r3")
#define STORE_5 STORE_4 STORE("r4")
#define STORE_6 STORE_5 STORE("r5")
#define STORE_7 STORE_6 STORE("r6")
#define NEXT_BLOCK L("ldr r8, [sp, #44]") L("subs r8, r8, #1") L("str r8, [sp, #44]") L("bne 1b") L("ldr r8, [sp, #48]") L("str r8, [sp, #44]")
#define NEXT_CHANNEL L("add r12, sp, #8") L("ldm r12, {r0-r8}") L("add r1, r1, r6") L("add r2, r2, r6") L("add r3, r3, r6") \
    L("add r4, r4, r6") L("add r5, r5, r6") L("add r0, r0, r7") L("stm r12, {r0-r5}") L("add lr, lr, #32") L("cmp lr, r8") L("bne 1b")

#define KEEP(at) L("str r12, [sp, #" at "]")
#define FORGET(at)
#define ROWS(n, SUMS, KEPT) \
    ROW("12", "0", "4") FIRST_##n(SUMS) KEPT("12") ROW("16", "5", "9") NEXT_##n(SUMS) KEPT("16") \
    ROW("20", "10", "14") NEXT_##n(SUMS) KEPT("20") ROW("24", "15", "19") NEXT_##n(SUMS) KEPT("24") \
    ROW("28", "20", "24") NEXT_##n(SUMS) KEPT("28")
#define BLOCK(n, SUMS, KEPT, NEXT) \
    OPEN L("1:") ROWS(n, SUMS, KEPT) L("ldr r8, [lr, #28]") L("ldm sp, {r9, r10, r11}") STORE_##n L("str r11, [sp, #8]") NEXT CLOSE
#define FUNCTIONS(n, stride) \
    MBN_FUNCTION(mbn_depthwise_5x5_block##n##_once_s##stride##_arm_dsp, BLOCK(n, S##stride##_##n, FORGET, NEXT_CHANNEL)); \
    MBN_FUNCTION(mbn_depthwise_5x5_block##n##_s##stride##_arm_dsp, BLOCK(n, S##stride##_##n, KEEP, NEXT_BLOCK NEXT_CHANNEL))

FUNCTIONS(1, 1);
FUNCTIONS(2, 1);
FUNCTIONS(3, 1);
FUNCTIONS(4, 1);
FUNCTIONS(5, 1);
FUNCTIONS(6, 1);
FUNCTIONS(7, 1);
FUNCTIONS(1, 2);
FUNCTIONS(2, 2);
FUNCTIONS(3, 2);
FUNCTIONS(4, 2);
FUNCTIONS(5, 2);
FUNCTIONS(6, 2);
FUNCTIONS(7, 2);
