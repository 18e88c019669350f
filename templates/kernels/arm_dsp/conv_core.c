/* SPDX-License-Identifier: 0BSD */
/* Convolution core for Armv7E-M and Armv8-M with DSP: one to four pixels x two output channels in registers, one word of
 * weights per channel pair and pair of taps.
 *
 * A weight word holds h = 256 * w_odd + w_even for two taps, so for the two inputs x of those taps
 *     SMLAD(h, x)          accumulates S = 256 * P_odd + P_even
 *     SMLAD(SXTB16(h), x)  accumulates Q = P_even
 * and P_odd = (S - Q) >> 8, exact if |P_odd| < 2^23, which the compiler has proved from the weights. One SMMLAR and one SSAT
 * requantize.
 *
 * Weights of four bits: a byte holds b = 16 * w_odd + w_even + 8 for one tap, so that its lower half is w_even + 8, and the word
 * of four taps gives two pairs of them, for which
 *     SMLAD(SXTB16(word), x)          accumulates S = 16 * P_odd + P_even + 8 * X, X the sum of the inputs
 *     SMLAD(SXTB16(word) & 15, x)     accumulates Q = P_even + 8 * X
 * and P_odd = (S - Q) >> 4, P_even = Q - 8 * X. The words of 8 * X, one per pixel, lie behind the inputs.
 *
 * Where the network's layers share their multipliers (SHARED), a channel has one word of bias, three bytes, and the byte that
 * says which one. That of a pair lies in front of the next pair's weights, where reading stands by then. What it adds to S,
 * less than what the odd sum counts, is lost when P_odd is shifted back.
 *
 * Quads are two pairs at once for two pixels: fewer cycles in loads than three pixels of one pair, for more weights read.
 * Their four loads stand side by side, each but the first one cycle, where two LDRD would take six cycles on Cortex-M4.
 *
 * Registers: sums Q, sums S, inputs x, h, SXTB16(h); r12 reads inputs, lr reads weights. On the stack from sp:
 * zero_point, out, out_stride, x, weights_end, x_end, entry of the unrolled loop, multipliers. */
#include "mbn_arm_asm.h"
#include "mbn_arm_dsp.h"

/* clang-format off */

#define L(text) text "\n"
#define PROLOGUE(COUNT) \
    MBN_SAVE_ALL L("ldm r0, {r4-r11, lr}") \
    L("adr r1, 2f") L("movs r2, #(3f - 2f) / " COUNT) L("mla r10, r10, r2, r1") L("orr r10, r10, #1") L("push {r4-r11}") MBN_PUSHED(32)
#define ENTER L("ldr pc, [sp, #24]")
#define EPILOGUE L("add sp, sp, #32") MBN_PUSHED(-32) MBN_RETURN

/* ---- the constants of a pair, in either form: how sums start, from what lies in front of its weights, and its multipliers;
 * `unit` says what the odd sum counts */
#define OWN_BIASES(q, s, unit)
#define OWN_MULTIPLIERS(even, odd, table) L("ldrd " even ", " odd ", [lr], #8")
#define SHARED_BIASES(q, s, unit) L("asr " q ", " q ", #8") L("add " s ", " q ", " s unit)
#define SHARED_MULTIPLIERS(even, odd, table) L("ldrb " even ", [lr]") L("ldrb " odd ", [lr, #4]") L("ldr " table ", [sp, #28]") \
    L("ldr " even ", [" table ", " even ", lsl #2]") L("ldr " odd ", [" table ", " odd ", lsl #2]")

/* ---- 4 pixels: q r0-r3, s r4-r7, h r8, sxtb16(h) r9, x r10 r11 */
#define PAIR4 \
    L("ldr r8, [lr], #4") L("sxtb16 r9, r8") \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r4, r8, r10, r4") L("smlad r0, r9, r10, r0") L("smlad r5, r8, r11, r5") L("smlad r1, r9, r11, r1") \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r6, r8, r10, r6") L("smlad r2, r9, r10, r2") L("smlad r7, r8, r11, r7") L("smlad r3, r9, r11, r3")
#define FIRST4(FORM) \
    L("ldm lr!, {r3, r7, r8}") FORM##_BIASES("r3", "r7", "") L("sxtb16 r9, r8") \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r4, r8, r10, r7") L("smlad r0, r9, r10, r3") L("smlad r5, r8, r11, r7") L("smlad r1, r9, r11, r3") \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r6, r8, r10, r7") L("smlad r2, r9, r10, r3") L("smlad r7, r8, r11, r7") L("smlad r3, r9, r11, r3") \
    PAIR4
