/* SPDX-License-Identifier: 0BSD */
/* Depthwise 3x3 core for Helium.
 *
 * For each channel 16 columns of three planar rows are interleaved into scratch, so that the taps of one output are 12
 * consecutive bytes [column][row, and one without meaning], and one VMLADAV makes an output. Lanes are in such an order that
 * one scatter store writes a group of up to 7 outputs.
 *
 * Registers: rows r1 r3 r5, scratch r7, weights r9 (q4 for outputs at even columns, q5 for odd ones, which start a word later), out r11,
 * zero point lr, bias q3, multiplier q6, offsets q7. On the stack from sp: offset of the second group, weights_end, channel_stride. */
#include "mbn_arm_asm.h"
#include "mbn_arm_mve.h"

/* clang-format off */

#define L(text) text "\n"
#define OPEN \
    MBN_SAVE_ALL L("vpush {d8-d15}") MBN_PUSHED(64) \
    L("ldm r0, {r1, r3, r5, r7, r9, r11, r12}") L("ldrd r14, r4, [r0, #28]") L("ldr r6, [r0, #36]") \
    L("vldrh.u16 q7, [r4]") L("ldrh r8, [r4, #16]") L("ldr r4, [r4, #20]") L("vmsr p0, r8") L("push {r4, r6, r12}") MBN_PUSHED(12)
#define COLUMNS \
    L("ldr r0, [sp, #8]") \
    L("vldrb.8 q0, [r1]") L("vldrb.8 q1, [r3]") L("vldrb.8 q2, [r5]") L("add r1, r1, r0") L("add r3, r3, r0") L("add r5, r5, r0") \
    L("vst40.8 {q0, q1, q2, q3}, [r7]") L("vst41.8 {q0, q1, q2, q3}, [r7]") L("vst42.8 {q0, q1, q2, q3}, [r7]") L("vst43.8 {q0, q1, q2, q3}, [r7]")
#define WEIGHTS_S1 L("vldrb.8 q4, [r9, #4]") L("vldrb.8 q5, [r9], #20") L("ldrd r0, r2, [r9], #8") L("vdup.32 q3, r0") L("vdup.32 q6, r2")
#define WEIGHTS_S2 L("vldrb.8 q4, [r9, #4]") L("ldrd r0, r2, [r9, #20]") L("vdup.32 q3, r0") L("vdup.32 q6, r2") L("add r9, r9, #28")
#define TAPS(at) L("vldrb.8 q0, [r7, #" at "]")
#define EVEN(sum) L("vmladav.s8 " sum ", q0, q4")
#define ODD(sum) L("vmladav.s8 " sum ", q0, q5")
#define SCALE(q) L("vadd.s32 " q ", " q ", q3") L("vrmulh.s32 " q ", " q ", q6")
#define SATURATE L("vqadd.s16 q1, q1, r14") L("vqmovnb.s16 q1, q1")
#define STORE_FIRST L("vpst") L("vstrbt.16 q1, [r11, q7]")
#define STORE_SECOND L("ldr r0, [sp]") L("add r0, r0, r11") L("vpst") L("vstrbt.16 q1, [r0, q7]")
#define CLOSE L("ldr r0, [sp, #4]") L("add r11, r11, #1") L("cmp r9, r0") L("bne 1b") L("add sp, sp, #12") MBN_PUSHED(-12) L("vpop {d8-d15}") MBN_PUSHED(-64) MBN_RETURN

