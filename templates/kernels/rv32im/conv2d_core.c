/* SPDX-License-Identifier: 0BSD */
/* conv2d for RV32IM: all channels of one to three pairs of pixels, in assembly. */
#include "mbn_rv32im.h"

/* clang-format off */

/* A pixel or a channel that does not exist is stored to the place of its neighbour, and before it. */
/* The compiler spills a dozen registers here, so the loops are written out.
 * a0 words, a1 weights, a2 groups, a3 frame; sums of a group: a4..a7, t5, t6; all: s0..s5; high: s6..s11;
 * t0, t1 weights, t2 word, t3 product, t4 end of the group, ra bytes of an input. After the first input a group of even length takes one more,
 * so that the loop takes two at a time. */
#define FIRST(s0, s1, at) "lw t2, " at "(a0)\n\tmul " s0 ", t2, t0\n\tmul " s1 ", t2, t1\n\t"
#define NEXT(s0, s1, at)                                              \
    "lw t2, " at "(a0)\n\tmul t3, t2, t0\n\tmul t2, t2, t1\n\t"         \
    "add " s0 ", " s0 ", t3\n\tadd " s1 ", " s1 ", t2\n\t"
/* The weights of an input; BYTES and BYTES2: those of one and of two. */
#define WEIGHTS "lb t0, 0(a1)\n\tlb t1, 1(a1)\n\t"
#define WEIGHTS2 "lb t0, 2(a1)\n\tlb t1, 3(a1)\n\t"
#define BYTES "2"
#define BYTES2 "4"
/* Of four bits. */
#define HALVES "slli t0, t1, 28\n\tsrai t0, t0, 28\n\tsrai t1, t1, 4\n\t"
#define W4_WEIGHTS "lb t1, 0(a1)\n\t" HALVES
#define W4_WEIGHTS2 "lb t1, 1(a1)\n\t" HALVES
#define W4_BYTES "1"
#define W4_BYTES2 "2"
#define ADVANCE(bytes, weights) "addi a0, a0, " bytes "\n\taddi a1, a1, " weights "\n\t"
#define CUT(s, all, high) \
    "add t2, " s ", t3\n\tadd " all ", " all ", " s "\n\tsrai t2, t2, 16\n\tadd " high ", " high ", t2\n\t"
#define SUM(w, bytes, bytes2, first, next0, next1, cut)                                                        \
    "li ra, " bytes "\n2:\n\tlbu t4, 0(a2)\n\taddi a2, a2, 1\n\tandi t3, t4, 1\n\tmul t4, t4, ra\n\t"               \
    "add t4, t4, a0\n\t" w##WEIGHTS first "beqz t3, 3f\n\t" ADVANCE(bytes, w##BYTES) "bne a0, t4, 4f\n\tj 5f\n"  \
    "3:\n\t" w##WEIGHTS2 next1 ADVANCE(bytes2, w##BYTES2) "beq a0, t4, 5f\n"                                    \
    "4:\n\t" w##WEIGHTS next0 w##WEIGHTS2 next1 ADVANCE(bytes2, w##BYTES2) "bne a0, t4, 4b\n"                   \
    "5:\n\tlui t3, 8\n\t" cut "lw t3, 4(a3)\n\tbne a0, t3, 2b\n\t"
#define ZERO(all, high) "li " all ", 0\n\tli " high ", 0\n\t"
#define CONSTANTS "lw a0, 8(a3)\n\tlw t3, 12(a3)\n\tlw t4, 20(a3)\n\tlw t6, 24(a3)\n\tlw a5, 28(a3)\n\tli a6, 255\n\tadd a4, t3, t6\n\t"
#define LOW(all, high) "slli t5, " high ", 16\n\tsub " all ", " all ", t5\n\t"
/* t0 LOW, t1 FACTOR, t5 OFFSET, t2 SPAN, a6 255; see mbn_rv32im.h */
#define CHANNEL(low, factor, offset, span) \
    "lw t0, " low "(a0)\n\tlw t1, " factor "(a0)\n\tlw t5, " offset "(a0)\n\tlw t2, " span "(a0)\n\tbeqz t2, 7f\n\t"
#define SHORT(v)                                                                                              \
    "add " v ", " v ", t0\n\tbgeu t2, " v ", 8f\n\tsrai " v ", " v ", 31\n\tnot " v ", " v "\n\t"                \
    "and " v ", " v ", t2\n8:\n\tmul " v ", " v ", t1\n\tadd " v ", " v ", t5\n\tsrli " v ", " v ", 24\n\t"
#define LONG(v)                                                                                               \
    "add " v ", " v ", t0\n\tmulh " v ", " v ", t1\n\tsrai " v ", " v ", 7\n\tbgeu a6, " v ", 8f\n\t"               \
    "srai " v ", " v ", 31\n\tnot " v ", " v "\n8:\n\taddi " v ", " v ", -128\n\t"