#define STEP4 PAIR4 PAIR4
#define ODD4(bits) \
    L("sub r4, r4, r0") L("sub r5, r5, r1") L("sub r6, r6, r2") L("sub r7, r7, r3") \
    L("asr r4, r4, #" bits) L("asr r5, r5, #" bits) L("asr r6, r6, #" bits) L("asr r7, r7, #" bits)
#define REQUANTIZE4(FORM) \
    FORM##_MULTIPLIERS("r8", "r9", "r12") L("ldm sp, {r10, r11, r12}") \
    L("smmlar r0, r0, r8, r10") L("smmlar r1, r1, r8, r10") L("smmlar r2, r2, r8, r10") L("smmlar r3, r3, r8, r10") \
    L("smmlar r4, r4, r9, r10") L("smmlar r5, r5, r9, r10") L("smmlar r6, r6, r9, r10") L("smmlar r7, r7, r9, r10") \
    L("ssat r0, #8, r0") L("ssat r1, #8, r1") L("ssat r2, #8, r2") L("ssat r3, #8, r3") \
    L("ssat r4, #8, r4") L("ssat r5, #8, r5") L("ssat r6, #8, r6") L("ssat r7, #8, r7")
#define STORE4_PLANAR \
    L("bfi r0, r1, #8, #8") L("bfi r2, r3, #8, #8") L("pkhbt r0, r0, r2, lsl #16") L("str r0, [r11]") \
    L("bfi r4, r5, #8, #8") L("bfi r6, r7, #8, #8") L("pkhbt r4, r4, r6, lsl #16") L("str r4, [r11, r12]") \
    L("add r11, r11, r12, lsl #1") L("str r11, [sp, #4]")
#define STORE4_INTERLEAVED \
    L("bfi r0, r4, #8, #8") L("bfi r1, r5, #8, #8") L("bfi r2, r6, #8, #8") L("bfi r3, r7, #8, #8") \
    L("strh r1, [r11, r12]") L("strh r2, [r11, r12, lsl #1]") L("add r12, r12, r12, lsl #1") L("strh r3, [r11, r12]") \
    L("strh r0, [r11], #2") L("str r11, [sp, #4]")

/* ---- 3 pixels: q r0-r2, s r3-r5, x r6-r8, h r9 r10 */
#define MAC3(h) L("smlad r3, " h ", r6, r3") L("smlad r4, " h ", r7, r4") L("smlad r5, " h ", r8, r5") L("sxtb16 " h ", " h) \
    L("smlad r0, " h ", r6, r0") L("smlad r1, " h ", r7, r1") L("smlad r2, " h ", r8, r2")
#define STEP3 L("ldrd r9, r10, [lr], #8") L("ldm r12!, {r6, r7, r8}") MAC3("r9") L("ldm r12!, {r6, r7, r8}") MAC3("r10")
#define FIRST3(FORM) L("ldm lr!, {r2, r5, r9, r10}") FORM##_BIASES("r2", "r5", "") L("ldm r12!, {r6, r7, r8}") \
    L("smlad r3, r9, r6, r5") L("smlad r4, r9, r7, r5") L("smlad r5, r9, r8, r5") L("sxtb16 r9, r9") \
    L("smlad r0, r9, r6, r2") L("smlad r1, r9, r7, r2") L("smlad r2, r9, r8, r2") L("ldm r12!, {r6, r7, r8}") MAC3("r10")
#define ODD3(bits) \
    L("sub r3, r3, r0") L("sub r4, r4, r1") L("sub r5, r5, r2") \
    L("asr r3, r3, #" bits) L("asr r4, r4, #" bits) L("asr r5, r5, #" bits)
#define REQUANTIZE3(FORM) \
    FORM##_MULTIPLIERS("r9", "r10", "r6") L("ldm sp, {r6, r7, r8}") \
    L("smmlar r0, r0, r9, r6") L("smmlar r1, r1, r9, r6") L("smmlar r2, r2, r9, r6") \
    L("smmlar r3, r3, r10, r6") L("smmlar r4, r4, r10, r6") L("smmlar r5, r5, r10, r6") \
    L("ssat r0, #8, r0") L("ssat r1, #8, r1") L("ssat r2, #8, r2") L("ssat r3, #8, r3") L("ssat r4, #8, r4") L("ssat r5, #8, r5")