/* The sums of N outputs in r0 r2 ...; a, b, ... are where the taps of every other one lie (stride 1). */
#define S1_1(a) TAPS(a) EVEN("r0")
#define S1_2(a) S1_1(a) ODD("r2")
#define S1_3(a, b) S1_2(a) TAPS(b) EVEN("r4")
#define S1_4(a, b) S1_3(a, b) ODD("r6")
#define S1_5(a, b, c) S1_4(a, b) TAPS(c) EVEN("r8")
#define S1_6(a, b, c) S1_5(a, b, c) ODD("r10")
#define S1_7(a, b, c, d) S1_6(a, b, c) TAPS(d) EVEN("r12")
#define S2_1 TAPS("0") EVEN("r0")
#define S2_2 S2_1 TAPS("8") EVEN("r2")
#define S2_3 S2_2 TAPS("16") EVEN("r4")
#define S2_4 S2_3 TAPS("24") EVEN("r6")
#define S2_5 S2_4 TAPS("32") EVEN("r8")
#define S2_6 S2_5 TAPS("40") EVEN("r10")
#define S2_7 S2_6 TAPS("48") EVEN("r12")
/* Sums to bytes: q1 takes outputs 0 2 4 6, q2 1 3 5 7. From four on they fill both. */
#define LANES_1 L("vmov q1[2], q1[0], r0, r8")
#define LANES_2 LANES_1 L("vmov q2[2], q2[0], r2, r10")
#define LANES_3 LANES_1 L("vmov q1[3], q1[1], r4, r12") L("vmov q2[2], q2[0], r2, r10")
#define LANES_4 LANES_3 L("vmov q2[3], q2[1], r6, r14")
#define NARROW SCALE("q1") L("vqmovnb.s32 q1, q1")
#define NARROW_BOTH NARROW SCALE("q2") L("vqmovnt.s32 q1, q2")
#define BYTES_1 LANES_1 NARROW SATURATE
#define BYTES_2 LANES_2 NARROW_BOTH SATURATE
#define BYTES_3 LANES_3 NARROW_BOTH SATURATE
#define BYTES_4 LANES_4 NARROW_BOTH SATURATE
#define BLOCK(stride, GROUPS) OPEN L("1:") COLUMNS WEIGHTS_S##stride GROUPS CLOSE

MBN_FUNCTION(mbn_depthwise_block1_s1_arm_mve, BLOCK(1, S1_1("0") BYTES_1 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block2_s1_arm_mve, BLOCK(1, S1_2("0") BYTES_2 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block3_s1_arm_mve, BLOCK(1, S1_3("0", "8") BYTES_3 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block4_s1_arm_mve, BLOCK(1, S1_4("0", "8") BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block5_s1_arm_mve, BLOCK(1, S1_5("0", "8", "16") BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block6_s1_arm_mve, BLOCK(1, S1_6("0", "8", "16") BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block7_s1_arm_mve, BLOCK(1, S1_7("0", "8", "16", "24") BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block8_s1_arm_mve, BLOCK(1, S1_4("0", "8") BYTES_4 STORE_FIRST S1_4("16", "24") BYTES_4 STORE_SECOND));
MBN_FUNCTION(mbn_depthwise_block10_s1_arm_mve, BLOCK(1, S1_5("0", "8", "16") BYTES_4 STORE_FIRST S1_5("20", "28", "36") BYTES_4 STORE_SECOND));
MBN_FUNCTION(mbn_depthwise_block12_s1_arm_mve, BLOCK(1, S1_6("0", "8", "16") BYTES_4 STORE_FIRST S1_6("24", "32", "40") BYTES_4 STORE_SECOND));
MBN_FUNCTION(mbn_depthwise_block14_s1_arm_mve, BLOCK(1, S1_7("0", "8", "16", "24") BYTES_4 STORE_FIRST S1_7("28", "36", "44", "52") BYTES_4 STORE_SECOND));
MBN_FUNCTION(mbn_depthwise_block1_s2_arm_mve, BLOCK(2, S2_1 BYTES_1 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block2_s2_arm_mve, BLOCK(2, S2_2 BYTES_2 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block3_s2_arm_mve, BLOCK(2, S2_3 BYTES_3 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block4_s2_arm_mve, BLOCK(2, S2_4 BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block5_s2_arm_mve, BLOCK(2, S2_5 BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block6_s2_arm_mve, BLOCK(2, S2_6 BYTES_4 STORE_FIRST));
MBN_FUNCTION(mbn_depthwise_block7_s2_arm_mve, BLOCK(2, S2_7 BYTES_4 STORE_FIRST));
