/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M3.
 *
 * Two pixels share one multiply. Activations x0, x1 of two pixels stand in one word, (x1 << 24) + (x0 + 128); SMLAL adds
 * word * w to a 64-bit accumulator whose low 24 bits hold the sum of the even pixel, the rest that of the odd pixel.
 * mbn2c proved 255 * sum(w > 0) < 2^23 and 255 * sum(w < 0) > -2^23 per channel, so the low lane starting at 2^23
 * never leaves 24 bits and needs no split. Offsets (128 * sum(w), 2^23, bias) are folded into R.
 */
#include "mbn_armv7m.h"
#include "mbn_smlal.h"

/* The windows of pixels `offset` and `offset + step` bytes into the rows -> every pairs-th word of `out`. */
static inline void pack_pair(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset, int32_t step,
                             uint32_t *out, int32_t pairs)
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

enum { LANE = 24 };

/* `last` is the place of the last odd pixel: its own, or that of its even neighbour if the row ends there; it is stored
 * first, so the even one overwrites it. */
#define BLOCK(pairs)                                                                                                \
    static inline void block##pairs(const mbn_conv2d_armv7m_params *p, const int32_t *a, int8_t *out, int32_t last) \
    {                                                                                                               \
        const int32_t stride = p->pixel_stride;                                                                     \
        const int32_t *a_end = a + p->inputs * (pairs);                                                             \
        const int8_t *w = p->weights;                                                                               \
        const int32_t *q = p->requantize;                                                                           \
        const int8_t *out_end = out + p->outputs;                                                                   \
        do {                                                                                                        \
            int64_t s[3] = {1 << (LANE - 1), 1 << (LANE - 1), 1 << (LANE - 1)};                                     \
            mbn_dot##pairs##_armv7m(a, a_end, w, s);                                                                \
            w += p->inputs;                                                                                         \
            out[last] = mbn_requantize_armv7m((int32_t)(s[(pairs)-1] >> LANE), q[0], q + 3);                        \
            int8_t *o = out;                                                                                        \
            for (int32_t i = 0; i < (pairs); i++) {                                                                 \
                o[0] = mbn_requantize_armv7m((int32_t)(s[i] & ((1 << LANE) - 1)), q[0], q + 1);                     \
                if (i < (pairs)-1) {                                                                                \
                    o[stride] = mbn_requantize_armv7m((int32_t)(s[i] >> LANE), q[0], q + 3);                        \
                    o += 2 * stride;                                                                                \
                }                                                                                                   \
            }                                                                                                       \
            q += 5;                                                                                                 \
            out++;                                                                                                  \
        } while (out != out_end);                                                                                   \
    }
BLOCK(2)
BLOCK(1)

/* The windows of n pixels (2 * pairs, or one less), interleaved by pairs. */
static inline void pack(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                        uint32_t *out, int32_t pairs)
{
    for (int32_t i = 0; i < pairs; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        pack_pair(p, rows, offset, step, out + i, pairs);
        offset += 2 * p->step_bytes;
    }
}

void mbn_conv2d_s8_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
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
            pack(p, rows, offset, n, a, 3);
            const mbn_conv2d_frame_armv7m f = {words, words + p->inputs * 3, out, p->pixel_stride,
                                               last,  out + p->outputs};
            mbn_conv2d_block3_armv7m(&f, p->weights, p->requantize);
        } else if (n > 2) {
            pack(p, rows, offset, n, a, 2);
            block2(p, words, out, last);
        } else {
            pack(p, rows, offset, n, a, 1);
            block1(p, words, out, last);
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}