#define STORE3_PLANAR \
    L("bfi r0, r1, #8, #8") L("strb r2, [r7, #2]") L("strh r0, [r7]") L("add r7, r7, r8") \
    L("bfi r3, r4, #8, #8") L("strb r5, [r7, #2]") L("strh r3, [r7]") L("add r7, r7, r8") L("str r7, [sp, #4]")
#define STORE3_INTERLEAVED \
    L("bfi r0, r3, #8, #8") L("bfi r1, r4, #8, #8") L("bfi r2, r5, #8, #8") \
    L("strh r1, [r7, r8]") L("strh r2, [r7, r8, lsl #1]") L("strh r0, [r7], #2") L("str r7, [sp, #4]")

/* ---- 2 pixels: q r0-r1, s r2-r3, x r4-r7, h r8 r9 */
#define MAC2(h, x0, x1) L("smlad r2, " h ", " x0 ", r2") L("smlad r3, " h ", " x1 ", r3") L("sxtb16 " h ", " h) \
    L("smlad r0, " h ", " x0 ", r0") L("smlad r1, " h ", " x1 ", r1")
#define STEP2 L("ldrd r8, r9, [lr], #8") L("ldm r12!, {r4, r5, r6, r7}") MAC2("r8", "r4", "r5") MAC2("r9", "r6", "r7")
#define FIRST2(FORM) L("ldm lr!, {r1, r3, r8, r9}") FORM##_BIASES("r1", "r3", "") L("ldm r12!, {r4, r5, r6, r7}") \
    L("smlad r2, r8, r4, r3") L("smlad r3, r8, r5, r3") L("sxtb16 r8, r8") L("smlad r0, r8, r4, r1") L("smlad r1, r8, r5, r1") \
    MAC2("r9", "r6", "r7")
#define ODD2(bits) L("sub r2, r2, r0") L("sub r3, r3, r1") L("asr r2, r2, #" bits) L("asr r3, r3, #" bits)
#define REQUANTIZE2(FORM) \
    FORM##_MULTIPLIERS("r9", "r10", "r6") L("ldm sp, {r6, r7, r8}") \
    L("smmlar r0, r0, r9, r6") L("smmlar r1, r1, r9, r6") L("smmlar r2, r2, r10, r6") L("smmlar r3, r3, r10, r6") \
    L("ssat r0, #8, r0") L("ssat r1, #8, r1") L("ssat r2, #8, r2") L("ssat r3, #8, r3")
#define STORE2_PLANAR L("bfi r0, r1, #8, #8") L("bfi r2, r3, #8, #8") L("strh r0, [r7]") L("strh r2, [r7, r8]") \
    L("add r7, r7, r8, lsl #1") L("str r7, [sp, #4]")
#define STORE2_INTERLEAVED L("bfi r0, r2, #8, #8") L("bfi r1, r3, #8, #8") L("strh r1, [r7, r8]") L("strh r0, [r7], #2") L("str r7, [sp, #4]")

/* ---- 1 pixel: q r0, s r1, x r4 r5, h r8 r9 */
#define MAC1(h, x) L("smlad r1, " h ", " x ", r1") L("sxtb16 " h ", " h) L("smlad r0, " h ", " x ", r0")
#define STEP1 L("ldrd r8, r9, [lr], #8") L("ldrd r4, r5, [r12], #8") MAC1("r8", "r4") MAC1("r9", "r5")
#define FIRST1(FORM) L("ldm lr!, {r0, r1, r8, r9}") FORM##_BIASES("r0", "r1", "") L("ldrd r4, r5, [r12], #8") MAC1("r8", "r4") MAC1("r9", "r5")
#define ODD1(bits) L("sub r1, r1, r0") L("asr r1, r1, #" bits)
#define REQUANTIZE1(FORM) FORM##_MULTIPLIERS("r9", "r10", "r6") L("ldm sp, {r6, r7, r8}") \
    L("smmlar r0, r0, r9, r6") L("smmlar r1, r1, r10, r6") L("ssat r0, #8, r0") L("ssat r1, #8, r1")
#define STORE1_PLANAR L("strb r0, [r7]") L("strb r1, [r7, r8]") L("add r7, r7, r8, lsl #1") L("str r7, [sp, #4]")
#define STORE1_INTERLEAVED L("strb r1, [r7, #1]") L("strb r0, [r7], #2") L("str r7, [sp, #4]")

