/* SPDX-License-Identifier: 0BSD */
/* What the functions in assembly for Cortex-M0+ share. */
#ifndef MBN_ARMV6M_ASM_H
#define MBN_ARMV6M_ASM_H

#include "mbn_arm_asm.h"

/* clang-format off */
/* All registers that belong to the caller: first and last instructions of a function. */
#define MBN_SAVE_ALL_ARMV6M                                                                              \
    "push {r4-r7, lr}\n" MBN_PUSHED(20) "\t.cfi_rel_offset r4, 0\n\t.cfi_rel_offset r5, 4\n"            \
    "\t.cfi_rel_offset r6, 8\n\t.cfi_rel_offset r7, 12\n\t.cfi_rel_offset lr, 16\n"                    \
    "\tmov r4, r8\n\tmov r5, r9\n\tmov r6, r10\n\tmov r7, r11\n\tpush {r4-r7}\n" MBN_PUSHED(16)      \
    "\t.cfi_rel_offset r8, 0\n\t.cfi_rel_offset r9, 4\n\t.cfi_rel_offset r10, 8\n\t.cfi_rel_offset r11, 12\n\t"
#define MBN_RETURN_ARMV6M                                                                              \
    "pop {r4-r7}\n" MBN_PUSHED(-16) "\tmov r8, r4\n\tmov r9, r5\n\tmov r10, r6\n\tmov r11, r7\n"     \
    "\tpop {r4-r7, pc}\n"

/* How a sum becomes int8: see mbn_armv6m.h. Record at r0 -> r1 base, r5 span, r3 a, r6 b; r2 and r4 are used up. After MBN_RECORD the carry
 * says whether the form is long, and one of the other two follows. */
#define MBN_RECORD                                                                                            \
    "ldmia r0!, {r1, r2, r3}\n\tlsls r4, r2, #26\n\tlsrs r4, r4, #27\n\tlsls r5, r2, #11\n\tlsrs r5, r5, #22\n\t" \
    "lsls r5, r5, r4\n\tlsrs r6, r2, #1\n\t"
#define MBN_SHORT_RECORD(rounding)                                                                            \
    "asrs r6, r2, #21\n\tlsls r6, r6, r4\n\tsubs r1, r1, r6\n\tmuls r6, r3, r6\n\tldr r4, " rounding "\n\t"       \
    "adds r6, r6, r4\n\t"
#define MBN_LONG_RECORD "lsls r6, r3, #22\n\tlsrs r6, r6, #22\n\tlsrs r3, r3, #10\n\t"
#define MBN_CLAMP(v, base, span)                                                                              \
    "adds " v ", " v ", " base "\n\tcmp " v ", " span "\n\tbls 8f\n\tasrs " v ", " v ", #31\n\tmvns " v ", " v     \
    "\n\tands " v ", " span "\n8:\n\t"
#define MBN_SHORT(v, base, span, a, b)                                                                        \
    MBN_CLAMP(v, base, span) "muls " v ", " a ", " v "\n\tadds " v ", " v ", " b "\n\tlsrs " v ", " v ", #24\n\t"
#define MBN_LONG(v, base, span, a, b, spare)                                                                  \
    MBN_CLAMP(v, base, span) "movs " spare ", " v "\n\tmuls " spare ", " b ", " spare "\n\tlsrs " spare ", " spare \
    ", #10\n\tmuls " v ", " a ", " v "\n\tadds " v ", " v ", " spare "\n\tlsrs " v ", " v ", #24\n\tsubs " v ", #128\n\t"
/* clang-format on */

#endif
