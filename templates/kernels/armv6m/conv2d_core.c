/* SPDX-License-Identifier: 0BSD */
/* conv2d for Cortex-M0+: one to 16 output channels of four pixels, in assembly. */
#include "mbn_armv6m.h"
#include "mbn_armv6m_asm.h"

/* clang-format off */

/* r0 words; r1 weights - words; r2 weight; r3..r6 words; r8..r11 sums; r12 end of words. */
#define NEXT                                                                                             \
    "ldrsb r2, [r1, r0]\n\tldmia r0!, {r3, r4, r5, r6}\n\tmuls r3, r2, r3\n\tmuls r4, r2, r4\n\t"         \
    "muls r5, r2, r5\n\tmuls r6, r2, r6\n\tadd r8, r3\n\tadd r9, r4\n\tadd r10, r5\n\tadd r11, r6\n\t"
#define FOUR(x) x x x x
/* r1 base, r5 span, r3 and r6 factors, r2 value, r4 spare, r7 out */
#define SHORT(sum, place) "mov r2, " sum "\n\t" MBN_SHORT("r2", "r1", "r5", "r3", "r6") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define LONG(sum, place) "mov r2, " sum "\n\t" MBN_LONG("r2", "r1", "r5", "r3", "r6", "r4") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define ALL(form) form("r11", "40") form("r10", "36") form("r9", "32") form("r8", "28")

MBN_FUNCTION(mbn_conv2d_channels_armv6m,
             MBN_SAVE_ALL_ARMV6M "sub sp, #48\n" MBN_PUSHED(48) "\tmov r1, sp\n\t"
             "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
             "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n"
             "1:\n\tldr r0, [sp, #4]\n\tmov r12, r0\n\tldr r1, [sp, #8]\n\tadds r0, r1, #1\n\tstr r0, [sp, #8]\n\t"
             "ldr r0, [sp]\n\tsubs r1, r1, r0\n\tmovs r3, #0\n\tmov r8, r3\n\tmov r9, r3\n\tmov r10, r3\n\tmov r11, r3\n"
             "2:\n\t" FOUR(NEXT) FOUR(NEXT) "cmp r0, r12\n\tbne 2b\n\t"
             "ldr r7, [sp, #16]\n\tldr r0, [sp, #12]\n\t" MBN_RECORD "str r0, [sp, #12]\n\tbcs 5f\n\t"
             MBN_SHORT_RECORD("[sp, #24]") ALL(SHORT) "b 6f\n5:\n\t" MBN_LONG_RECORD ALL(LONG)
             "6:\n\tadds r7, r7, #1\n\tstr r7, [sp, #16]\n\tldr r0, [sp, #20]\n\tcmp r7, r0\n\tbeq 4f\n\tb 1b\n"
             "4:\n\tadd sp, #48\n" MBN_PUSHED(-48) "\t" MBN_RETURN_ARMV6M);
