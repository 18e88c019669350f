/* SPDX-License-Identifier: 0BSD */
/* What conv2d.c and conv2d_w4.c share: how a row is cut into pairs of pixels. */
#ifndef MBN_ARMV7M_ROW_H
#define MBN_ARMV7M_ROW_H

#include "mbn_armv7m.h"
#include "mbn_smlal.h"

/* The windows of pixels `offset` and `offset + step` bytes into the rows -> every pairs-th word of `out`. */
static inline void mbn_pack_pair_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset,
                                        int32_t step, uint32_t *out, int32_t pairs)
{
    for (int32_t r = 0; r < p->kernel_height; r++) {
        const uint8_t *even = (const uint8_t *)rows[r] + offset;
        const uint8_t *end = even + p->row_bytes;
        while (end - even >= 4) {
            out[0] = (uint32_t)even[step] << 24 | (even[0] ^ 0x80u);
            out[pairs] = (uint32_t)even[step + 1] << 24 | (even[1] ^ 0x80u);
            out[2 * pairs] = (uint32_t)even[step + 2] << 24 | (even[2] ^ 0x80u);
            out[3 * pairs] = (uint32_t)even[step + 3] << 24 | (even[3] ^ 0x80u);
            out += 4 * pairs;
            even += 4;
        }
        while (even != end) {
            *out = (uint32_t)even[step] << 24 | (*even ^ 0x80u);
            out += pairs;
            even++;
        }
    }
    for (int32_t k = p->kernel_height * p->row_bytes; k < p->inputs; k++) {
        *out = 0;
        out += pairs;
    }
}

enum { MBN_LANE_ARMV7M = 24 };

/* `last` is the place of the last odd pixel: its own, or that of its even neighbour if the row ends there; it is stored
 * first, so the even one overwrites it. */
#define MBN_BLOCK(pairs)                                                                                           \
    static inline void mbn_block##pairs##_armv7m(const mbn_conv2d_armv7m_params *p, const int32_t *a, int8_t *out, \
                                                 int32_t last, int is_w4)                                          \
    {                                                                                                              \
        const int32_t stride = p->pixel_stride;                                                                    \
        const int32_t *a_end = a + p->inputs * (pairs);                                                            \
        const int8_t *w = (const int8_t *)p->weights;                                                              \
        const int32_t *q = p->requantize;                                                                          \
        const int8_t *out_end = out + p->outputs;                                                                  \
        do {                                                                                                       \
            int64_t s[3] = {1 << (MBN_LANE_ARMV7M - 1), 1 << (MBN_LANE_ARMV7M - 1), 1 << (MBN_LANE_ARMV7M - 1)};   \
            if (is_w4) {                                                                                           \
                mbn_dot##pairs##_w4_armv7m(a, a_end, w, s);                                                        \
            } else {                                                                                               \
                mbn_dot##pairs##_armv7m(a, a_end, w, s);                                                           \
            }                                                                                                      \
            w += is_w4 ? p->inputs / 2 : p->inputs;                                                                \
            out[last] = mbn_requantize_armv7m((int32_t)(s[(pairs)-1] >> MBN_LANE_ARMV7M), q[0], q + 3);            \
            int8_t *o = out;                                                                                       \
            for (int32_t i = 0; i < (pairs); i++) {                                                                \
                o[0] = mbn_requantize_armv7m((int32_t)(s[i] & ((1 << MBN_LANE_ARMV7M) - 1)), q[0], q + 1);         \
                if (i < (pairs)-1) {                                                                               \
                    o[stride] = mbn_requantize_armv7m((int32_t)(s[i] >> MBN_LANE_ARMV7M), q[0], q + 3);            \
                    o += 2 * stride;                                                                               \
                }                                                                                                  \
            }                                                                                                      \
            q += 5;                                                                                                \
            out++;                                                                                                 \
        } while (out != out_end);                                                                                  \
    }
MBN_BLOCK(2)
MBN_BLOCK(1)
#undef MBN_BLOCK

/* The windows of n pixels (2 * pairs, or one less), interleaved by pairs. */
static inline void mbn_pack_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset,
                                   int32_t n, uint32_t *out, int32_t pairs)
{
    for (int32_t i = 0; i < pairs; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        mbn_pack_pair_armv7m(p, rows, offset, step, out + i, pairs);
        offset += 2 * p->step_bytes;
    }
}

static inline void mbn_conv2d_row_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch, int is_w4)
{
    uint32_t *a = (uint32_t *)scratch;
    int32_t offset = 0;
    while (count > 0) {
        /* 7 and 8 pixels go better as 4 + 4 than as 6 + 2 */
        const int32_t pixels = count > 8 || count == 6 || count == 5 ? 6 : count > 4 ? 4 : count;
        const int32_t n = pixels < count ? pixels : count;
        const int32_t last = (n - 1) * p->pixel_stride;
        const int32_t *words = (const int32_t *)scratch;
        if (n > 4) {
            mbn_pack_armv7m(p, rows, offset, n, a, 3);
            const mbn_conv2d_frame_armv7m f = {words, words + p->inputs * 3, out, p->pixel_stride,
                                               last,  out + p->outputs};
            if (is_w4) {
                mbn_conv2d_w4_block3_armv7m(&f, p->weights, p->requantize);
            } else {
                mbn_conv2d_block3_armv7m(&f, p->weights, p->requantize);
            }
        } else if (n > 2) {
            mbn_pack_armv7m(p, rows, offset, n, a, 2);
            mbn_block2_armv7m(p, words, out, last, is_w4);
        } else {
            mbn_pack_armv7m(p, rows, offset, n, a, 1);
            mbn_block1_armv7m(p, words, out, last, is_w4);
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}

#endif
