/* SPDX-License-Identifier: 0BSD */
/* Convolution core for Armv7E-M and Armv8-M with DSP where the input or the output is int16: one to four pixels x two output
 * channels in registers, as in conv_core.c.
 *
 * A weight word holds two taps of two channels, bytes even odd even odd. SXTB16 makes pairs of it, of the even channel and, rotated,
 * of the odd one: sums of int16 leave no room for two channels in one. SMMLAR requantizes; then the two channels of a pixel are a word,
 * SSUB16 and SEL clamp both.
 *
 * Registers: sums of the even channel, of the odd one, inputs x, weights h; r12 reads inputs, lr reads weights. On the stack from sp:
 * lift, zero_point, low, high, out, out_stride, x, weights_end, x_end, entry of the unrolled loop. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define PROLOGUE \
    MBN_SAVE_ALL L("ldm r0, {r1-r11}") L("mov lr, r11") \
    L("adr r12, 2f") L("movs r11, #(3f - 2f) / 4") L("mla r10, r10, r11, r12") L("orr r10, r10, #1") L("push {r1-r10}") MBN_PUSHED(40)
#define ENTER L("ldr pc, [sp, #36]")
#define EPILOGUE L("add sp, sp, #40") MBN_PUSHED(-40) MBN_RETURN
/* Two taps, each time: of the word h the even channel's in `even`, the odd one's in h. */
#define WIDEN(even, h) L("sxtb16 " even ", " h) L("sxtb16 " h ", " h ", ror #8")
#define MAC(even, odd, h_even, h_odd, x) L("smlad " even ", " h_even ", " x ", " even) L("smlad " odd ", " h_odd ", " x ", " odd)
/* The first taps of a sum, which begins as the bias. */
#define BEGIN(even, odd, h_even, h_odd, x, bias_even, bias_odd) \
    L("smlad " even ", " h_even ", " x ", " bias_even) L("smlad " odd ", " h_odd ", " x ", " bias_odd)

/* ---- 4 pixels: even r0-r3, odd r4-r7, h r9 and r8, x r10 r11 */
#define PAIR4 \
    L("ldr r8, [lr], #4") WIDEN("r9", "r8") \
    L("ldrd r10, r11, [r12], #8") MAC("r0", "r4", "r9", "r8", "r10") MAC("r1", "r5", "r9", "r8", "r11") \
    L("ldrd r10, r11, [r12], #8") MAC("r2", "r6", "r9", "r8", "r10") MAC("r3", "r7", "r9", "r8", "r11")
#define FIRST4 \
    L("ldm lr!, {r3, r7, r8}") WIDEN("r9", "r8") L("ldrd r10, r11, [r12], #8") \
    BEGIN("r0", "r4", "r9", "r8", "r10", "r3", "r7") BEGIN("r1", "r5", "r9", "r8", "r11", "r3", "r7") \
    L("ldrd r10, r11, [r12], #8") \
    BEGIN("r2", "r6", "r9", "r8", "r10", "r3", "r7") BEGIN("r3", "r7", "r9", "r8", "r11", "r3", "r7") \
    PAIR4
#define STEP4 PAIR4 PAIR4

/* ---- 3 pixels: even r0-r2, odd r3-r5, x r6-r8, h r11 and r9 or r10 */
#define MAC3(h) WIDEN("r11", h) MAC("r0", "r3", "r11", h, "r6") MAC("r1", "r4", "r11", h, "r7") MAC("r2", "r5", "r11", h, "r8")
#define STEP3 L("ldrd r9, r10, [lr], #8") L("ldm r12!, {r6, r7, r8}") MAC3("r9") L("ldm r12!, {r6, r7, r8}") MAC3("r10")
#define FIRST3 L("ldm lr!, {r2, r5, r9, r10}") L("ldm r12!, {r6, r7, r8}") WIDEN("r11", "r9") \
    BEGIN("r0", "r3", "r11", "r9", "r6", "r2", "r5") BEGIN("r1", "r4", "r11", "r9", "r7", "r2", "r5") \
    BEGIN("r2", "r5", "r11", "r9", "r8", "r2", "r5") L("ldm r12!, {r6, r7, r8}") MAC3("r10")

/* ---- 2 pixels: even r0 r1, odd r2 r3, x r4-r7, h r10 and r8 or r9 */
#define MAC2(h, x0, x1) WIDEN("r10", h) MAC("r0", "r2", "r10", h, x0) MAC("r1", "r3", "r10", h, x1)
#define STEP2 L("ldrd r8, r9, [lr], #8") L("ldm r12!, {r4, r5, r6, r7}") MAC2("r8", "r4", "r5") MAC2("r9", "r6", "r7")
#define FIRST2 L("ldm lr!, {r1, r3, r8, r9}") L("ldm r12!, {r4, r5, r6, r7}") WIDEN("r10", "r8") \
    BEGIN("r0", "r2", "r10", "r8", "r4", "r1", "r3") BEGIN("r1", "r3", "r10", "r8", "r5", "r1", "r3") MAC2("r9", "r6", "r7")