/* ---- quads of 2 pixels: q r0 r1 and r4 r5, s r2 r3 and r6 r7, h r8 r9, x r10 r11 */
#define PAIR_QUAD2 L("ldr r8, [lr], #4") L("ldr r9, [lr], #4") L("ldr r10, [r12], #4") L("ldr r11, [r12], #4") \
    L("smlad r2, r8, r10, r2") L("smlad r3, r8, r11, r3") L("smlad r6, r9, r10, r6") L("smlad r7, r9, r11, r7") \
    L("sxtb16 r8, r8") L("sxtb16 r9, r9") \
    L("smlad r0, r8, r10, r0") L("smlad r1, r8, r11, r1") L("smlad r4, r9, r10, r4") L("smlad r5, r9, r11, r5")
#define STEP_QUAD2 PAIR_QUAD2 PAIR_QUAD2
#define FIRST_QUAD2(FORM) L("ldm lr!, {r1, r3, r5, r7, r8, r9}") L("ldrd r10, r11, [r12], #8") \
    L("smlad r2, r8, r10, r3") L("smlad r3, r8, r11, r3") L("smlad r6, r9, r10, r7") L("smlad r7, r9, r11, r7") \
    L("sxtb16 r8, r8") L("sxtb16 r9, r9") \
    L("smlad r0, r8, r10, r1") L("smlad r1, r8, r11, r1") L("smlad r4, r9, r10, r5") L("smlad r5, r9, r11, r5") \
    PAIR_QUAD2
#define SCALE_QUAD2(FORM) \
    L("sub r2, r2, r0") L("sub r3, r3, r1") L("sub r6, r6, r4") L("sub r7, r7, r5") \
    L("asr r2, r2, #8") L("asr r3, r3, #8") L("asr r6, r6, #8") L("asr r7, r7, #8") \
    L("ldm lr!, {r8, r9, r10, r11}") L("ldr r12, [sp]") \
    L("smmlar r0, r0, r8, r12") L("smmlar r1, r1, r8, r12") L("smmlar r2, r2, r9, r12") L("smmlar r3, r3, r9, r12") \
    L("smmlar r4, r4, r10, r12") L("smmlar r5, r5, r10, r12") L("smmlar r6, r6, r11, r12") L("smmlar r7, r7, r11, r12") \
    L("ssat r0, #8, r0") L("ssat r1, #8, r1") L("ssat r2, #8, r2") L("ssat r3, #8, r3") \
    L("ssat r4, #8, r4") L("ssat r5, #8, r5") L("ssat r6, #8, r6") L("ssat r7, #8, r7")
#define STORE_QUAD2_PLANAR L("ldrd r8, r9, [sp, #4]") \
    L("bfi r0, r1, #8, #8") L("strh r0, [r8]") L("bfi r2, r3, #8, #8") L("strh r2, [r8, r9]") L("add r10, r8, r9") \
    L("bfi r4, r5, #8, #8") L("strh r4, [r8, r9, lsl #1]") L("bfi r6, r7, #8, #8") L("strh r6, [r10, r9, lsl #1]") \
    L("add r8, r8, r9, lsl #2") L("str r8, [sp, #4]")
#define STORE_QUAD2_INTERLEAVED L("ldrd r8, r9, [sp, #4]") \
    L("bfi r0, r2, #8, #8") L("bfi r4, r6, #8, #8") L("pkhbt r0, r0, r4, lsl #16") \
    L("bfi r1, r3, #8, #8") L("bfi r5, r7, #8, #8") L("pkhbt r1, r1, r5, lsl #16") \
    L("str r1, [r8, r9]") L("str r0, [r8], #4") L("str r8, [sp, #4]")

/* ---- quads of 1 pixel: q r0 and r4, s r2 and r6, h r8 r9, x r10 r11 */
#define MAC_QUAD1(x) L("smlad r2, r8, " x ", r2") L("smlad r6, r9, " x ", r6") L("sxtb16 r8, r8") L("sxtb16 r9, r9") \
    L("smlad r0, r8, " x ", r0") L("smlad r4, r9, " x ", r4")
#define STEP_QUAD1 L("ldrd r8, r9, [lr], #8") L("ldrd r10, r11, [r12], #8") MAC_QUAD1("r10") L("ldrd r8, r9, [lr], #8") MAC_QUAD1("r11")
#define FIRST_QUAD1(FORM) L("ldm lr!, {r0, r2, r4, r6, r8, r9}") L("ldrd r10, r11, [r12], #8") MAC_QUAD1("r10") \
    L("ldrd r8, r9, [lr], #8") MAC_QUAD1("r11")
