/* SPDX-License-Identifier: 0BSD */
/* 3x3 depthwise core for Armv7E-M and Armv8-M with DSP where the input or the output is int16: a pixel of all channels, four channels
 * in registers.
 *
 * Registers: sums r0-r3, weights r4 r5, inputs r6 r7, the columns of a row r8, from a column to the next r9, rows r10-r12; lr reads
 * weights. On the stack from sp: lift, zero_point, low, high, out, column, weights_end. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
/* Two words of int16 channels, or a word of int8 ones. */
#define LOAD_wide(at) L("ldr r6, [" at "]") L("ldr r7, [" at ", #4]")
#define LOAD_FIRST_wide(row) L("ldr r6, [" row "], #4") L("ldr r7, [" row "], #4")
#define MAC_wide L("smlabb r0, r6, r4, r0") L("smlatt r1, r6, r4, r1") L("smlabb r2, r7, r5, r2") L("smlatt r3, r7, r5, r3")
#define LOAD_narrow(at) L("ldr r6, [" at "]")
#define LOAD_FIRST_narrow(row) L("ldr r6, [" row "], #4")
#define MAC_narrow L("sxtb16 r7, r6") L("sxtb16 r6, r6, ror #8") \
    L("smlabb r0, r7, r4, r0") L("smlabb r1, r6, r5, r1") L("smlatt r2, r7, r4, r2") L("smlatt r3, r6, r5, r3")
#define WEIGHTS L("ldrd r4, r5, [lr], #8")
#define ROW(IN, row) \
    L("add r8, " row ", r9") WEIGHTS LOAD_FIRST_##IN(row) MAC_##IN \
    WEIGHTS LOAD_##IN("r8") L("add r8, r8, r9") MAC_##IN WEIGHTS LOAD_##IN("r8") MAC_##IN
#define SCALE \
    L("ldm lr!, {r4-r7}") L("ldrd r8, r9, [sp]") \
    L("lsl r0, r0, r8") L("lsl r1, r1, r8") L("lsl r2, r2, r8") L("lsl r3, r3, r8") \
    L("smmlar r0, r0, r4, r9") L("smmlar r1, r1, r5, r9") L("smmlar r2, r2, r6, r9") L("smmlar r3, r3, r7, r9") \
    L("ssat r0, #16, r0") L("ssat r1, #16, r1") L("ssat r2, #16, r2") L("ssat r3, #16, r3") \
    L("pkhbt r0, r0, r1, lsl #16") L("pkhbt r2, r2, r3, lsl #16")
#define CLAMP(pair) L("ssub16 r6, " pair ", r4") L("sel " pair ", " pair ", r4") L("ssub16 r6, " pair ", r5") L("sel " pair ", r5, " pair)
#define STORE_wide L("str r0, [r8], #4") L("str r2, [r8], #4")
#define STORE_narrow L("uxtb16 r0, r0") L("uxtb16 r2, r2") L("orr r0, r0, r0, lsr #8") L("orr r2, r2, r2, lsr #8") \
    L("pkhbt r0, r0, r2, lsl #16") L("str r0, [r8], #4")
#define PIXEL(IN, OUT) \
    MBN_SAVE_ALL L("ldm r0, {r1-r10, lr}") L("mov r12, r3") L("push {r4-r10}") MBN_PUSHED(28) \
    L("mov r10, r1") L("mov r11, r2") \
    L("1:") L("ldm lr!, {r0-r3}") ROW(IN, "r10") ROW(IN, "r11") ROW(IN, "r12") \
    SCALE L("ldrd r4, r5, [sp, #8]") CLAMP("r0") CLAMP("r2") \
    L("ldr r8, [sp, #16]") STORE_##OUT L("str r8, [sp, #16]") \
    L("ldrd r9, r8, [sp, #20]") L("cmp lr, r8") L("bne 1b") \
    L("add sp, sp, #28") MBN_PUSHED(-28) MBN_RETURN

MBN_FUNCTION(mbn_depthwise_s16_wide_to_wide_arm_dsp, PIXEL(wide, wide));
MBN_FUNCTION(mbn_depthwise_s16_wide_to_narrow_arm_dsp, PIXEL(wide, narrow));
MBN_FUNCTION(mbn_depthwise_s16_narrow_to_wide_arm_dsp, PIXEL(narrow, wide));
