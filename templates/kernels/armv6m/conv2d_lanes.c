/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+, the fast form.
 *
 * Two pixels share one multiply: word = (x1 << 16) + x0, and S = sum(word * w) = 2^16 * H + L holds both sums as long as
 * L and H fit 16 bits. The compiler cuts the inputs of every output channel into groups of 2 to 12 where that holds for
 * any activation. The S of every group is stored; then high = sum of (S + 2^15) >> 16 (exactly H: ASRS leaves bit 15 in
 * the carry, ADCS adds it) and all = sum of S give L = all - (high << 16), exact in 32 bits.
 *
 * Four words (8 pixels) advance together, 16 bytes an input; weights and group lengths lie 16 bytes apart too, so one
 * pointer walks through words and weights, another through sums and group lengths.
 */
#include "mbn_armv6m.h"

enum { PAIRS = MBN_LANES_PAIRS_ARMV6M, PIXELS = 2 * PAIRS, INTERLEAVE = 16 };

/* The windows of n pixels, interleaved by pairs; a missing pixel repeats the last one. */
static void pack(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                 int32_t *words)
{
    for (int32_t i = 0; i < PAIRS; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *even = rows[r] + offset;
            const int8_t *odd = even + step;
            const int8_t *end = even + p->row_bytes;
            while (end - even >= 4) {
                out[0] = odd[0] * 65536 + even[0];
                out[PAIRS] = odd[1] * 65536 + even[1];
                out[2 * PAIRS] = odd[2] * 65536 + even[2];
                out[3 * PAIRS] = odd[3] * 65536 + even[3];
                out += 4 * PAIRS;
                even += 4;
                odd += 4;
            }
            while (even != end) {
                *out = *odd++ * 65536 + *even++;
                out += PAIRS;
            }
        }
        if (p->inputs != p->kernel_height * p->row_bytes) {
            *out = 0;
        }
        offset += step;
        if (2 * i + 2 < n) {
            offset += p->step_bytes;
        }
    }
}

void mbn_conv2d_lanes_s8_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch)
{
    int32_t *words = (int32_t *)scratch;
    int32_t *sums = words + p->inputs * PAIRS;
    int32_t offset = 0;
    while (count > 0) {
        const int32_t n = count < PIXELS ? count : PIXELS;
        pack(p, rows, offset, n, words);
        mbn_lanes_frame_armv6m f;
        f.words = words;
        f.words_end = sums;
        f.sums = sums;
        f.rounding = p->rounding;
        f.requantize = p->requantize;
        f.unused = 0;
        for (int32_t i = 0; i < PIXELS; i++) {
            f.place[i] = i < n ? i * p->pixel_stride : 0;
        }
        f.weights = p->weights;
        f.groups = p->groups;
        f.out = out;
        const int8_t *const end = out + p->outputs;
        while (f.out != end) {
            const int32_t some = end - f.out < INTERLEAVE ? (int32_t)(end - f.out) : INTERLEAVE;
            f.out_end = f.out + some;
            mbn_lanes_channels_armv6m(&f);
            f.requantize += MBN_ARMV6M_WORDS * some;
            f.out += some;
            f.weights += p->inputs * INTERLEAVE;
            f.groups += p->most_groups * INTERLEAVE;
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}