#define SCALE_QUAD1(FORM) L("sub r2, r2, r0") L("sub r6, r6, r4") L("asr r2, r2, #8") L("asr r6, r6, #8") \
    L("ldm lr!, {r8, r9, r10, r11}") L("ldr r12, [sp]") \
    L("smmlar r0, r0, r8, r12") L("smmlar r2, r2, r9, r12") L("smmlar r4, r4, r10, r12") L("smmlar r6, r6, r11, r12") \
    L("ssat r0, #8, r0") L("ssat r2, #8, r2") L("ssat r4, #8, r4") L("ssat r6, #8, r6")
#define STORE_QUAD1_PLANAR L("ldrd r8, r9, [sp, #4]") L("strb r0, [r8]") L("strb r2, [r8, r9]") L("add r10, r8, r9, lsl #1") \
    L("strb r4, [r10]") L("strb r6, [r10, r9]") L("add r8, r8, r9, lsl #2") L("str r8, [sp, #4]")
#define STORE_QUAD1_INTERLEAVED L("ldr r8, [sp, #4]") L("bfi r0, r2, #8, #8") L("bfi r4, r6, #8, #8") \
    L("pkhbt r0, r0, r4, lsl #16") L("str r0, [r8], #4") L("str r8, [sp, #4]")

#define SCALE4(FORM) ODD4("8") REQUANTIZE4(FORM)
#define SCALE3(FORM) ODD3("8") REQUANTIZE3(FORM)
#define SCALE2(FORM) ODD2("8") REQUANTIZE2(FORM)
#define SCALE1(FORM) ODD1("8") REQUANTIZE1(FORM)

/* ---- weights of four bits: a step of eight taps; sums and inputs lie as above. `b` is a word of weights and how it is turned. */
#define BYTES(h, b) L("sxtb16 " h ", " b)
#define EVEN_OF(a, h) L("and " a ", " h ", #0x000f000f")

/* 4 pixels: h r8, its even half r9 */
#define MAC_N4(load, b, s0, s1, s2, s3, q0, q1, q2, q3) \
    L("ldr r8, " load) BYTES("r8", b) EVEN_OF("r9", "r8") \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r4, r8, r10, " s0) L("smlad r0, r9, r10, " q0) L("smlad r5, r8, r11, " s1) L("smlad r1, r9, r11, " q1) \
    L("ldrd r10, r11, [r12], #8") \
    L("smlad r6, r8, r10, " s2) L("smlad r2, r9, r10, " q2) L("smlad r7, r8, r11, " s3) L("smlad r3, r9, r11, " q3)
#define EVENS_N4 MAC_N4("[lr]", "r8", "r4", "r5", "r6", "r7", "r0", "r1", "r2", "r3")
#define ODDS_N4 MAC_N4("[lr], #4", "r8, ror #8", "r4", "r5", "r6", "r7", "r0", "r1", "r2", "r3")
#define STEP_N4 EVENS_N4 ODDS_N4 EVENS_N4 ODDS_N4
#define FIRST_N4(FORM) L("ldrd r3, r7, [lr], #8") FORM##_BIASES("r3", "r7", ", asr #4") \
    MAC_N4("[lr]", "r8", "r7", "r7", "r7", "r7", "r3", "r3", "r3", "r3") ODDS_N4 EVENS_N4 ODDS_N4
#define SCALE_N4(FORM) ODD4("4") \
    L("ldm r12, {r8, r9, r10, r11}") L("sub r0, r0, r8") L("sub r1, r1, r9") L("sub r2, r2, r10") L("sub r3, r3, r11") REQUANTIZE4(FORM)

/* 3 pixels: words r10 r11, h and its even half r9 */
#define MAC_N3(b, s0, s1, s2, q0, q1, q2) \
    L("ldm r12!, {r6, r7, r8}") BYTES("r9", b) \
    L("smlad r3, r9, r6, " s0) L("smlad r4, r9, r7, " s1) L("smlad r5, r9, r8, " s2) EVEN_OF("r9", "r9") \
    L("smlad r0, r9, r6, " q0) L("smlad r1, r9, r7, " q1) L("smlad r2, r9, r8, " q2)
#define NEXT_N3(b) MAC_N3(b, "r3", "r4", "r5", "r0", "r1", "r2")
#define STEP_N3 L("ldrd r10, r11, [lr], #8") NEXT_N3("r10") NEXT_N3("r10, ror #8") NEXT_N3("r11") NEXT_N3("r11, ror #8")
#define FIRST_N3(FORM) L("ldm lr!, {r2, r5, r10, r11}") FORM##_BIASES("r2", "r5", ", asr #4") \
    MAC_N3("r10", "r5", "r5", "r5", "r2", "r2", "r2") NEXT_N3("r10, ror #8") NEXT_N3("r11") NEXT_N3("r11, ror #8")
