/* SPDX-License-Identifier: 0BSD */
/* Blocks of one to four pixels times groups of sixteen, or eight, outputs with SDOT; the lanes of a sum are outputs.
 *
 * Registers: x1-x4 pixels behind their whole vectors, x5-x8 outputs, x9 weights, x10 biases, x11 multipliers, x12 groups, x13 taps in whole vectors,
 * x14 whether eight are left, x15 zero point; x16 counts the taps. v0-v3 inputs, v4-v7 weights, v16-v31 sums. */
#include "mbn_a64_asm.h"
#include "mbn_arm_neon.h"

/* clang-format off */

#define ENTER \
    L("ldp x1, x2, [x0]") L("ldp x3, x4, [x0, #16]") L("ldp x5, x6, [x0, #32]") L("ldp x7, x8, [x0, #48]") \
    L("ldp x9, x10, [x0, #64]") L("ldp x11, x12, [x0, #80]") L("ldp x13, x14, [x0, #96]") L("ldr x15, [x0, #112]")
#define NEXT_GROUP L("subs x12, x12, #1") L("b.ne 1b")

/* sdot v<acc>.4s, v<w>.16b, v<in>.4b[lane], as a number: an assembler for Armv8.0 takes it, too */
#define DOT(acc, w, in, lane) \
    L(".inst 0x4f80e000 + (" #lane " & 1) * 0x200000 + (" #lane " >> 1) * 0x800 + " #in " * 0x10000 + " #w " * 32 + " #acc)
#define DOT16(a, b, c, d, in, lane) DOT(a, 4, in, lane) DOT(b, 5, in, lane) DOT(c, 6, in, lane) DOT(d, 7, in, lane)
#define TAPS L("ld1 {v4.16b-v7.16b}, [x9], #64")
#define LOADQ(in, x) L("ldr q" #in ", [x" #x ", x16]")
#define LOADD(in, x) L("ldr d" #in ", [x" #x ", x16]")
#define BIAS16(a, d) L("ld1 {v" #a ".4s-v" #d ".4s}, [x10]")

/* `LANE` times four taps: whole vectors, then what is left. */
#define ALL_TAPS(VECTORS, HALVES, FULL, HALF) \
    L("negs x16, x13") L("b.eq 3f") "2:\n" VECTORS FULL L("adds x16, x16, #16") L("b.ne 2b") \
    "3:\n" L("cbz x14, 4f") HALVES HALF "4:\n"

/* ---- sixteen outputs */
#define LANE1(lane) TAPS DOT16(16, 17, 18, 19, 0, lane)
#define LANE2(lane) LANE1(lane) DOT16(20, 21, 22, 23, 1, lane)
#define LANE3(lane) LANE2(lane) DOT16(24, 25, 26, 27, 2, lane)
#define LANE4(lane) LANE3(lane) DOT16(28, 29, 30, 31, 3, lane)
#define STORE16(a, b, c, d, x) MBN_SCALE16(a, b, c, d, 4, 5, 6, 7, 0) L("str q" #a ", [x" #x "], #16")
#define GROUPS16(BIAS, VECTORS, HALVES, LANE, STORES) \
    ENTER "1:\n" BIAS L("add x10, x10, #64") \
    ALL_TAPS(VECTORS, HALVES, LANE(0) LANE(1) LANE(2) LANE(3), LANE(0) LANE(1)) \
    L("ld1 {v4.4s-v7.4s}, [x11], #64") L("dup v0.8h, w15") STORES NEXT_GROUP

MBN_A64_FUNCTION(mbn_conv_block_1x16_arm_dotprod, GROUPS16(
    BIAS16(16, 19), LOADQ(0, 1), LOADD(0, 1), LANE1, STORE16(16, 17, 18, 19, 5)));
MBN_A64_FUNCTION(mbn_conv_block_2x16_arm_dotprod, GROUPS16(
    BIAS16(16, 19) BIAS16(20, 23), LOADQ(0, 1) LOADQ(1, 2), LOADD(0, 1) LOADD(1, 2), LANE2,
    STORE16(16, 17, 18, 19, 5) STORE16(20, 21, 22, 23, 6)));
MBN_A64_FUNCTION(mbn_conv_block_3x16_arm_dotprod, GROUPS16(
    BIAS16(16, 19) BIAS16(20, 23) BIAS16(24, 27), LOADQ(0, 1) LOADQ(1, 2) LOADQ(2, 3),
    LOADD(0, 1) LOADD(1, 2) LOADD(2, 3), LANE3,
    STORE16(16, 17, 18, 19, 5) STORE16(20, 21, 22, 23, 6) STORE16(24, 25, 26, 27, 7)));
MBN_A64_FUNCTION(mbn_conv_block_4x16_arm_dotprod, GROUPS16(
    BIAS16(16, 19) BIAS16(20, 23) BIAS16(24, 27) BIAS16(28, 31), LOADQ(0, 1) LOADQ(1, 2) LOADQ(2, 3) LOADQ(3, 4),
    LOADD(0, 1) LOADD(1, 2) LOADD(2, 3) LOADD(3, 4), LANE4,
    STORE16(16, 17, 18, 19, 5) STORE16(20, 21, 22, 23, 6) STORE16(24, 25, 26, 27, 7) STORE16(28, 29, 30, 31, 8)));

/* ---- eight outputs of four pixels: two lanes' weights at a time */
#define DOT8(a, b, in, lane, next) DOT(a, 4, in, lane) DOT(b, 5, in, lane) DOT(a, 6, in, next) DOT(b, 7, in, next)
#define TWO_LANES(lane, next) TAPS \
    DOT8(16, 17, 0, lane, next) DOT8(20, 21, 1, lane, next) DOT8(24, 25, 2, lane, next) DOT8(28, 29, 3, lane, next)
#define BIAS8(a, b) L("ld1 {v" #a ".4s, v" #b ".4s}, [x10]")
#define STORE8(a, b, x) \
    L("sqdmulh v" #a ".4s, v" #a ".4s, v4.4s") L("sqdmulh v" #b ".4s, v" #b ".4s, v5.4s") \
    L("sqrshrn v" #a ".4h, v" #a ".4s, #1") L("sqrshrn2 v" #a ".8h, v" #b ".4s, #1") \
    L("sqadd v" #a ".8h, v" #a ".8h, v0.8h") L("sqxtn v" #a ".8b, v" #a ".8h") L("str d" #a ", [x" #x "], #8")

MBN_A64_FUNCTION(mbn_conv_block_4x8_arm_dotprod,
    ENTER "1:\n" BIAS8(16, 17) BIAS8(20, 21) BIAS8(24, 25) BIAS8(28, 29) L("add x10, x10, #32")
    ALL_TAPS(LOADQ(0, 1) LOADQ(1, 2) LOADQ(2, 3) LOADQ(3, 4), LOADD(0, 1) LOADD(1, 2) LOADD(2, 3) LOADD(3, 4),
             TWO_LANES(0, 1) TWO_LANES(2, 3), TWO_LANES(0, 1))
    L("ld1 {v4.4s, v5.4s}, [x11], #32") L("dup v0.8h, w15")
    STORE8(16, 17, 5) STORE8(20, 21, 6) STORE8(24, 25, 7) STORE8(28, 29, 8) NEXT_GROUP);
/* clang-format on */
