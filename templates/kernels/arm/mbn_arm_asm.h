/* SPDX-License-Identifier: 0BSD */
/* Functions written in assembly: each in a section of its own, so that the linker leaves out what nobody calls, and with
 * call-frame information, from which debuggers and mbn2c know its stack. */
#ifndef MBN_ARM_ASM_H
#define MBN_ARM_ASM_H

/* clang-format off */
#define MBN_FUNCTION(name, body)                                                                         \
    __asm__("\t.cfi_sections .debug_frame\n\t.pushsection .text." #name ",\"ax\",%progbits\n"            \
            "\t.syntax unified\n\t.thumb\n\t.p2align 2\n\t.thumb_func\n\t.global " #name "\n\t.type " #name \
            ", %function\n" #name ":\n\t.cfi_startproc\n" body "\t.cfi_endproc\n\t.size " #name ", . - " #name \
            "\n\t.popsection\n")

/* The stack pointer has gone down by so many bytes; negative: up. */
#define MBN_PUSHED(bytes) "\t.cfi_adjust_cfa_offset " #bytes "\n"

/* All registers that belong to the caller: first and last instruction of a function. */
#define MBN_SAVE_ALL                                                                                   \
    "push {r4-r11, lr}\n" MBN_PUSHED(36) "\t.cfi_rel_offset r4, 0\n\t.cfi_rel_offset r5, 4\n"          \
    "\t.cfi_rel_offset r6, 8\n\t.cfi_rel_offset r7, 12\n\t.cfi_rel_offset r8, 16\n\t.cfi_rel_offset r9, 20\n" \
    "\t.cfi_rel_offset r10, 24\n\t.cfi_rel_offset r11, 28\n\t.cfi_rel_offset lr, 32\n"
#define MBN_RETURN "pop {r4-r11, pc}\n"
/* clang-format on */

#endif