#define SCALE_N3(FORM) ODD3("4") \
    L("ldm r12, {r6, r7, r8}") L("sub r0, r0, r6") L("sub r1, r1, r7") L("sub r2, r2, r8") REQUANTIZE3(FORM)

/* 2 pixels: words r8 r9, h and its even half r10 */
#define MAC_N2(b, x0, x1, s0, s1, q0, q1) BYTES("r10", b) L("smlad r2, r10, " x0 ", " s0) L("smlad r3, r10, " x1 ", " s1) \
    EVEN_OF("r10", "r10") L("smlad r0, r10, " x0 ", " q0) L("smlad r1, r10, " x1 ", " q1)
#define NEXT_N2(b, x0, x1) MAC_N2(b, x0, x1, "r2", "r3", "r0", "r1")
#define LOADS_N2 L("ldm r12!, {r4, r5, r6, r7}")
#define REST_N2 NEXT_N2("r8, ror #8", "r6", "r7") LOADS_N2 NEXT_N2("r9", "r4", "r5") NEXT_N2("r9, ror #8", "r6", "r7")
#define STEP_N2 L("ldrd r8, r9, [lr], #8") LOADS_N2 NEXT_N2("r8", "r4", "r5") REST_N2
#define FIRST_N2(FORM) L("ldm lr!, {r1, r3, r8, r9}") FORM##_BIASES("r1", "r3", ", asr #4") LOADS_N2 \
    MAC_N2("r8", "r4", "r5", "r3", "r3", "r1", "r1") REST_N2
#define SCALE_N2(FORM) ODD2("4") L("ldrd r4, r5, [r12]") L("sub r0, r0, r4") L("sub r1, r1, r5") REQUANTIZE2(FORM)

/* 1 pixel: words r8 r9, h and its even half r10 */
#define MAC_N1(b, x) BYTES("r10", b) L("smlad r1, r10, " x ", r1") EVEN_OF("r10", "r10") L("smlad r0, r10, " x ", r0")
#define MACS_N1 L("ldm r12!, {r4, r5, r6, r7}") \
    MAC_N1("r8", "r4") MAC_N1("r8, ror #8", "r5") MAC_N1("r9", "r6") MAC_N1("r9, ror #8", "r7")
#define STEP_N1 L("ldrd r8, r9, [lr], #8") MACS_N1
#define FIRST_N1(FORM) L("ldm lr!, {r0, r1, r8, r9}") FORM##_BIASES("r0", "r1", ", asr #4") MACS_N1
#define SCALE_N1(FORM) ODD1("4") L("ldr r4, [r12]") L("sub r0, r0, r4") REQUANTIZE1(FORM)

