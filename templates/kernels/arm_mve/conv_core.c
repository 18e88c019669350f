/* SPDX-License-Identifier: 0BSD */
/* Convolution core for Helium: one to four pixels x two output channels, 16 taps per VMLADAVA, the sums in even registers.
 *
 * Taps are read in whole vectors, up to 15 bytes past a pixel, and those meet weight zero. VRMULH requantizes, and two
 * narrowing moves saturate; the zero point is added at 16 bits. The lanes are in such an order that one scatter
 * store writes all 8 results, planar or interleaved.
 *
 * Weights of four bits: a byte holds w_odd in its upper half and w_even in its lower one. Shifted up it is 16 * w_even, masked
 * 16 * w_odd, so that all sums come 16 times as large.
 *
 * On the stack from sp: out, x0, zero_point, x1, advance, x2, weights_end, x3, passes, entry of the unrolled loop. */
#include "mbn_arm_asm.h"
#include "mbn_arm_mve.h"

/* clang-format off */

#define L(text) text "\n"
#define X0 L("vldrb.8 q0, [r1], #16")
#define X1 L("vldrb.8 q1, [r3], #16")
#define X2 L("vldrb.8 q2, [r5], #16")
#define X3 L("vldrb.8 q3, [r7], #16")
#define WEIGHTS L("vldrb.8 q4, [r11], #16") L("vldrb.8 q5, [r11], #16")
#define M0 L("vmladava.s8 r0, q0, q4") L("vmladava.s8 r8, q0, q5")
#define M1 L("vmladava.s8 r2, q1, q4") L("vmladava.s8 r10, q1, q5")
#define M2 L("vmladava.s8 r4, q2, q4") L("vmladava.s8 r12, q2, q5")
#define M3 L("vmladava.s8 r6, q3, q4") L("vmladava.s8 r14, q3, q5")
#define HALVES L("vldrb.8 q5, [r11], #16") L("vshl.i8 q4, q5, #4") L("vand q5, q5, q6")
#define STEP4(W) W X0 X1 M0 X2 M1 X3 M2 M3
#define STEP3(W) W X0 X1 M0 X2 M1 M2
#define STEP2(W) W X0 X1 M0 M1
#define STEP1(W) W X0 M0
#define STORE4 L("vstrb.16 q4, [r0, q7]")
#define STORE3 L("vpst") L("vstrbt.16 q4, [r0, q7]")
#define STORE2 STORE3
#define STORE1 STORE3
#define OPEN \
    MBN_SAVE_ALL L("vpush {d8-d15}") MBN_PUSHED(64) \
    L("ldm r0, {r1-r12}") L("vldrh.u16 q7, [r12]") L("ldrh r12, [r12, #16]") L("vmsr p0, r12") \
    L("push {r1-r10}") MBN_PUSHED(40) L("ldm sp, {r0-r7, r9}")
#define CLOSE L("add sp, sp, #40") MBN_PUSHED(-40) L("vpop {d8-d15}") MBN_PUSHED(-64) MBN_RETURN
#define BIAS L("ldm r11!, {r0, r2, r4, r6, r8, r10, r12, r14}")
#define LANES \
    L("vmov q4[2], q4[0], r0, r8") L("vmov q4[3], q4[1], r4, r12") L("vmov q5[2], q5[0], r2, r10") L("vmov q5[3], q5[1], r6, r14")
#define FINISH(P) LANES REQUANTIZE(P, "q6")
#define REQUANTIZE(P, factors) \
    L("vldrw.32 " factors ", [r11], #16") L("vrmulh.s32 q4, q4, " factors) L("vrmulh.s32 q5, q5, " factors) \
    L("ldm sp, {r0-r7, r9}") \
    L("vqmovnb.s32 q4, q4") L("vqmovnt.s32 q4, q5") L("vqadd.s16 q4, q4, r2") L("vqmovnb.s16 q4, q4") STORE##P \
    L("vadd.i16 q7, q7, r4") L("cmp r11, r6") L("bne 1b")
#define LOOP(STEP) \
    L("adr r12, 2f") L("movs r8, #(3f - 2f) / 4") L("mla r10, r10, r8, r12") L("orr r10, r10, #1") L("str r10, [sp, #36]") \
    L("1:") BIAS L("ldr pc, [sp, #36]") \
    L(".p2align 2") L("2:") STEP STEP STEP STEP L("3:") L("subs r9, r9, #1") L("bne 2b")
#define BLOCK(P) OPEN LOOP(STEP##P(WEIGHTS)) FINISH(P) CLOSE
/* Weights of four bits; the mask of the upper halves in q6. */
#define W4_BLOCK(P) OPEN L("vmov.i8 q6, #240") LOOP(STEP##P(HALVES)) \
    LANES L("vshr.s32 q4, q4, #4") L("vshr.s32 q5, q5, #4") REQUANTIZE(P, "q0") CLOSE
/* At most 16 taps: the inputs stay in q0 to q3 for all channels. */
#define SHORT_BLOCK(P) OPEN X0 X1 X2 X3 L("1:") BIAS WEIGHTS M0 M1 M2 M3 FINISH(P) CLOSE

MBN_FUNCTION(mbn_conv_block4_arm_mve, BLOCK(4));
MBN_FUNCTION(mbn_conv_block3_arm_mve, BLOCK(3));
MBN_FUNCTION(mbn_conv_block2_arm_mve, BLOCK(2));
MBN_FUNCTION(mbn_conv_block1_arm_mve, BLOCK(1));
MBN_FUNCTION(mbn_conv_block4_short_arm_mve, SHORT_BLOCK(4));
MBN_FUNCTION(mbn_conv_block3_short_arm_mve, SHORT_BLOCK(3));
MBN_FUNCTION(mbn_conv_w4_block4_arm_mve, W4_BLOCK(4));
MBN_FUNCTION(mbn_conv_w4_block3_arm_mve, W4_BLOCK(3));
MBN_FUNCTION(mbn_conv_w4_block2_arm_mve, W4_BLOCK(2));
MBN_FUNCTION(mbn_conv_w4_block1_arm_mve, W4_BLOCK(1));
