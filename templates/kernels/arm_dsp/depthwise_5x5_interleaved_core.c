/* SPDX-License-Identifier: 0BSD */
/* Depthwise 5x5 core for interleaved rows, for Armv7E-M and Armv8-M with DSP.
 *
 * One to three output pixels at once, of four channels first channels 0 and 2, then 1 and 3, as SXTB16 extends a word of a row;
 * the five weights of a kernel row of two channels lie in registers while its columns pass.
 *
 * Registers: sums r0 r1 (first pixel), r2 r3, r4 r5, weights r6 to r10, a column r11, r12 reads columns, lr is the step between
 * them. On the stack from sp: zero_point, out, out_stride, in_bytes, five rows, weights_end, weights. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define OPEN MBN_SAVE_ALL L("ldm r0, {r1-r11}") L("push {r1-r11}") MBN_PUSHED(44) L("1:")
#define BIAS L("ldr lr, [sp, #40]") L("ldm lr!, {r0, r1}") L("str lr, [sp, #40]")
#define BIAS_1 BIAS
#define BIAS_2 BIAS L("mov r2, r0") L("mov r3, r1")
#define BIAS_3 BIAS_2 L("mov r4, r0") L("mov r5, r1")
#define STEP L("ldr lr, [sp, #12]")
#define ROW(at) L("ldr r11, [sp, #40]") L("ldr r12, [sp, #" at "]") L("ldm r11!, {r6-r10}") L("str r11, [sp, #40]")
/* From r12 on the columns 0, 1, 2 and 4 can be read. */
#define COLUMN(half, at) L("ldr r11, [r12" at "]") L("sxtb16 r11, r11" half)
#define AT_0 ""
#define AT_1 ", lr"
#define AT_2 ", lr, lsl #1"
#define AT_4 ", lr, lsl #2"
#define GO_1 L("add r12, r12, lr")
#define GO_2 L("add r12, r12, lr, lsl #1")
#define TAP(w, a, b) L("smlabb " a ", r11, " w ", " a) L("smlatt " b ", r11, " w ", " b)
#define X(w) TAP(w, "r0", "r1")
#define Y(w) TAP(w, "r2", "r3")
#define Z(w) TAP(w, "r4", "r5")
#define A "r6"
#define B "r7"
#define C "r8"
#define D "r9"
#define E "r10"

/* The columns of a kernel row, in the order in which they are reached: each goes to the pixels in whose windows it lies. */
#define S1_1(h) COLUMN(h, AT_0) X(A) COLUMN(h, AT_1) X(B) COLUMN(h, AT_2) X(C) COLUMN(h, AT_4) X(E) GO_1 COLUMN(h, AT_2) X(D)
#define S1_2(h) COLUMN(h, AT_0) X(A) COLUMN(h, AT_1) X(B) Y(A) COLUMN(h, AT_2) X(C) Y(B) COLUMN(h, AT_4) X(E) Y(D) GO_1 \
    COLUMN(h, AT_2) X(D) Y(C) COLUMN(h, AT_4) Y(E)
#define S1_3(h) COLUMN(h, AT_0) X(A) COLUMN(h, AT_1) X(B) Y(A) COLUMN(h, AT_2) X(C) Y(B) Z(A) COLUMN(h, AT_4) X(E) Y(D) Z(C) GO_1 \
    COLUMN(h, AT_2) X(D) Y(C) Z(B) COLUMN(h, AT_4) Y(E) Z(D) GO_1 COLUMN(h, AT_4) Z(E)
#define S2_2(h) COLUMN(h, AT_0) X(A) COLUMN(h, AT_1) X(B) COLUMN(h, AT_2) X(C) Y(A) COLUMN(h, AT_4) X(E) Y(C) GO_1 \
    COLUMN(h, AT_2) X(D) Y(B) COLUMN(h, AT_4) Y(D) GO_1 COLUMN(h, AT_4) Y(E)
#define S2_3(h) COLUMN(h, AT_0) X(A) COLUMN(h, AT_1) X(B) COLUMN(h, AT_2) X(C) Y(A) COLUMN(h, AT_4) X(E) Y(C) Z(A) GO_1 \
    COLUMN(h, AT_2) X(D) Y(B) COLUMN(h, AT_4) Y(D) Z(B) GO_2 COLUMN(h, AT_4) Z(D) GO_1 COLUMN(h, AT_2) Y(E) Z(C) COLUMN(h, AT_4) Z(E)
#define ROWS(COLUMNS, h) \
    ROW("16") COLUMNS(h) ROW("20") COLUMNS(h) ROW("24") COLUMNS(h) ROW("28") COLUMNS(h) ROW("32") COLUMNS(h)

#define MULTIPLIERS L("ldr lr, [sp, #40]") L("ldm sp, {r8, r9, r10}") L("ldm lr!, {r6, r7}") L("str lr, [sp, #40]")
#define SCALE(a, b) L("smmlar " a ", " a ", r6, r8") L("smmlar " b ", " b ", r7, r8") L("ssat " a ", #8, " a) L("ssat " b ", #8, " b) \
    L("strb " a ", [r9]") L("strb " b ", [r9, #2]")
#define NEXT_PIXEL L("add r9, r9, r10")
#define STORE_1 L("add r11, r9, #1") SCALE("r0", "r1")
#define STORE_2 STORE_1 NEXT_PIXEL SCALE("r2", "r3")
#define STORE_3 STORE_2 NEXT_PIXEL SCALE("r4", "r5")
#define KEEP_OUT L("str r11, [sp, #4]")
#define NEXT_CHANNELS L("add r11, r11, #2") KEEP_OUT \
    L("add r12, sp, #16") L("ldm r12, {r0-r5}") L("add r0, r0, #4") L("add r1, r1, #4") L("add r2, r2, #4") L("add r3, r3, #4") \
    L("add r4, r4, #4") L("stm r12, {r0-r4}") L("cmp lr, r5") L("bne 1b")
#define CLOSE L("add sp, sp, #44") MBN_PUSHED(-44) MBN_RETURN
#define FUNCTION(n, stride) \
    MBN_FUNCTION(mbn_depthwise_5x5_pixels##n##_s##stride##_arm_dsp, \
        OPEN BIAS_##n STEP ROWS(S##stride##_##n, "") MULTIPLIERS STORE_##n KEEP_OUT \
        BIAS_##n STEP ROWS(S##stride##_##n, ", ror #8") MULTIPLIERS STORE_##n NEXT_CHANNELS CLOSE)

/* One pixel is the same with any stride. */
FUNCTION(1, 1);
FUNCTION(2, 1);
FUNCTION(3, 1);
FUNCTION(2, 2);
FUNCTION(3, 2);
