/* SPDX-License-Identifier: 0BSD */
/* Depthwise 3x3 core for interleaved rows, for Armv7E-M and Armv8-M with DSP.
 *
 * One or two output pixels times four channels at once, their sums in registers r0 to r3 and r4 to r7. A word of a row, four
 * channels of a column, is extended to two pairs, as the weights lie in memory: channels 0 2 and channels 1 3.
 *
 * Registers: weights r8 r9, column r10 r11, r12 reads columns, lr reads weights. On the stack from sp: zero_point, out, out_stride,
 * in_bytes, three rows, weights_end. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define OPEN MBN_SAVE_ALL L("ldm r0, {r1-r9}") L("mov lr, r9") L("push {r1-r8}") MBN_PUSHED(32) L("1:")
#define BIAS L("ldm lr, {r0-r3}")
#define BIAS_TWICE BIAS L("mov r4, r0") L("mov r5, r1") L("mov r6, r2") L("mov r7, r3")
#define ROW(at) L("ldr r12, [sp, #" at "]")
#define LAST_COLUMN L("ldr r11, [r12]") L("sxtb16 r10, r11") L("sxtb16 r11, r11, ror #8")
#define COLUMN L("ldr r11, [r12]") L("ldr r8, [sp, #12]") L("add r12, r12, r8") L("sxtb16 r10, r11") L("sxtb16 r11, r11, ror #8")
#define TAP(at, c0, c1, c2, c3) L("ldrd r8, r9, [lr, #" at "]") L("smlabb " c0 ", r10, r8, " c0) L("smlabb " c1 ", r11, r9, " c1) \
    L("smlatt " c2 ", r10, r8, " c2) L("smlatt " c3 ", r11, r9, " c3)
#define FIRST(at) TAP(at, "r0", "r1", "r2", "r3")
#define SECOND(at) TAP(at, "r4", "r5", "r6", "r7")
#define MULTIPLIERS L("ldrd r8, r9, [lr, #88]") L("ldrd r10, r11, [lr, #96]") L("ldr r12, [sp]") L("add lr, lr, #104")
/* Four sums to four bytes of a word, in c0. */
#define SCALE(c0, c1, c2, c3) \
    L("smmlar " c0 ", " c0 ", r8, r12") L("smmlar " c1 ", " c1 ", r9, r12") L("smmlar " c2 ", " c2 ", r10, r12") L("smmlar " c3 ", " c3 ", r11, r12") \
    L("ssat " c0 ", #8, " c0) L("ssat " c1 ", #8, " c1) L("ssat " c2 ", #8, " c2) L("ssat " c3 ", #8, " c3) \
    L("bfi " c0 ", " c1 ", #8, #8") L("bfi " c2 ", " c3 ", #8, #8") L("pkhbt " c0 ", " c0 ", " c2 ", lsl #16")
#define STORE_ONE L("ldr r8, [sp, #4]") L("str r0, [r8], #4") L("str r8, [sp, #4]")
#define STORE_TWO L("ldrd r8, r9, [sp, #4]") L("str r4, [r8, r9]") L("str r0, [r8], #4") L("str r8, [sp, #4]")
#define NEXT_CHANNELS \
    L("ldrd r8, r9, [sp, #16]") L("add r8, r8, #4") L("add r9, r9, #4") L("strd r8, r9, [sp, #16]") \
    L("ldrd r8, r9, [sp, #24]") L("add r8, r8, #4") L("str r8, [sp, #24]") L("cmp lr, r9") L("bne 1b")
#define CLOSE L("add sp, sp, #32") MBN_PUSHED(-32) MBN_RETURN

/* Rows of taps: a column goes to the first pixel while it lies in its window, and to the second. */
#define ONE \
    OPEN BIAS \
    ROW("16") COLUMN FIRST("16") COLUMN FIRST("24") LAST_COLUMN FIRST("32") \
    ROW("20") COLUMN FIRST("40") COLUMN FIRST("48") LAST_COLUMN FIRST("56") \
    ROW("24") COLUMN FIRST("64") COLUMN FIRST("72") LAST_COLUMN FIRST("80") \
    MULTIPLIERS SCALE("r0", "r1", "r2", "r3") STORE_ONE NEXT_CHANNELS CLOSE
#define TWO(ROWS) \
    OPEN BIAS_TWICE ROWS \
    MULTIPLIERS SCALE("r0", "r1", "r2", "r3") SCALE("r4", "r5", "r6", "r7") STORE_TWO NEXT_CHANNELS CLOSE
#define ROWS_S1 \
    ROW("16") COLUMN FIRST("16") COLUMN FIRST("24") SECOND("16") COLUMN FIRST("32") SECOND("24") LAST_COLUMN SECOND("32") \
    ROW("20") COLUMN FIRST("40") COLUMN FIRST("48") SECOND("40") COLUMN FIRST("56") SECOND("48") LAST_COLUMN SECOND("56") \
    ROW("24") COLUMN FIRST("64") COLUMN FIRST("72") SECOND("64") COLUMN FIRST("80") SECOND("72") LAST_COLUMN SECOND("80")
#define ROWS_S2 \
    ROW("16") COLUMN FIRST("16") COLUMN FIRST("24") COLUMN FIRST("32") SECOND("16") COLUMN SECOND("24") LAST_COLUMN SECOND("32") \
    ROW("20") COLUMN FIRST("40") COLUMN FIRST("48") COLUMN FIRST("56") SECOND("40") COLUMN SECOND("48") LAST_COLUMN SECOND("56") \
    ROW("24") COLUMN FIRST("64") COLUMN FIRST("72") COLUMN FIRST("80") SECOND("64") COLUMN SECOND("72") LAST_COLUMN SECOND("80")

/* One pixel is the same with any stride. */
MBN_FUNCTION(mbn_depthwise_one_arm_dsp, ONE);
MBN_FUNCTION(mbn_depthwise_two_s1_arm_dsp, TWO(ROWS_S1));
MBN_FUNCTION(mbn_depthwise_two_s2_arm_dsp, TWO(ROWS_S2));
