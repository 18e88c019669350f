/* SPDX-License-Identifier: 0BSD */
/* What conv2d_lanes.c and conv2d_lanes_w4.c share: how a row is cut into eight pixels and blocks of 16 outputs. */
#ifndef MBN_LANES_ROW_H
#define MBN_LANES_ROW_H

#include "mbn_armv6m.h"

enum { MBN_LANES_PIXELS_ARMV6M = 2 * MBN_LANES_PAIRS_ARMV6M, MBN_LANES_INTERLEAVE_ARMV6M = 16 };

/* The windows of n pixels, interleaved by pairs; a missing pixel repeats the last one. */
static inline void mbn_pack_lanes(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int32_t offset,
                                  int32_t n, int32_t *words)
{
    for (int32_t i = 0; i < MBN_LANES_PAIRS_ARMV6M; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *even = rows[r] + offset;
            const int8_t *odd = even + step;
            const int8_t *end = even + p->row_bytes;
            while (end - even >= 4) {
                out[0] = odd[0] * 65536 + even[0];
                out[MBN_LANES_PAIRS_ARMV6M] = odd[1] * 65536 + even[1];
                out[2 * MBN_LANES_PAIRS_ARMV6M] = odd[2] * 65536 + even[2];
                out[3 * MBN_LANES_PAIRS_ARMV6M] = odd[3] * 65536 + even[3];
                out += 4 * MBN_LANES_PAIRS_ARMV6M;
                even += 4;
                odd += 4;
            }
            while (even != end) {
                *out = *odd++ * 65536 + *even++;
                out += MBN_LANES_PAIRS_ARMV6M;
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

/* four_bits: two blocks in the halves of 16 bytes of weights an input. */
static inline void mbn_lanes_row(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch, int four_bits)
{
    int32_t *words = (int32_t *)scratch;
    int32_t *sums = words + p->inputs * MBN_LANES_PAIRS_ARMV6M;
    int32_t offset = 0;
    while (count > 0) {
        const int32_t n = count < MBN_LANES_PIXELS_ARMV6M ? count : MBN_LANES_PIXELS_ARMV6M;
        mbn_pack_lanes(p, rows, offset, n, words);
        mbn_lanes_frame_armv6m f;
        f.words = words;
        f.words_end = sums;
        f.sums = sums;
        f.rounding = p->rounding;
        f.requantize = p->requantize;
        f.unused = 0;
        for (int32_t i = 0; i < MBN_LANES_PIXELS_ARMV6M; i++) {
            f.place[i] = i < n ? i * p->pixel_stride : 0;
        }
        f.weights = p->weights;
        f.groups = p->groups;
        f.out = out;
        int upper = 0;
        const int8_t *const end = out + p->outputs;
        while (f.out != end) {
            const int32_t some =
                end - f.out < MBN_LANES_INTERLEAVE_ARMV6M ? (int32_t)(end - f.out) : MBN_LANES_INTERLEAVE_ARMV6M;
            f.out_end = f.out + some;
            if (!four_bits) {
                mbn_lanes_channels_armv6m(&f);
                f.weights += p->inputs * MBN_LANES_INTERLEAVE_ARMV6M;
            } else if (upper) {
                mbn_lanes_upper_channels_armv6m(&f);
                f.weights += p->inputs * MBN_LANES_INTERLEAVE_ARMV6M;
            } else {
                mbn_lanes_lower_channels_armv6m(&f);
            }
            upper = !upper;
            f.requantize += MBN_ARMV6M_WORDS * some;
            f.out += some;
            f.groups += p->most_groups * MBN_LANES_INTERLEAVE_ARMV6M;
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}

#endif