/* The end of the inputs stays in r11 where that is free. */
#define CHECK_N4 CHECK4
#define CHECK_N3 CHECK4
#define CHECK_N2 CHECK3
#define CHECK_N1 CHECK3
#define CHECK_QUAD2 CHECK4
#define CHECK_QUAD1 CHECK4
#define CHECK4 L("ldr r8, [sp, #20]") L("cmp r12, r8")
#define CHECK3 L("cmp r12, r11")
#define CHECK2 CHECK3
#define CHECK1 CHECK3
#define STEPS2(P) STEP##P STEP##P
#define STEPS4(P) STEPS2(P) STEPS2(P)
#define STEPS8(P) STEPS4(P) STEPS4(P)
#define BLOCK(P, COUNT, STORE, FORM) \
    PROLOGUE(#COUNT) \
    L("ldr r12, [sp, #12]") L("ldr r11, [sp, #20]") \
    L("1:") FIRST##P(FORM) ENTER \
    L(".p2align 2") L("2:") STEPS##COUNT(P) \
    L("3:") CHECK##P L("bne 2b") \
    SCALE##P(FORM) STORE \
    L("ldrd r12, r8, [sp, #12]") L("cmp lr, r8") L("bne 1b") \
    EPILOGUE

/* Where flash is short one function serves both layouts: strides of interleaved rows come negative. */
#define STORE_ANY(P, stride) L("cmp " stride ", #0") L("blt 4f") STORE##P##_PLANAR L("b 5f") \
    L("4:") L("rsb " stride ", " stride ", #0") STORE##P##_INTERLEAVED L("5:")
#define FUNCTIONS(core, P, COUNT, pixels) \
    MBN_FUNCTION(mbn_##core##pixels##_planar_arm_dsp, BLOCK(P, COUNT, STORE##P##_PLANAR, OWN)); \
    MBN_FUNCTION(mbn_##core##pixels##_interleaved_arm_dsp, BLOCK(P, COUNT, STORE##P##_INTERLEAVED, OWN))
#define SHARED_FUNCTION(core, P, COUNT, pixels, stride) \
    MBN_FUNCTION(mbn_##core##pixels##_arm_dsp, BLOCK(P, COUNT, STORE_ANY(P, stride), SHARED))
#define STORE_N4_PLANAR STORE4_PLANAR
#define STORE_N4_INTERLEAVED STORE4_INTERLEAVED
#define STORE_N3_PLANAR STORE3_PLANAR
#define STORE_N3_INTERLEAVED STORE3_INTERLEAVED
#define STORE_N2_PLANAR STORE2_PLANAR
#define STORE_N2_INTERLEAVED STORE2_INTERLEAVED
#define STORE_N1_PLANAR STORE1_PLANAR
#define STORE_N1_INTERLEAVED STORE1_INTERLEAVED

FUNCTIONS(conv_block, 4, 4, 4);
FUNCTIONS(conv_block, 3, 4, 3);
FUNCTIONS(conv_block, 2, 4, 2);
FUNCTIONS(conv_block, 1, 4, 1);
FUNCTIONS(conv_quad, _QUAD2, 8, 2);
FUNCTIONS(conv_quad, _QUAD1, 8, 1);
FUNCTIONS(conv_w4_block, _N4, 2, 4);
FUNCTIONS(conv_w4_block, _N3, 2, 3);
FUNCTIONS(conv_w4_block, _N2, 2, 2);
FUNCTIONS(conv_w4_block, _N1, 2, 1);
SHARED_FUNCTION(conv_shared_block, 4, 4, 4, "r12");
SHARED_FUNCTION(conv_shared_block, 3, 4, 3, "r8");
SHARED_FUNCTION(conv_shared_block, 2, 4, 2, "r8");
SHARED_FUNCTION(conv_shared_block, 1, 4, 1, "r8");
SHARED_FUNCTION(conv_w4_shared_block, _N4, 2, 4, "r12");
SHARED_FUNCTION(conv_w4_shared_block, _N3, 2, 3, "r8");
SHARED_FUNCTION(conv_w4_shared_block, _N2, 2, 2, "r8");
SHARED_FUNCTION(conv_w4_shared_block, _N1, 2, 1, "r8");

/* Pixels of `channels` bytes -> pairs of int16 [channels / 4][channels 0 2, channels 1 3][pixel]; whole groups of 4 channels. */
#define WIDEN(LOADS, REGS) \
    MBN_SAVE_ALL L("add lr, r1, r1, lsl #1") \
    L("1:") LOADS L("cmp r0, r3") L("stm r2!, " REGS) L("bne 1b") MBN_RETURN
/* A word of four bytes in `hi` to two registers. All words are loaded first: loads side by side overlap. */
#define LOAD(a, address) L("ldr " a ", " address)
#define SPLIT(lo, hi) L("sxtb16 " lo ", " hi) L("sxtb16 " hi ", " hi ", ror #8")
#define SPLIT4 SPLIT("r4", "r8") SPLIT("r5", "r9") SPLIT("r6", "r10") SPLIT("r7", "r11")
#define SPLIT3 SPLIT("r4", "r7") SPLIT("r5", "r8") SPLIT("r6", "r9")
#define SPLIT2 SPLIT("r4", "r6") SPLIT("r5", "r7")
#define SPLIT1 SPLIT("r4", "r5")
#define WIDEN4 WIDEN(LOAD("r11", "[r0, lr]") LOAD("r10", "[r0, r1, lsl #1]") LOAD("r9", "[r0, r1]") LOAD("r8", "[r0], #4") SPLIT4, "{r4-r11}")
#define WIDEN3 WIDEN(LOAD("r9", "[r0, r1, lsl #1]") LOAD("r8", "[r0, r1]") LOAD("r7", "[r0], #4") SPLIT3, "{r4-r9}")
#define WIDEN2 WIDEN(LOAD("r7", "[r0, r1]") LOAD("r6", "[r0], #4") SPLIT2, "{r4-r7}")
#define WIDEN1 WIDEN(LOAD("r5", "[r0], #4") SPLIT1, "{r4-r5}")

MBN_FUNCTION(mbn_widen4_arm_dsp, WIDEN4);
MBN_FUNCTION(mbn_widen3_arm_dsp, WIDEN3);
MBN_FUNCTION(mbn_widen2_arm_dsp, WIDEN2);
MBN_FUNCTION(mbn_widen1_arm_dsp, WIDEN1);

/* Windows of 3 rows x 9 bytes -> 14 pairs of taps: per row bytes (0,2) (1,3) (4,6) (5,7); then byte 8 of rows 0 and 1; then
 * byte 8 of row 2, whose partner has weight zero. */
#define GROUP4(r) LOAD("r11", "[" r ", r12]") LOAD("r10", "[" r ", r3, lsl #1]") LOAD("r9", "[" r ", r3]") LOAD("r8", "[" r "], #4") \
    SPLIT4 L("stm lr!, {r4-r11}")
#define GROUP3(r) LOAD("r9", "[" r ", r3, lsl #1]") LOAD("r8", "[" r ", r3]") LOAD("r7", "[" r "], #4") SPLIT3 L("stm lr!, {r4-r9}")
#define GROUP2(r) LOAD("r7", "[" r ", r3]") LOAD("r6", "[" r "], #4") SPLIT2 L("stm lr!, {r4-r7}")
#define GROUP1(r) LOAD("r5", "[" r "], #4") SPLIT1 L("stm lr!, {r4-r5}")
#define BYTE1(r, a) L("ldrsb " a ", [" r "]")
#define BYTE2(r, a, b) BYTE1(r, a) L("ldrsb " b ", [" r ", r3]")
#define BYTE3(r, a, b, c) BYTE2(r, a, b) L("ldrsb " c ", [" r ", r3, lsl #1]")
#define BYTE4(r, a, b, c, d) BYTE3(r, a, b, c) L("ldrsb " d ", [" r ", r12]")
#define PAIR(a, b) L("pkhbt " a ", " a ", " b ", lsl #16")
#define LAST4 BYTE4("r0", "r4", "r5", "r6", "r7") BYTE4("r1", "r8", "r9", "r10", "r11") PAIR("r4", "r8") PAIR("r5", "r9") PAIR("r6", "r10") \
    PAIR("r7", "r11") BYTE4("r2", "r8", "r9", "r10", "r11") L("stm lr!, {r4-r11}")
#define LAST3 BYTE3("r0", "r4", "r5", "r6") BYTE3("r1", "r7", "r8", "r9") PAIR("r4", "r7") PAIR("r5", "r8") PAIR("r6", "r9") \
    BYTE3("r2", "r7", "r8", "r9") L("stm lr!, {r4-r9}")
#define LAST2 BYTE2("r0", "r4", "r5") BYTE2("r1", "r6", "r7") PAIR("r4", "r6") PAIR("r5", "r7") BYTE2("r2", "r6", "r7") L("stm lr!, {r4-r7}")
#define LAST1 BYTE1("r0", "r4") BYTE1("r1", "r5") PAIR("r4", "r5") BYTE1("r2", "r5") L("stm lr!, {r4-r5}")
#define GATHER(GROUPS) \
    MBN_SAVE_ALL L("ldm r0, {r0, r1, r2, r3, r4}") L("mov lr, r4") L("add r12, r3, r3, lsl #1") \
    GROUPS MBN_RETURN
#define GATHER_3x3x3(P) GATHER(GROUP##P("r0") GROUP##P("r0") GROUP##P("r1") GROUP##P("r1") GROUP##P("r2") GROUP##P("r2") LAST##P)
/* Windows of 3 rows x 3 bytes, read as words: 6 pairs of taps (0,2) (1,3) a row, where tap 3 has weight zero. */
#define GATHER_3x3x1(P) GATHER(GROUP##P("r0") GROUP##P("r1") GROUP##P("r2"))

MBN_FUNCTION(mbn_gather4_3x3x3_arm_dsp, GATHER_3x3x3(4));
MBN_FUNCTION(mbn_gather4_3x3x1_arm_dsp, GATHER_3x3x1(4));
MBN_FUNCTION(mbn_gather3_3x3x3_arm_dsp, GATHER_3x3x3(3));
MBN_FUNCTION(mbn_gather3_3x3x1_arm_dsp, GATHER_3x3x1(3));
MBN_FUNCTION(mbn_gather2_3x3x3_arm_dsp, GATHER_3x3x3(2));
MBN_FUNCTION(mbn_gather2_3x3x1_arm_dsp, GATHER_3x3x1(2));
MBN_FUNCTION(mbn_gather1_3x3x3_arm_dsp, GATHER_3x3x3(1));
MBN_FUNCTION(mbn_gather1_3x3x1_arm_dsp, GATHER_3x3x1(1));
