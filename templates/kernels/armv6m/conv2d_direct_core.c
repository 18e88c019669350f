/* SPDX-License-Identifier: 0BSD */
/* conv2d_direct for Cortex-M0+: four sums of products, in assembly. */
#include "mbn_armv6m.h"
#include "mbn_armv6m_asm.h"

/* clang-format off */

/* r0 values left; r1..r4 many; r5 one; r6, r7 values; r8..r11 sums; r12 dots. */
#define LOAD(place, sum) "ldr r7, [r0, #" place "]\n\tmov " sum ", r7\n\t"
#define SAVE(place, sum) "mov r7, " sum "\n\tstr r7, [r0, #" place "]\n\t"
#define PRODUCT(many, sum) "ldrsb r7, [" many ", r0]\n\tmuls r7, r6, r7\n\tadd " sum ", r7\n\t"
#define STEP                                                                                             \
    "ldrsb r6, [r5, r0]\n\t" PRODUCT("r1", "r8") PRODUCT("r2", "r9") PRODUCT("r3", "r10") PRODUCT("r4", "r11") \
    "adds r0, r0, #1\n\t"

MBN_FUNCTION(mbn_add_products_armv6m,
             MBN_SAVE_ALL_ARMV6M "mov r12, r0\n\t" LOAD("0", "r8") LOAD("4", "r9") LOAD("8", "r10") LOAD("12", "r11")
             "ldr r6, [r0, #36]\n\tldr r5, [r0, #32]\n\tadds r0, r0, #16\n\tldmia r0!, {r1, r2, r3, r4}\n\tmov r0, r6\n"
             "1:\n\tlsls r6, r0, #30\n\tbeq 2f\n\t" STEP "b 1b\n"
             "2:\n\tcmp r0, #0\n\tbeq 4f\n"
             "3:\n\t" STEP STEP STEP STEP "bne 3b\n"
             "4:\n\tmov r0, r12\n\t" SAVE("0", "r8") SAVE("4", "r9") SAVE("8", "r10") SAVE("12", "r11") MBN_RETURN_ARMV6M);
