/* SPDX-License-Identifier: 0BSD */
/* Depthwise 3x3 core for interleaved rows, for Helium: 16 channels at once.
 *
 * Products of two taps fit 16 bits together: even channels in q2, odd ones in q3. The sums hold channels 0 4 8 12 (q4),
 * 2 6 10 14 (q5), 1 5 9 13 (q6) and 3 7 11 15 (q7), and so do biases and multipliers; narrowing brings them back into order.
 * Rows are read in whole vectors, up to 15 bytes past the last channel, and those bytes are not stored.
 *
 * Registers: rows r0 r1 r2, channels r3, columns 1 and 2 r4 r5, zero point r6, out r7, channels left r8, weights r9 and r11, pixels left r10,
 * from the end of a pixel to the next one r12 (rows) and lr (out). */
#include "mbn_arm_asm.h"
#include "mbn_arm_mve.h"

/* clang-format off */

#define L(text) text "\n"
#define BIAS L("vldrw.32 q4, [r11], #16") L("vldrw.32 q5, [r11], #16") L("vldrw.32 q6, [r11], #16") L("vldrw.32 q7, [r11], #16")
#define COLUMNS(row) L("add r4, " row ", r3") L("add r5, r4, r3")
/* The first of two taps makes the products, the second adds its own; `x_again` is the same address. */
#define TAP(x) L("vldrb.8 q0, " x) L("vldrb.8 q1, [r11], #16") L("vmullb.s8 q2, q0, q1") L("vmullt.s8 q3, q0, q1")
#define SECOND_TAP(x, x_again) L("vldrb.8 q0, " x) L("vldrb.8 q1, [r11], #16") L("vmullb.s8 q0, q0, q1") L("vadd.i16 q2, q2, q0") \
    L("vldrb.8 q0, " x_again) L("vmullt.s8 q0, q0, q1") L("vadd.i16 q3, q3, q0")
#define ADD L("vmovlb.s16 q0, q2") L("vadd.i32 q4, q4, q0") L("vmovlt.s16 q0, q2") L("vadd.i32 q5, q5, q0") \
    L("vmovlb.s16 q0, q3") L("vadd.i32 q6, q6, q0") L("vmovlt.s16 q0, q3") L("vadd.i32 q7, q7, q0")
#define SCALE(q) L("vldrw.32 q0, [r11], #16") L("vrmulh.s32 " q ", " q ", q0")
#define NARROW L("vqmovnb.s32 q0, q4") L("vqmovnt.s32 q0, q5") L("vqmovnb.s32 q1, q6") L("vqmovnt.s32 q1, q7") \
    L("vqadd.s16 q0, q0, r6") L("vqadd.s16 q1, q1, r6") L("vqmovnb.s16 q0, q0") L("vqmovnt.s16 q0, q1")

MBN_FUNCTION(mbn_depthwise_pixels_arm_mve,
        MBN_SAVE_ALL L("vpush {d8-d15}") MBN_PUSHED(64)
        L("ldm r0, {r0-r3, r6, r7, r9, r10, r12, lr}")
        L("1:") L("mov r11, r9") L("mov r8, r3")
        L("2:") BIAS
        COLUMNS("r0") TAP("[r0], #16") SECOND_TAP("[r4]", "[r4]") ADD
        TAP("[r5]") COLUMNS("r1") SECOND_TAP("[r1]", "[r1], #16") ADD
        TAP("[r4]") SECOND_TAP("[r5]", "[r5]") ADD
        COLUMNS("r2") TAP("[r2], #16") SECOND_TAP("[r4]", "[r4]") ADD
        TAP("[r5]") ADD
        SCALE("q4") SCALE("q5") SCALE("q6") SCALE("q7") NARROW
        L("vctp.8 r8") L("vpst") L("vstrbt.8 q0, [r7], #16")
        L("subs r8, r8, #16") L("bgt 2b")
        L("add r0, r0, r12") L("add r1, r1, r12") L("add r2, r2, r12") L("add r7, r7, lr")
        L("subs r10, r10, #1") L("bne 1b")
        L("vpop {d8-d15}") MBN_PUSHED(-64) MBN_RETURN);
