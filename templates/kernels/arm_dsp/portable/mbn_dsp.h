/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../mbn_dsp.h does with Arm DSP instructions, for tests on the host. */
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

static inline int32_t mbn_low16(uint32_t w)
{
    return (int16_t)(uint16_t)w;
}

static inline int32_t mbn_high16(uint32_t w)
{
    return (int16_t)(uint16_t)(w >> 16);
}

static inline uint32_t mbn_pair16(int32_t low, int32_t high)
{
    return (uint32_t)(uint16_t)low | (uint32_t)(uint16_t)high << 16;
}

static inline uint32_t mbn_sxtb16(uint32_t w)
{
    return mbn_pair16((int8_t)(uint8_t)w, (int8_t)(uint8_t)(w >> 16));
}

static inline uint32_t mbn_sxtb16_ror8(uint32_t w)
{
    return mbn_sxtb16(w >> 8);
}

static inline uint32_t mbn_sxtab16(uint32_t a, uint32_t w)
{
    const uint32_t x = mbn_sxtb16(w);
    return mbn_pair16(mbn_low16(a) + mbn_low16(x), mbn_high16(a) + mbn_high16(x));
}

static inline uint32_t mbn_sxtab16_ror8(uint32_t a, uint32_t w)
{
    return mbn_sxtab16(a, w >> 8);
}

/* Accumulation wraps, as on the device. */
static inline int32_t mbn_wrap_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t mbn_usada8(uint32_t a, uint32_t b, int32_t acc)
{
    for (int32_t i = 0; i < 32; i += 8) {
        const int32_t difference = (int32_t)(a >> i & 255u) - (int32_t)(b >> i & 255u);
        acc += difference < 0 ? -difference : difference;
    }
    return acc;
}

static inline int32_t mbn_smlad(uint32_t a, uint32_t b, int32_t c)
{
    return mbn_wrap_add(mbn_high16(a) * mbn_high16(b), mbn_wrap_add(mbn_low16(a) * mbn_low16(b), c));
}

static inline int32_t mbn_smlabb(uint32_t a, uint32_t b, int32_t c)
{
    return mbn_wrap_add(mbn_low16(a) * mbn_low16(b), c);
}

static inline int32_t mbn_smlatt(uint32_t a, uint32_t b, int32_t c)
{
    return mbn_wrap_add(mbn_high16(a) * mbn_high16(b), c);
}

static inline uint32_t mbn_low_halves(uint32_t low, uint32_t high)
{
    return mbn_pair16(mbn_low16(low), mbn_low16(high));
}

static inline uint32_t mbn_high_halves(uint32_t low, uint32_t high)
{
    return mbn_pair16(mbn_high16(low), mbn_high16(high));
}

static inline int32_t mbn_smlawb(int32_t m, uint32_t x, int32_t acc)
{
    return mbn_wrap_add((int32_t)(((int64_t)m * mbn_low16(x)) >> 16), acc);
}

static inline int32_t mbn_smlawt(int32_t m, uint32_t x, int32_t acc)
{
    return mbn_smlawb(m, x >> 16, acc);
}

static inline int32_t mbn_smmlar(int32_t a, int32_t b, int32_t c)
{
    const uint64_t sum = ((uint64_t)(uint32_t)c << 32) + (uint64_t)((int64_t)a * b) + UINT64_C(0x80000000);
    return (int32_t)(uint32_t)(sum >> 32);
}

static inline int32_t mbn_ssat8(int32_t v)
{
    return v < -128 ? -128 : v > 127 ? 127 : v;
}

static inline uint32_t mbn_high16s(int32_t low, int32_t high)
{
    return mbn_pair16(low >> 16, high >> 16);
}

static inline uint32_t mbn_ssat8x2(uint32_t pair)
{
    return mbn_pair16(mbn_ssat8(mbn_low16(pair)), mbn_ssat8(mbn_high16(pair)));
}

static inline uint32_t mbn_bytes4(uint32_t even, uint32_t odd)
{
    return (even & 0x00ff00ffu) | ((odd & 0x00ff00ffu) << 8);
}

static inline uint32_t mbn_pack4(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return (uint32_t)(uint8_t)a | (uint32_t)(uint8_t)b << 8 | (uint32_t)(uint8_t)c << 16 | (uint32_t)(uint8_t)d << 24;
}

/* The larger of each pair of signed bytes. */
static inline uint32_t mbn_max4(uint32_t a, uint32_t b)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 8) {
        const int8_t x = (int8_t)(uint8_t)(a >> i), y = (int8_t)(uint8_t)(b >> i);
        r |= (uint32_t)(uint8_t)(x > y ? x : y) << i;
    }
    return r;
}

static inline void mbn_store4(int8_t *p, uint32_t w)
{
    memcpy(p, &w, sizeof w);
}

#endif
