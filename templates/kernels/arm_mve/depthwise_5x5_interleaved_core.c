/* SPDX-License-Identifier: 0BSD */
/* Depthwise 5x5 core for interleaved rows, for Helium: 16 channels at once, as in depthwise_interleaved_core.c.
 *
 * Registers: where the rows stand r0, a column r4, channels r3, from where a row starts r5, zero point r6, out r7, channels left r8,
 * weights r9 and r11, pixels left r10, from the end of a pixel to the next one r12 (rows) and lr (out). */
#include "mbn_arm_asm.h"
#include "mbn_arm_mve.h"

/* clang-format off */

#define L(text) text "\n"
#define BIAS L("vldrw.32 q4, [r11], #16") L("vldrw.32 q5, [r11], #16") L("vldrw.32 q6, [r11], #16") L("vldrw.32 q7, [r11], #16")
#define ROW(at) L("ldr r4, [r0, #" at "]") L("add r4, r4, r5")
#define NEXT L("add r4, r4, r3")
/* The first of two taps makes the products, the second adds its own. */
#define TAP L("vldrb.8 q0, [r4]") L("vldrb.8 q1, [r11], #16") L("vmullb.s8 q2, q0, q1") L("vmullt.s8 q3, q0, q1")
#define SECOND_TAP L("vldrb.8 q0, [r4]") L("vldrb.8 q1, [r11], #16") L("vmullb.s8 q0, q0, q1") L("vadd.i16 q2, q2, q0") \
    L("vldrb.8 q0, [r4]") L("vmullt.s8 q0, q0, q1") L("vadd.i16 q3, q3, q0") ADD
#define ADD L("vmovlb.s16 q0, q2") L("vadd.i32 q4, q4, q0") L("vmovlt.s16 q0, q2") L("vadd.i32 q5, q5, q0") \
    L("vmovlb.s16 q0, q3") L("vadd.i32 q6, q6, q0") L("vmovlt.s16 q0, q3") L("vadd.i32 q7, q7, q0")
/* Of two rows, whose last and first tap are a pair. */
#define EVEN_ROW(at) ROW(at) TAP NEXT SECOND_TAP NEXT TAP NEXT SECOND_TAP NEXT TAP
#define ODD_ROW(at) ROW(at) SECOND_TAP NEXT TAP NEXT SECOND_TAP NEXT TAP NEXT SECOND_TAP
#define SCALE(q) L("vldrw.32 q0, [r11], #16") L("vrmulh.s32 " q ", " q ", q0")
#define NARROW L("vqmovnb.s32 q0, q4") L("vqmovnt.s32 q0, q5") L("vqmovnb.s32 q1, q6") L("vqmovnt.s32 q1, q7") \
    L("vqadd.s16 q0, q0, r6") L("vqadd.s16 q1, q1, r6") L("vqmovnb.s16 q0, q0") L("vqmovnt.s16 q0, q1")

MBN_FUNCTION(mbn_depthwise_5x5_pixels_arm_mve,
        MBN_SAVE_ALL L("vpush {d8-d15}") MBN_PUSHED(64)
        L("ldrd r3, r6, [r0, #20]") L("ldrd r7, r9, [r0, #28]") L("ldrd r10, r12, [r0, #36]") L("ldr lr, [r0, #44]")
        L("movs r5, #0")
        L("1:") L("mov r11, r9") L("mov r8, r3")
        L("2:") BIAS
        EVEN_ROW("0") ODD_ROW("4") EVEN_ROW("8") ODD_ROW("12") EVEN_ROW("16") ADD
        SCALE("q4") SCALE("q5") SCALE("q6") SCALE("q7") NARROW
        L("vctp.8 r8") L("vpst") L("vstrbt.8 q0, [r7], #16")
        L("adds r5, r5, #16") L("subs r8, r8, #16") L("bgt 2b")
        L("add r5, r5, r12") L("add r7, r7, lr")
        L("subs r10, r10, #1") L("bne 1b")
        L("vpop {d8-d15}") MBN_PUSHED(-64) MBN_RETURN);
