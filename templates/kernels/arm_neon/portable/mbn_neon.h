/* SPDX-License-Identifier: 0BSD */
/* In plain C the intrinsics of <arm_neon.h> that the kernels use, for tests on the host: a lane after the other. */
#ifndef MBN_NEON_H
#define MBN_NEON_H

#include <stdint.h>
#include <string.h>

/* clang-format off */
typedef struct { int8_t lane[8]; } int8x8_t;
typedef struct { int8_t lane[16]; } int8x16_t;
typedef struct { uint8_t lane[16]; } uint8x16_t;
typedef struct { int16_t lane[4]; } int16x4_t;
typedef struct { int16_t lane[8]; } int16x8_t;
typedef struct { int32_t lane[4]; } int32x4_t;
typedef struct { int8x16_t val[4]; } int8x16x4_t;
/* clang-format on */

#define MBN_LANES(type, lanes, value) \
    type r;                           \
    for (int i = 0; i < lanes; i++) { \
        r.lane[i] = value;            \
    }                                 \
    return r;

static inline int32_t mbn_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static inline int8_t mbn_to_s8(int32_t value)
{
    return (int8_t)mbn_clamp(value, -128, 127);
}

static inline int16_t mbn_to_s16(int32_t value)
{
    return (int16_t)mbn_clamp(value, -32768, 32767);
}

/* Wraps around, as lanes do. */
static inline int16_t mbn_wrap16(int32_t value)
{
    return (int16_t)(uint16_t)value;
}

static inline int32_t mbn_wrap32(int64_t value)
{
    return (int32_t)(uint32_t)value;
}

/* A sum times a multiplier in units of 2^-32, rounded: what SQDMULH and a rounding shift by one do. */
static inline int32_t mbn_doubled(int32_t sum, int32_t multiplier)
{
    return (int32_t)((((int64_t)sum * multiplier >> 31) + 1) >> 1);
}

