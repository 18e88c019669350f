/* SPDX-License-Identifier: 0BSD */
/* What conv2d.c and conv2d_w4.c share: how a row is cut into pairs of pixels. */
#ifndef MBN_RV32IM_ROW_H
#define MBN_RV32IM_ROW_H

#include "mbn_rv32im.h"

static inline void mbn_conv2d_block_rv32im(mbn_conv2d_frame_rv32im *f, int32_t pairs, int is_w4)
{
    if (pairs == 3) {
        is_w4 ? mbn_conv2d_w4_block3_rv32im(f) : mbn_conv2d_block3_rv32im(f);
    } else if (pairs == 2) {
        is_w4 ? mbn_conv2d_w4_block2_rv32im(f) : mbn_conv2d_block2_rv32im(f);
    } else {
        is_w4 ? mbn_conv2d_w4_block1_rv32im(f) : mbn_conv2d_block1_rv32im(f);
    }
}

/* The windows of n pixels (2 * pairs, or one less), interleaved by pairs. */
static inline void mbn_pack_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int32_t offset,
                                   int32_t n, int32_t *words, int32_t pairs)
{
    for (int32_t i = 0; i < pairs; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *even = rows[r] + offset;
            const int8_t *odd = even + step;
            const int8_t *end = even + p->row_bytes;
            while (end - even >= 4) {
                out[0] = odd[0] * 65536 + even[0];
                out[pairs] = odd[1] * 65536 + even[1];
                out[2 * pairs] = odd[2] * 65536 + even[2];
                out[3 * pairs] = odd[3] * 65536 + even[3];
                out += 4 * pairs;
                even += 4;
                odd += 4;
            }
            while (even != end) {
                *out = *odd++ * 65536 + *even++;
                out += pairs;
            }
        }
        offset += 2 * p->step_bytes;
    }
}

static inline void mbn_conv2d_row_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch, int is_w4)
{
    int32_t *words = (int32_t *)scratch;
    int32_t offset = 0;
    while (count > 0) {
        /* 7 and 8 pixels go better as 4 + 4 than as 6 + 2 */
        const int32_t pixels = count > 8 || count == 6 || count == 5 ? 6 : 4;
        const int32_t n = pixels < count ? pixels : count;
        const int32_t last = (n - 1) * p->pixel_stride;
        const int32_t pairs = (n + 1) / 2;
        mbn_conv2d_frame_rv32im f = {words,
                                     words + p->inputs * pairs,
                                     p->requantize,
                                     out,
                                     out + (p->outputs & ~1),
                                     p->pixel_stride,
                                     1,
                                     last,
                                     p->weights,
                                     p->groups};
        if (pairs == 3) {
            mbn_pack_rv32im(p, rows, offset, n, words, 3);
        } else if (pairs == 2) {
            mbn_pack_rv32im(p, rows, offset, n, words, 2);
        } else {
            mbn_pack_rv32im(p, rows, offset, n, words, 1);
        }
        if (f.out != f.out_end) {
            mbn_conv2d_block_rv32im(&f, pairs, is_w4);
        }
        if (p->outputs & 1) {
            f.second = 0;
            f.out_end = f.out + 1;
            mbn_conv2d_block_rv32im(&f, pairs, is_w4);
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}

#endif
