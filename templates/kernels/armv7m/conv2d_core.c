/* SPDX-License-Identifier: 0BSD */
/* conv2d for Cortex-M3: all channels of three pairs of pixels, in assembly. */
#include "mbn_arm_asm.h"
#include "mbn_armv7m.h"

/* clang-format off */

/* Three pairs, six pixels; the compiler spills here, so the channel loop is written out.
 *   r0 pairs, then out   r1 weights   r2 weight, then stride   r3 requantize   r4..r9 sums   r10..r12 words, then R, M
 *   lr end of the pairs, then high word of R. The frame is pushed on the stack, where sp finds it. */
#define SMLAL3 "smlal r4, r5, r10, r2\n\tsmlal r6, r7, r11, r2\n\tsmlal r8, r9, r12, r2\n\t"
#define STEP3 "ldmia r0!, {r10, r11, r12}\n\tldrsb r2, [r1], #1\n\t" SMLAL3
/* Weights of four bits: r3 eight of them, and requantize is on the stack, too. */
#define W4_STEP3(at) "ldmia r0!, {r10, r11, r12}\n\tsbfx r2, r3, #" at ", #4\n\t" SMLAL3
#define SPLIT3(lo, hi) "lsrs r2, " lo ", #24\n\torr " hi ", r2, " hi ", lsl #8\n\tbic " lo ", " lo ", #0xff000000\n\t"
#define REQUANTIZE3(v, r) "ldrd r10, lr, [r3, #" r "]\n\tsmlal r10, lr, " v ", r12\n\tssat " v ", #8, lr\n\t"

#define EIGHT(x) x x x x x x x x

#define W4_EIGHT(x) "ldr r3, [r1], #4\n\t" x("0") x("4") x("8") x("12") x("16") x("20") x("24") x("28")
#define FRAME "ldmia r0!, {r4, r5, r6, r7, r8, r9}\n\tpush {r4, r5, r6, r7, r8, r9}\n" MBN_PUSHED(24)

#define CHANNEL_SUMS(eight)                                                                                             \
    "1:\n\tldrd r0, lr, [sp]\n\tmov r4, #0x800000\n\tmovs r5, #0\n\tmov r6, r4\n\tmovs r7, #0\n\tmov r8, r4\n\tmov r9, r5\n" \
    "2:\n\t" eight "cmp r0, lr\n\tbne 2b\n\t" SPLIT3("r4", "r5") SPLIT3("r6", "r7") SPLIT3("r8", "r9")
#define CHANNEL_STORES(keep)                                                                                         \
    "ldr r12, [r3], #4\n\tldrd r0, r2, [sp, #8]\n\t"                                                                 \
    REQUANTIZE3("r4", "0") REQUANTIZE3("r5", "8") REQUANTIZE3("r6", "0")                                             \
    REQUANTIZE3("r7", "8") REQUANTIZE3("r8", "0") REQUANTIZE3("r9", "8")                                             \
    "adds r3, #16\n\t" keep "ldrd r10, lr, [sp, #16]\n\t"                                                            \
    "strb r9, [r0, r10]\n\tadd r10, r2, r2, lsl #1\n\tstrb r8, [r0, r2, lsl #2]\n\tstrb r7, [r0, r10]\n\t"           \
    "strb r6, [r0, r2, lsl #1]\n\tstrb r5, [r0, r2]\n\tstrb r4, [r0], #1\n\t"                                        \
    "str r0, [sp, #8]\n\tcmp r0, lr\n\tbne 1b\n\t"

MBN_FUNCTION(mbn_conv2d_block3_armv7m,
             MBN_SAVE_ALL "mov r3, r2\n\t" FRAME CHANNEL_SUMS(EIGHT(STEP3)) CHANNEL_STORES("")
             "add sp, #24\n" MBN_PUSHED(-24) "\t" MBN_RETURN);

MBN_FUNCTION(mbn_conv2d_w4_block3_armv7m,
             MBN_SAVE_ALL "push {r2, r3}\n" MBN_PUSHED(8) "\t" FRAME CHANNEL_SUMS(W4_EIGHT(W4_STEP3))
             "ldr r3, [sp, #24]\n\t" CHANNEL_STORES("str r3, [sp, #24]\n\t")
             "add sp, #32\n" MBN_PUSHED(-32) "\t" MBN_RETURN);
