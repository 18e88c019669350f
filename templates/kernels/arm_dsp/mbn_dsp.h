/* SPDX-License-Identifier: 0BSD */
/* The few Arm DSP instructions that the kernels use. portable/mbn_dsp.h has the same in plain C. */
#ifndef MBN_DSP_H
#define MBN_DSP_H

#include <stdint.h>
#include <string.h>

/* Any four bytes as a word, first byte lowest; compiles to one load. */
static inline uint32_t mbn_load4(const int8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Two halfwords, sign-extended from bytes 0 and 2; _ror8: from bytes 1 and 3. */
static inline uint32_t mbn_sxtb16(uint32_t w)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(w));
    return r;
}

static inline uint32_t mbn_sxtb16_ror8(uint32_t w)
{
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(w));
    return r;
}

/* The same, added to the halfwords of `a`. */
static inline uint32_t mbn_sxtab16(uint32_t a, uint32_t w)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(a), "r"(w));
    return r;
}

static inline uint32_t mbn_sxtab16_ror8(uint32_t a, uint32_t w)
{
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(a), "r"(w));
    return r;
}

/* acc + the products of the halves */
static inline int32_t mbn_smlad(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

/* acc + the absolute differences of the bytes of two words */
static inline int32_t mbn_usada8(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm__("usada8 %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

/* acc + the product of the low halves; _tt: of the high halves */
static inline int32_t mbn_smlabb(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

static inline int32_t mbn_smlatt(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

/* The low (high) halves of two words as a pair, that of `low` in its low half. */
static inline uint32_t mbn_low_halves(uint32_t low, uint32_t high)
{
    uint32_t r;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(low), "r"(high));
    return r;
}

static inline uint32_t mbn_high_halves(uint32_t low, uint32_t high)
{
    uint32_t r;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(high), "r"(low));
    return r;
}

/* acc + (m * low half of x >> 16); _t: high half. */
static inline int32_t mbn_smlawb(int32_t m, uint32_t x, int32_t acc)
{
    int32_t r;
    __asm__("smlawb %0, %1, %2, %3" : "=r"(r) : "r"(m), "r"(x), "r"(acc));
    return r;
}

static inline int32_t mbn_smlawt(int32_t m, uint32_t x, int32_t acc)
{
    int32_t r;
    __asm__("smlawt %0, %1, %2, %3" : "=r"(r) : "r"(m), "r"(x), "r"(acc));
    return r;
}

/* (a * b + (c << 32) + 2^31) >> 32 */
static inline int32_t mbn_smmlar(int32_t a, int32_t b, int32_t c)
{
    int32_t r;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}

static inline int32_t mbn_ssat8(int32_t v)
{
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(v));
    return r;
}

/* The high halves of two words as a pair, that of `low` in its low half. */
static inline uint32_t mbn_high16s(int32_t low, int32_t high)
{
    uint32_t r;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(high), "r"(low));
    return r;
}

/* Both halves saturated to int8. */
static inline uint32_t mbn_ssat8x2(uint32_t pair)
{
    uint32_t r;
    __asm__("ssat16 %0, #8, %1" : "=r"(r) : "r"(pair));
    return r;
}

/* The low bytes of two pairs as a word: halves of `even` in bytes 0 and 2, of `odd` in bytes 1 and 3. */
static inline uint32_t mbn_bytes4(uint32_t even, uint32_t odd)
{
    uint32_t low, high;
    __asm__("uxtb16 %0, %1" : "=r"(low) : "r"(even));
    __asm__("uxtb16 %0, %1" : "=r"(high) : "r"(odd));
    return low | high << 8;
}

/* Four values, low bytes, as a word. */
static inline uint32_t mbn_pack4(int32_t a, int32_t b, int32_t c, int32_t d)
{
    uint32_t w;
    __asm__("bfi %0, %2, #8, #8" : "=r"(a) : "0"(a), "r"(b));
    __asm__("bfi %0, %2, #8, #8" : "=r"(c) : "0"(c), "r"(d));
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(w) : "r"(a), "r"(c));
    return w;
}

/* The larger of each pair of signed bytes. */
static inline uint32_t mbn_max4(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}

static inline void mbn_store4(int8_t *p, uint32_t w)
{
    memcpy(p, &w, sizeof w);
}

#endif
