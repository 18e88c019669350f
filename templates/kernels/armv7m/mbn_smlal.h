/* SPDX-License-Identifier: 0BSD */
/* The 64-bit multiply-accumulate of Armv7-M. portable/mbn_smlal.h has the same in plain C. */
#ifndef MBN_SMLAL_H
#define MBN_SMLAL_H

#include <stdint.h>

/* The high word of v * M + R, saturated: one SMLAL and one SSAT. q: M, R low word first. */
static inline int8_t mbn_requantize_armv7m(int32_t v, int32_t multiplier, const int32_t *r)
{
    int32_t low = r[0], high = r[1];
    __asm__("smlal %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(v), "r"(multiplier));
    __asm__("ssat %0, #8, %0" : "+r"(high));
    return (int8_t)high;
}

/* clang-format off */
/* acc += sum over k of pairs[k][i] * w[k]; inputs is a multiple of 8. */
#define MBN_STEP2                                                                     \
    "ldmia %[a]!, {r4, r5}\n\tldrsb %[t], [%[w]], #1\n\t"                         \
    "smlal %Q[s0], %R[s0], r4, %[t]\n\tsmlal %Q[s1], %R[s1], r5, %[t]\n\t"
#define MBN_STEP1 "ldr r4, [%[a]], #4\n\tldrsb %[t], [%[w]], #1\n\tsmlal %Q[s0], %R[s0], r4, %[t]\n\t"
#define MBN_EIGHT(x) x x x x x x x x

static inline void mbn_dot2_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    int64_t s0 = s[0], s1 = s[1];
    int32_t t;
    __asm__ volatile("1:\n\t" MBN_EIGHT(MBN_STEP2) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [t] "=&r"(t)
                     : [end] "r"(end)
                     : "r4", "r5", "cc", "memory");
    s[0] = s0, s[1] = s1;
}

static inline void mbn_dot1_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    int64_t s0 = s[0];
    int32_t t;
    __asm__ volatile("1:\n\t" MBN_EIGHT(MBN_STEP1) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [t] "=&r"(t)
                     : [end] "r"(end)
                     : "r4", "cc", "memory");
    s[0] = s0;
}

/* The same for weights of four bits, eight to a word. */
#define MBN_EIGHT_HALVES(step) "ldr %[word], [%[w]], #4\n\t" step("0") step("4") step("8") step("12") step("16") step("20") step("24") step("28")
#define MBN_W4_STEP2(at)                                                              \
    "ldmia %[a]!, {r4, r5}\n\tsbfx %[t], %[word], #" at ", #4\n\t"                   \
    "smlal %Q[s0], %R[s0], r4, %[t]\n\tsmlal %Q[s1], %R[s1], r5, %[t]\n\t"
#define MBN_W4_STEP1(at) "ldr r4, [%[a]], #4\n\tsbfx %[t], %[word], #" at ", #4\n\tsmlal %Q[s0], %R[s0], r4, %[t]\n\t"

static inline void mbn_dot2_w4_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    int64_t s0 = s[0], s1 = s[1];
    int32_t t, word;
    __asm__ volatile("1:\n\t" MBN_EIGHT_HALVES(MBN_W4_STEP2) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [t] "=&r"(t), [word] "=&r"(word)
                     : [end] "r"(end)
                     : "r4", "r5", "cc", "memory");
    s[0] = s0, s[1] = s1;
}

static inline void mbn_dot1_w4_armv7m(const int32_t *a, const int32_t *end, const void *w, int64_t s[3])
{
    int64_t s0 = s[0];
    int32_t t, word;
    __asm__ volatile("1:\n\t" MBN_EIGHT_HALVES(MBN_W4_STEP1) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [t] "=&r"(t), [word] "=&r"(word)
                     : [end] "r"(end)
                     : "r4", "cc", "memory");
    s[0] = s0;
}
/* clang-format on */

#undef MBN_STEP1
#undef MBN_STEP2
#undef MBN_EIGHT
#undef MBN_W4_STEP1
#undef MBN_W4_STEP2
#undef MBN_EIGHT_HALVES

#endif