static inline int8x8_t vld1_s8(const int8_t *from)
{
    int8x8_t r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline int8x16_t vld1q_s8(const int8_t *from)
{
    int8x16_t r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline int32x4_t vld1q_s32(const int32_t *from)
{
    int32x4_t r;
    memcpy(&r, from, sizeof r);
    return r;
}

static inline void vst1_s8(int8_t *to, int8x8_t v)
{
    memcpy(to, &v, sizeof v);
}

static inline void vst1q_s8(int8_t *to, int8x16_t v)
{
    memcpy(to, &v, sizeof v);
}

static inline void vst1q_s32(int32_t *to, int32x4_t v)
{
    memcpy(to, &v, sizeof v);
}

static inline int16x8_t vdupq_n_s16(int16_t v)
{
    MBN_LANES(int16x8_t, 8, v)
}

static inline int32x4_t vdupq_n_s32(int32_t v)
{
    MBN_LANES(int32x4_t, 4, v)
}

static inline uint8x16_t vdupq_n_u8(uint8_t v)
{
    MBN_LANES(uint8x16_t, 16, v)
}

static inline int8x8_t vget_low_s8(int8x16_t v)
{
    MBN_LANES(int8x8_t, 8, v.lane[i])
}

static inline int8x8_t vget_high_s8(int8x16_t v)
{
    MBN_LANES(int8x8_t, 8, v.lane[8 + i])
}

static inline int16x4_t vget_low_s16(int16x8_t v)
{
    MBN_LANES(int16x4_t, 4, v.lane[i])
}

static inline uint8x16_t vreinterpretq_u8_s8(int8x16_t v)
{
    uint8x16_t r;
    memcpy(&r, &v, sizeof r);
    return r;
}

static inline int32x4_t vaddw_s16(int32x4_t a, int16x4_t b)
{
    MBN_LANES(int32x4_t, 4, mbn_wrap32((int64_t)a.lane[i] + b.lane[i]))
}

static inline int32x4_t vaddw_high_s16(int32x4_t a, int16x8_t b)
{
    MBN_LANES(int32x4_t, 4, mbn_wrap32((int64_t)a.lane[i] + b.lane[4 + i]))
}

static inline int16x8_t vaddw_s8(int16x8_t a, int8x8_t b)
{
    MBN_LANES(int16x8_t, 8, mbn_wrap16(a.lane[i] + b.lane[i]))
}

static inline uint8x16_t vsubq_u8(uint8x16_t a, uint8x16_t b)
{
    MBN_LANES(uint8x16_t, 16, (uint8_t)(a.lane[i] - b.lane[i]))
}

static inline int16x8_t vmull_s8(int8x8_t a, int8x8_t b)
{
    MBN_LANES(int16x8_t, 8, (int16_t)(a.lane[i] * b.lane[i]))
}

static inline int16x8_t vmull_high_s8(int8x16_t a, int8x16_t b)
{
    MBN_LANES(int16x8_t, 8, (int16_t)(a.lane[8 + i] * b.lane[8 + i]))
}

static inline int16x8_t vmlal_s8(int16x8_t acc, int8x8_t a, int8x8_t b)
{
    MBN_LANES(int16x8_t, 8, mbn_wrap16(acc.lane[i] + a.lane[i] * b.lane[i]))
}

static inline int16x8_t vmlal_high_s8(int16x8_t acc, int8x16_t a, int8x16_t b)
{
    MBN_LANES(int16x8_t, 8, mbn_wrap16(acc.lane[i] + a.lane[8 + i] * b.lane[8 + i]))
}

static inline int32x4_t vmlaq_n_s32(int32x4_t acc, int32x4_t a, int32_t b)
{
    MBN_LANES(int32x4_t, 4, mbn_wrap32(acc.lane[i] + (int64_t)a.lane[i] * b))
}

static inline int16x8_t vmovl_s8(int8x8_t v)
{
    MBN_LANES(int16x8_t, 8, v.lane[i])
}

static inline int32x4_t vmovl_s16(int16x4_t v)
{
    MBN_LANES(int32x4_t, 4, v.lane[i])
}

static inline int32x4_t vmovl_high_s16(int16x8_t v)
{
    MBN_LANES(int32x4_t, 4, v.lane[4 + i])
}

static inline int16x4_t vqmovn_s32(int32x4_t v)
{
    MBN_LANES(int16x4_t, 4, mbn_to_s16(v.lane[i]))
}

static inline int16x8_t vqmovn_high_s32(int16x4_t low, int32x4_t v)
{
    MBN_LANES(int16x8_t, 8, i < 4 ? low.lane[i] : mbn_to_s16(v.lane[i - 4]))
}

static inline int8x8_t vqmovn_s16(int16x8_t v)
{
    MBN_LANES(int8x8_t, 8, mbn_to_s8(v.lane[i]))
}

static inline int8x16_t vqmovn_high_s16(int8x8_t low, int16x8_t v)
{
    MBN_LANES(int8x16_t, 16, i < 8 ? low.lane[i] : mbn_to_s8(v.lane[i - 8]))
}

/* The multiplier is not -2^31. */
static inline int32x4_t vqdmulhq_s32(int32x4_t a, int32x4_t b)
{
    MBN_LANES(int32x4_t, 4, (int32_t)((int64_t)a.lane[i] * b.lane[i] >> 31))
}

static inline int16x4_t vqrshrn_n_s32(int32x4_t v, int by)
{
    MBN_LANES(int16x4_t, 4, mbn_to_s16((int32_t)(((int64_t)v.lane[i] + (1 << (by - 1))) >> by)))
}

static inline int16x8_t vqrshrn_high_n_s32(int16x4_t low, int32x4_t v, int by)
{
    MBN_LANES(int16x8_t, 8,
              i < 4 ? low.lane[i] : mbn_to_s16((int32_t)(((int64_t)v.lane[i - 4] + (1 << (by - 1))) >> by)))
}

static inline int16x8_t vqaddq_s16(int16x8_t a, int16x8_t b)
{
    MBN_LANES(int16x8_t, 8, mbn_to_s16(a.lane[i] + b.lane[i]))
}

/* Shifts by negative numbers go right. */
static inline int32x4_t vshlq_s32(int32x4_t v, int32x4_t by)
{
    MBN_LANES(int32x4_t, 4, by.lane[i] < 0 ? v.lane[i] >> -by.lane[i] : v.lane[i] << by.lane[i])
}

/* What lies beyond the table: 0, or what there was. */
static inline int8x16_t vqtbl4q_s8(int8x16x4_t table, uint8x16_t index)
{
    MBN_LANES(int8x16_t, 16, index.lane[i] < 64 ? table.val[index.lane[i] / 16].lane[index.lane[i] % 16] : 0)
}

static inline int8x16_t vqtbx4q_s8(int8x16_t was, int8x16x4_t table, uint8x16_t index)
{
    MBN_LANES(int8x16_t, 16, index.lane[i] < 64 ? table.val[index.lane[i] / 16].lane[index.lane[i] % 16] : was.lane[i])
}

#undef MBN_LANES

#endif