#define LAST(v) "add a7, a4, a5\n\tsb " v ", 0(a7)\n\t"
#define STORE(v) "sb " v ", 0(a4)\n\t"
#define ON "add a4, a4, t4\n\t"
#define FIRST_CHANNEL(store) CHANNEL("0", "4", "8", "12") store
#define SECOND_CHANNEL(store) CHANNEL("16", "20", "24", "28") store "mv a4, t3\n\t"
#define EITHER(form, ...) form(SHORT, __VA_ARGS__) "j 9f\n7:\n\t" form(LONG, __VA_ARGS__) "9:\n\t"
#define PIXELS2(scale, l0, h0) scale(h0) LAST(h0) scale(l0) STORE(l0)
#define PIXELS4(scale, l0, h0, l1, h1) scale(h1) LAST(h1) scale(l0) STORE(l0) ON scale(h0) STORE(h0) ON scale(l1) STORE(l1)
#define PIXELS6(scale, l0, h0, l1, h1, l2, h2)                                                                \
    scale(h2) LAST(h2) scale(l0) STORE(l0) ON scale(h0) STORE(h0) ON scale(l1) STORE(l1) ON scale(h1) STORE(h1) \
    ON scale(l2) STORE(l2)
#define LOOP                                                                                                  \
    "addi a0, a0, 32\n\tsw a0, 8(a3)\n\taddi t3, t3, 2\n\tsw t3, 12(a3)\n\tlw t0, 16(a3)\n\t"                       \
    "bgeu t3, t0, 6f\n\tj 1b\n6:\n\tsw a1, 32(a3)\n\tsw a2, 36(a3)"
#define RUN(...)                                                                                              \
    register mbn_conv2d_frame_rv32im *a3 __asm__("a3") = f;                                                                     \
    __asm__ volatile("lw a1, 32(a3)\n\tlw a2, 36(a3)\n1:\n\tlw a0, 0(a3)\n\t" __VA_ARGS__ LOOP                    \
                     : "+r"(a3)                                                                               \
                     :                                                                                        \
                     : "a0", "a1", "a2", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6",    \
                       "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "ra", "memory");

#define BLOCK3(w)                                                                                                    \
    RUN(ZERO("s0", "s6") ZERO("s1", "s7") ZERO("s2", "s8") ZERO("s3", "s9") ZERO("s4", "s10") ZERO("s5", "s11")      \
        SUM(w, "12", "24", FIRST("a4", "t5", "0") FIRST("a5", "t6", "4") FIRST("a6", "a7", "8"),                     \
            NEXT("a4", "t5", "0") NEXT("a5", "t6", "4") NEXT("a6", "a7", "8"),                                       \
            NEXT("a4", "t5", "12") NEXT("a5", "t6", "16") NEXT("a6", "a7", "20"),                                    \
            CUT("a4", "s0", "s6") CUT("a5", "s1", "s7") CUT("a6", "s2", "s8") CUT("t5", "s3", "s9")                  \
            CUT("t6", "s4", "s10") CUT("a7", "s5", "s11"))                                                           \
        LOW("s0", "s6") LOW("s1", "s7") LOW("s2", "s8") LOW("s3", "s9") LOW("s4", "s10") LOW("s5", "s11") CONSTANTS  \
        SECOND_CHANNEL(EITHER(PIXELS6, "s3", "s9", "s4", "s10", "s5", "s11"))                                        \
        FIRST_CHANNEL(EITHER(PIXELS6, "s0", "s6", "s1", "s7", "s2", "s8")))
#define BLOCK2(w)                                                                                       \
    RUN(ZERO("s0", "s6") ZERO("s1", "s7") ZERO("s3", "s9") ZERO("s4", "s10")                            \
        SUM(w, "8", "16", FIRST("a4", "t5", "0") FIRST("a5", "t6", "4"),                                \
            NEXT("a4", "t5", "0") NEXT("a5", "t6", "4"), NEXT("a4", "t5", "8") NEXT("a5", "t6", "12"),  \
            CUT("a4", "s0", "s6") CUT("a5", "s1", "s7") CUT("t5", "s3", "s9") CUT("t6", "s4", "s10"))   \
        LOW("s0", "s6") LOW("s1", "s7") LOW("s3", "s9") LOW("s4", "s10") CONSTANTS                      \
        SECOND_CHANNEL(EITHER(PIXELS4, "s3", "s9", "s4", "s10"))                                        \
        FIRST_CHANNEL(EITHER(PIXELS4, "s0", "s6", "s1", "s7")))
#define BLOCK1(w)                                                                               \
    RUN(ZERO("s0", "s6") ZERO("s3", "s9")                                                       \
        SUM(w, "4", "8", FIRST("a4", "t5", "0"), NEXT("a4", "t5", "0"), NEXT("a4", "t5", "4"),  \
            CUT("a4", "s0", "s6") CUT("t5", "s3", "s9"))                                        \
        LOW("s0", "s6") LOW("s3", "s9") CONSTANTS                                               \
        SECOND_CHANNEL(EITHER(PIXELS2, "s3", "s9"))                                             \
        FIRST_CHANNEL(EITHER(PIXELS2, "s0", "s6")))

#define FUNCTIONS(name, w)                                                             \
    void mbn_conv2d_##name##block1_rv32im(mbn_conv2d_frame_rv32im *f) { BLOCK1(w) }    \
    void mbn_conv2d_##name##block2_rv32im(mbn_conv2d_frame_rv32im *f) { BLOCK2(w) }    \
    void mbn_conv2d_##name##block3_rv32im(mbn_conv2d_frame_rv32im *f) { BLOCK3(w) }

FUNCTIONS(, )
FUNCTIONS(w4_, W4_)
