/* SPDX-License-Identifier: 0BSD */
/* conv2d_lanes for Cortex-M0+: one to 16 output channels of eight pixels, in assembly. */
#include "mbn_armv6m.h"
#include "mbn_armv6m_asm.h"

/* clang-format off */

/* r0 words; r1 weights - words; r2 weight; r3..r6 words; r7 sums; r8..r11 running sums; r12 end of words;
 * lr groups - sums. */
#define LOAD(nibble) "ldrsb r2, [r1, r0]\n\t" nibble "ldmia r0!, {r3, r4, r5, r6}\n\tmuls r3, r2, r3\n\tmuls r4, r2, r4\n\tmuls r5, r2, r5\n\tmuls r6, r2, r6\n\t"
#define FIRST(nibble) LOAD(nibble) "mov r8, r3\n\tmov r9, r4\n\tmov r10, r5\n\tmov r11, r6\n\t"
#define NEXT(nibble) LOAD(nibble) "add r8, r3\n\tadd r9, r4\n\tadd r10, r5\n\tadd r11, r6\n\t"
#define LAST(nibble) LOAD(nibble) "add r3, r8\n\tadd r4, r9\n\tadd r5, r10\n\tadd r6, r11\n\t"
#define FIVE(x) x x x x x
/* Weights of four bits in the lower or the upper half of a byte. */
#define LOWER "lsls r2, r2, #28\n\tasrs r2, r2, #28\n\t"
#define UPPER "asrs r2, r2, #4\n\t"
/* One sum: all (high register) += t; high += (t + 2^15) >> 16 */
#define CUT(t, all, high) "add " all ", " t "\n\tasrs " t ", " t ", #16\n\tadcs " high ", " t "\n\t"
/* high in `high`, all in `all` -> the sum of the even pixel in `all` */
#define LOW(high, all) "lsls r0, " high ", #16\n\tmov r1, " all "\n\tsubs r1, r1, r0\n\tmov " all ", r1\n\t"
/* r1 base, r5 span, r3 and r6 factors, r2 value, r4 spare, r7 out; the odd pixels' sums have been pushed */
#define SHORT(value, place) value "\n\t" MBN_SHORT("r2", "r1", "r5", "r3", "r6") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define LONG(value, place) value "\n\t" MBN_LONG("r2", "r1", "r5", "r3", "r6", "r4") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define ALL(form)                                                                                             \
    form("ldr r2, [sp, #12]", "80") form("mov r2, r11", "76") form("ldr r2, [sp, #8]", "72") form("mov r2, r10", "68") \
    form("ldr r2, [sp, #4]", "64") form("mov r2, r9", "60") form("ldr r2, [sp]", "56") form("mov r2, r8", "52")

/* `again` goes back to label 2, which is out of a conditional branch's reach where steps are longer. */
#define CHANNELS(nibble, again)                                                                                   \
             MBN_SAVE_ALL_ARMV6M "sub sp, #72\n" MBN_PUSHED(72) "\tmov r1, sp\n\t" \
             "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t" \
             "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t" \
             "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n" \
             "1:\n\tldr r0, [sp, #4]\n\tmov r12, r0\n\tldr r7, [sp, #8]\n\tldr r0, [sp, #16]\n\tadds r1, r0, #1\n\tstr r1, [sp, #16]\n\t" \
             "subs r0, r0, r7\n\tmov lr, r0\n\tldr r1, [sp, #12]\n\tadds r0, r1, #1\n\tstr r0, [sp, #12]\n\tldr r0, [sp]\n\tsubs r1, r1, r0\n" \
             "2:\n\t" FIRST(nibble) \
             "mov r2, lr\n\tldrb r2, [r7, r2]\n\tadd pc, r2\n\tnop\n\t" /* jumps over 12 - length steps of 20, 24 or 22 bytes */ \
             FIVE(NEXT(nibble)) FIVE(NEXT(nibble)) \
             LAST(nibble) "stmia r7!, {r3, r4, r5, r6}\n\tcmp r0, r12\n\t" again \
             "ldr r0, [sp, #8]\n\tmovs r3, #0\n\tmovs r4, #0\n\tmovs r5, #0\n\tmovs r6, #0\n\t" \
             "mov r8, r3\n\tmov r9, r3\n\tmov r10, r3\n\tmov r11, r3\n" \
             "3:\n\tldmia r0!, {r1, r2}\n\t" CUT("r1", "r8", "r3") CUT("r2", "r9", "r4") \
             "ldmia r0!, {r1, r2}\n\t" CUT("r1", "r10", "r5") CUT("r2", "r11", "r6") \
             "cmp r0, r7\n\tbne 3b\n\t" \
             LOW("r3", "r8") LOW("r4", "r9") LOW("r5", "r10") LOW("r6", "r11") "push {r3, r4, r5, r6}\n" MBN_PUSHED(16) "\t" \
             "ldr r7, [sp, #40]\n\tldr r0, [sp, #36]\n\t" MBN_RECORD "str r0, [sp, #36]\n\tbcs 5f\n\t" \
             MBN_SHORT_RECORD("[sp, #48]") ALL(SHORT) "b 6f\n5:\n\t" MBN_LONG_RECORD ALL(LONG) \
             "6:\n\tadd sp, #16\n" MBN_PUSHED(-16) "\tadds r7, r7, #1\n\tstr r7, [sp, #24]\n\tldr r0, [sp, #28]\n\tcmp r7, r0\n\tbeq 4f\n\tb 1b\n" \
             "4:\n\tadd sp, #72\n" MBN_PUSHED(-72) "\t" MBN_RETURN_ARMV6M

#define FAR "beq 7f\n\tb 2b\n7:\n\t"
MBN_FUNCTION(mbn_lanes_channels_armv6m, CHANNELS("", "bne 2b\n\t"));
MBN_FUNCTION(mbn_lanes_lower_channels_armv6m, CHANNELS(LOWER, FAR));
MBN_FUNCTION(mbn_lanes_upper_channels_armv6m, CHANNELS(UPPER, FAR));