/* ---- 1 pixel: even r0, odd r1, x r4 r5, h r10 and r8 or r9 */
#define MAC1(h, x) WIDEN("r10", h) MAC("r0", "r1", "r10", h, x)
#define STEP1 L("ldrd r8, r9, [lr], #8") L("ldrd r4, r5, [r12], #8") MAC1("r8", "r4") MAC1("r9", "r5")
#define FIRST1 L("ldm lr!, {r0, r1, r8, r9}") L("ldrd r4, r5, [r12], #8") MAC1("r8", "r4") MAC1("r9", "r5")

/* ---- an even and an odd sum to a word of both, in place of the even one; multipliers r8 r9, lift r10, zero point r11 */
#define SCALE(even, odd) \
    L("lsl " even ", " even ", r10") L("lsl " odd ", " odd ", r10") \
    L("smmlar " even ", " even ", r8, r11") L("smmlar " odd ", " odd ", r9, r11") \
    L("ssat " even ", #16, " even) L("ssat " odd ", #16, " odd) L("pkhbt " even ", " even ", " odd ", lsl #16")
#define SCALES L("ldrd r8, r9, [lr], #8") L("ldrd r10, r11, [sp]")
/* ... between low r8 and high r9 */
#define CLAMPS L("ldrd r8, r9, [sp, #8]") L("ldrd r10, r11, [sp, #16]")
#define CLAMP(pair, free) \
    L("ssub16 " free ", " pair ", r8") L("sel " pair ", " pair ", r8") L("ssub16 " free ", " pair ", r9") L("sel " pair ", r9, " pair)
#define FINISH4 SCALES SCALE("r0", "r4") SCALE("r1", "r5") SCALE("r2", "r6") SCALE("r3", "r7") \
    CLAMPS CLAMP("r0", "r4") CLAMP("r1", "r4") CLAMP("r2", "r4") CLAMP("r3", "r4")
#define FINISH3 SCALES SCALE("r0", "r3") SCALE("r1", "r4") SCALE("r2", "r5") CLAMPS CLAMP("r0", "r4") CLAMP("r1", "r4") CLAMP("r2", "r4")
#define FINISH2 SCALES SCALE("r0", "r2") SCALE("r1", "r3") CLAMPS CLAMP("r0", "r4") CLAMP("r1", "r4")
#define FINISH1 SCALES SCALE("r0", "r1") CLAMPS CLAMP("r0", "r4")

/* The words of the pixels in r0 to r3, or their low bytes; out r10, out_stride r11. */
#define NARROW(pair) L("uxtb16 " pair ", " pair) L("orr " pair ", " pair ", " pair ", lsr #8")
#define NARROW1 NARROW("r0")
#define NARROW2 NARROW1 NARROW("r1")
#define NARROW3 NARROW2 NARROW("r2")
#define NARROW4 NARROW3 NARROW("r3")
#define STORES1(str)
#define STORES2(str) L(str " r1, [r10, r11]")
#define STORES3(str) STORES2(str) L(str " r2, [r10, r11, lsl #1]")
#define STORES4(str) STORES3(str) L("add r11, r11, r11, lsl #1") L(str " r3, [r10, r11]")
#define STORE_wide(P) STORES##P("str") L("str r0, [r10], #4") L("str r10, [sp, #16]")
#define STORE_narrow(P) NARROW##P STORES##P("strh") L("strh r0, [r10], #2") L("str r10, [sp, #16]")

#define BLOCK(P, STORE) \
    PROLOGUE \
    L("ldr r12, [sp, #24]") \
    L("1:") FIRST##P ENTER \
    L(".p2align 2") L("2:") STEP##P STEP##P STEP##P STEP##P \
    L("3:") L("ldr r11, [sp, #32]") L("cmp r12, r11") L("bne 2b") \
    FINISH##P STORE(P) \
    L("ldrd r12, r8, [sp, #24]") L("cmp lr, r8") L("bne 1b") \
    EPILOGUE

MBN_FUNCTION(mbn_conv_s16_block1_wide_arm_dsp, BLOCK(1, STORE_wide));
MBN_FUNCTION(mbn_conv_s16_block1_narrow_arm_dsp, BLOCK(1, STORE_narrow));
MBN_FUNCTION(mbn_conv_s16_block2_wide_arm_dsp, BLOCK(2, STORE_wide));
MBN_FUNCTION(mbn_conv_s16_block2_narrow_arm_dsp, BLOCK(2, STORE_narrow));
MBN_FUNCTION(mbn_conv_s16_block3_wide_arm_dsp, BLOCK(3, STORE_wide));
MBN_FUNCTION(mbn_conv_s16_block3_narrow_arm_dsp, BLOCK(3, STORE_narrow));
MBN_FUNCTION(mbn_conv_s16_block4_wide_arm_dsp, BLOCK(4, STORE_wide));
MBN_FUNCTION(mbn_conv_s16_block4_narrow_arm_dsp, BLOCK(4, STORE_narrow));
