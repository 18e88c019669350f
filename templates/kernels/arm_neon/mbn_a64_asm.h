/* SPDX-License-Identifier: 0BSD */
/* Functions written in assembly: each in a section of its own, so that the linker leaves out what nobody calls, and with
 * call-frame information, from which debuggers and mbn2c know its stack: none. */
#ifndef MBN_A64_ASM_H
#define MBN_A64_ASM_H

/* clang-format off */
#define MBN_A64_FUNCTION(name, body)                                                                \
    __asm__("\t.cfi_sections .debug_frame\n\t.pushsection .text." #name ",\"ax\",%progbits\n\t.p2align 4\n\t.global " #name \
            "\n\t.type " #name ", %function\n" #name ":\n\t.cfi_startproc\n" body "\tret\n\t.cfi_endproc\n"   \
            "\t.size " #name ", . - " #name "\n\t.popsection\n")
#define L(text) text "\n"

/* Four sums of int32 lanes times multipliers, rounded, plus the zero point: to sixteen bytes in the first. */
#define MBN_SCALE16(a, b, c, d, ma, mb, mc, md, zero)                                                     \
    L("sqdmulh v" #a ".4s, v" #a ".4s, v" #ma ".4s") L("sqdmulh v" #b ".4s, v" #b ".4s, v" #mb ".4s")     \
    L("sqdmulh v" #c ".4s, v" #c ".4s, v" #mc ".4s") L("sqdmulh v" #d ".4s, v" #d ".4s, v" #md ".4s")     \
    L("sqrshrn v" #a ".4h, v" #a ".4s, #1") L("sqrshrn v" #c ".4h, v" #c ".4s, #1")                       \
    L("sqrshrn2 v" #a ".8h, v" #b ".4s, #1") L("sqrshrn2 v" #c ".8h, v" #d ".4s, #1")                     \
    L("sqadd v" #a ".8h, v" #a ".8h, v" #zero ".8h") L("sqadd v" #c ".8h, v" #c ".8h, v" #zero ".8h")     \
    L("sqxtn v" #a ".8b, v" #a ".8h") L("sqxtn2 v" #a ".16b, v" #c ".8h")
/* clang-format on */

#endif
