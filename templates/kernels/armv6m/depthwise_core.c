/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 for Cortex-M0+, a row of all channels, in assembly. */
#include "mbn_armv6m.h"
#include "mbn_armv6m_asm.h"

/* clang-format off */

/* r0 walks through the frame; r1 row pointer, input; r2..r4 weights, products; r5 offset of the column; r6 out;
 * r8, r9 sums of the outputs that lack two columns and one; r10 sum of the output that is being finished; r11 channels;
 * r12 end. */
#define COPY "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
#define WEIGHT(k, place) "ldrb r1, [r0, #" k "]\n\tsxtb r1, r1\n\tstr r1, [sp, #" place "]\n\t"
#define CHANNEL                                                                                                  \
    "ldr r0, [sp, #68]\n\t" WEIGHT("0", "4") WEIGHT("1", "8") WEIGHT("2", "12") WEIGHT("3", "20")                  \
    WEIGHT("4", "24") WEIGHT("5", "28") WEIGHT("6", "36") WEIGHT("7", "40") WEIGHT("8", "44")                     \
    "adds r0, r0, #9\n\tstr r0, [sp, #68]\n\tldr r0, [sp, #72]\n\t" MBN_RECORD "str r0, [sp, #72]\n\tbcs 5f\n\t"     \
    MBN_SHORT_RECORD("[sp, #92]") "movs r0, #0\n\tb 6f\n5:\n\t" MBN_LONG_RECORD "movs r0, #1\n6:\n\t"              \
    "str r1, [sp, #48]\n\tstr r5, [sp, #52]\n\tstr r3, [sp, #56]\n\tstr r6, [sp, #60]\n\tstr r0, [sp, #64]\n\t"      \
    "ldr r5, [sp, #84]\n\tldr r6, [sp, #76]\n\tldr r7, [sp, #80]\n\t"
#define ROW "ldmia r0!, {r1, r2, r3, r4}\n\tldrsb r1, [r1, r5]\n\tmuls r2, r1, r2\n\tmuls r3, r1, r3\n\tmuls r4, r1, r4\n\t"
/* leaves the finished sum in r4 */
#define COLUMN                                                                                                   \
    "mov r0, sp\n\t" ROW "add r4, r9\n\tmov r10, r4\n\tadd r3, r8\n\tmov r9, r3\n\tmov r8, r2\n\t"                  \
    ROW "add r10, r4\n\tadd r9, r3\n\tadd r8, r2\n\t" ROW "add r9, r3\n\tadd r8, r2\n\tadd r4, r10\n\t"
/* one row of a window with stride 2: the sum of three products in r2 */
#define WINDOW_ROW                                                                                               \
    "ldmia r0!, {r1, r2, r3, r4}\n\tldrsb r7, [r1, r5]\n\tmuls r2, r7, r2\n\tadd r1, r11\n\tldrsb r7, [r1, r5]\n\t" \
    "muls r3, r7, r3\n\tadd r1, r11\n\tldrsb r7, [r1, r5]\n\tmuls r4, r7, r4\n\tadds r2, r2, r3\n\tadds r2, r2, r4\n\t"
/* r0 is behind the weights; the result is in r4 */
#define SHORT "ldmia r0!, {r1, r2, r3, r7}\n\t" MBN_SHORT("r4", "r1", "r2", "r3", "r7")
#define LONG "ldmia r0!, {r1, r2, r3, r7}\n\t" MBN_LONG("r4", "r1", "r2", "r3", "r7", "r1")
#define IF_LONG(target) "ldr r0, [sp, #64]\n\tcmp r0, #0\n\tbne " target "\n"
#define NEXT_CHANNEL "4:\n\tldr r5, [sp, #84]\n\tadds r5, r5, #1\n\tstr r5, [sp, #84]\n\tcmp r5, r11\n\tbeq 7f\n\tb 1b\n7:\n\tadd sp, #96\n" MBN_PUSHED(-96) "\t" MBN_RETURN_ARMV6M
#define WINDOW "mov r0, sp\n\t" WINDOW_ROW "mov r8, r2\n\t" WINDOW_ROW "add r8, r2\n\t" WINDOW_ROW "add r2, r8\n\tmov r4, r2\n\t"
#define NEXT_S1 "strb r4, [r6, r5]\n\tadd r5, r11\n\tcmp r5, r12\n\t"
#define NEXT_S2 "strb r4, [r6]\n\tadd r5, r11\n\tadd r5, r11\n\tadd r6, r11\n\tcmp r6, r12\n\t"

MBN_FUNCTION(mbn_depthwise_row_s1_armv6m,
             MBN_SAVE_ALL_ARMV6M "sub sp, #96\n" MBN_PUSHED(96) "\tmov r1, sp\n\t" COPY COPY COPY COPY "ldr r0, [sp, #88]\n\tmov r11, r0\n"
             "1:\n\t" CHANNEL "adds r7, r7, r5\n\tadd r7, r11\n\tadd r7, r11\n\tmov r12, r7\n\tmov r0, r11\n\tsubs r6, r6, r0\n\t"
             "subs r6, r6, r0\n\tmovs r0, #0\n\tmov r8, r0\n\tmov r9, r0\n\t" /* out of column j is pixel j - 2 */
             COLUMN "add r5, r11\n\t" COLUMN "add r5, r11\n\t" IF_LONG("3f")
             "2:\n\t" COLUMN SHORT NEXT_S1 "bne 2b\n\tb 4f\n"
             "3:\n\t" COLUMN LONG NEXT_S1 "bne 3b\n"
             NEXT_CHANNEL);

MBN_FUNCTION(mbn_depthwise_row_s2_armv6m,
             MBN_SAVE_ALL_ARMV6M "sub sp, #96\n" MBN_PUSHED(96) "\tmov r1, sp\n\t" COPY COPY COPY COPY "ldr r0, [sp, #88]\n\tmov r11, r0\n"
             "1:\n\t" CHANNEL "adds r6, r6, r5\n\tadds r7, r7, r6\n\tmov r12, r7\n\t" IF_LONG("3f")
             "2:\n\t" WINDOW SHORT NEXT_S2 "bne 2b\n\tb 4f\n"
             "3:\n\t" WINDOW LONG NEXT_S2 "bne 3b\n"
             NEXT_CHANNEL);
