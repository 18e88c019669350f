/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 5x5 for Cortex-M0+, a row of all channels, in assembly: one window after the other. */
#include "mbn_armv6m.h"
#include "mbn_armv6m_asm.h"

/* clang-format off */

/* r0 walks through the frame; r1 row pointer, input; r2..r4 weights, products; r5 offset of the column; r6 out; r7 a value;
 * r8 sum; r9 step; r10 from an output pixel
 * to the next; r11 channels; r12 end. */
#define COPY "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
#define WEIGHT(k, place) "ldrb r1, [r0, #" k "]\n\tsxtb r1, r1\n\tstr r1, [sp, #" place "]\n\t"
#define CHANNEL                                                                                                  \
    "ldr r0, [sp, #140]\n\t"                                                                                     \
    WEIGHT("0", "4") WEIGHT("1", "8") WEIGHT("2", "12") WEIGHT("3", "16") WEIGHT("4", "20")                      \
    WEIGHT("5", "28") WEIGHT("6", "32") WEIGHT("7", "36") WEIGHT("8", "40") WEIGHT("9", "44")                    \
    WEIGHT("10", "52") WEIGHT("11", "56") WEIGHT("12", "60") WEIGHT("13", "64") WEIGHT("14", "68")               \
    WEIGHT("15", "76") WEIGHT("16", "80") WEIGHT("17", "84") WEIGHT("18", "88") WEIGHT("19", "92")               \
    WEIGHT("20", "100") WEIGHT("21", "104") WEIGHT("22", "108") WEIGHT("23", "112") WEIGHT("24", "116")          \
    "adds r0, r0, #25\n\tstr r0, [sp, #140]\n\tldr r0, [sp, #144]\n\t" MBN_RECORD "str r0, [sp, #144]\n\tbcs 5f\n\t" \
    MBN_SHORT_RECORD("[sp, #164]") "movs r0, #0\n\tb 6f\n5:\n\t" MBN_LONG_RECORD "movs r0, #1\n6:\n\t"              \
    "str r1, [sp, #120]\n\tstr r5, [sp, #124]\n\tstr r3, [sp, #128]\n\tstr r6, [sp, #132]\n\tstr r0, [sp, #136]\n\t" \
    "ldr r5, [sp, #156]\n\tldr r6, [sp, #148]\n\tldr r7, [sp, #152]\n\t"
#define TAP(w) "ldrsb r7, [r1, r5]\n\tmuls " w ", r7, " w "\n\t"
#define NEXT_TAP(w) "add r1, r11\n\t" TAP(w)
/* A row of the window: the sum of five products in r2. */
#define ROW                                                                                                      \
    "ldmia r0!, {r1, r2, r3, r4}\n\t" TAP("r2") NEXT_TAP("r3") "adds r2, r2, r3\n\t" NEXT_TAP("r4")                 \
    "adds r2, r2, r4\n\tldmia r0!, {r3, r4}\n\t" NEXT_TAP("r3") "adds r2, r2, r3\n\t" NEXT_TAP("r4") "adds r2, r2, r4\n\t"
#define WINDOW "mov r0, sp\n\t" ROW "mov r8, r2\n\t" ROW "add r8, r2\n\t" ROW "add r8, r2\n\t" ROW "add r8, r2\n\t" ROW "add r2, r8\n\tmov r4, r2\n\t"
/* r0 is behind the weights; the result is in r4 */
#define SHORT "ldmia r0!, {r1, r2, r3, r7}\n\t" MBN_SHORT("r4", "r1", "r2", "r3", "r7")
#define LONG "ldmia r0!, {r1, r2, r3, r7}\n\t" MBN_LONG("r4", "r1", "r2", "r3", "r7", "r1")
#define STORE "strb r4, [r6]\n\tadd r5, r9\n\tadd r6, r10\n\tcmp r6, r12\n\tbeq 4f\n\t"

MBN_FUNCTION(mbn_depthwise_5x5_row_armv6m,
             MBN_SAVE_ALL_ARMV6M "sub sp, #192\n" MBN_PUSHED(192) "\tmov r1, sp\n\t" COPY COPY COPY COPY COPY COPY COPY COPY
             "ldr r0, [sp, #160]\n\tmov r11, r0\n\tldr r0, [sp, #168]\n\tmov r9, r0\n\tldr r0, [sp, #172]\n\tmov r10, r0\n"
             "1:\n\t" CHANNEL "adds r6, r6, r5\n\tadds r7, r7, r6\n\tmov r12, r7\n\t"
             "ldr r0, [sp, #136]\n\tcmp r0, #0\n\tbeq 2f\n\tb 3f\n"
             "2:\n\t" WINDOW SHORT STORE "b 2b\n"
             "3:\n\t" WINDOW LONG STORE "b 3b\n"
             "4:\n\tldr r5, [sp, #156]\n\tadds r5, r5, #1\n\tstr r5, [sp, #156]\n\tcmp r5, r11\n\tbeq 7f\n\tb 1b\n"
             "7:\n\tadd sp, #192\n" MBN_PUSHED(-192) "\t" MBN_RETURN_ARMV6M);
