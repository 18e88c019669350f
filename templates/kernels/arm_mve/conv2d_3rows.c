/* SPDX-License-Identifier: 0BSD */
/* conv2d with three short kernel rows (the first layer) on Helium: each window is copied to one or more whole vectors, row
 * behind row, then the convolution core runs. */
#include "mbn_arm_mve.h"
#include "mbn_mve.h"

void mbn_conv2d_3rows_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch)
{
    const mbn_conv_parts_arm_mve *parts = p->parts;
    const int planar = p->out_stride > 0;
    const int32_t out_channels = p->out_channels, row_bytes = p->row_bytes, step = p->step;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t vectors = (p->taps + 15) >> 4, column = 16 * vectors;
    const int8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2];
    int8_t *x = (int8_t *)scratch;
    uint16_t offsets[9];
    mbn_conv_block_mve b;
    for (int i = 0; i < 4; i++) {
        offsets[i] = (uint16_t)(i * pixel);
        offsets[4 + i] = (uint16_t)(i * pixel + channel);
    }
    b.x0 = x;
    b.zero_point = p->zero_point;
    b.x1 = x + column;
    b.advance = 2 * channel;
    b.x2 = x + 2 * column;
    b.weights_end = p->weights + (out_channels >> 1) * (12 + 8 * vectors);
    b.x3 = x + 3 * column;
    b.passes = 1;
    b.skip = -vectors & 3;
    b.weights = p->weights;
    b.offsets = offsets;
    while (count > 0) {
        const int32_t pixels = count == 5 || count == 6 ? 3 : count >= 4 ? 4 : count;
        const uint32_t lanes = 0xffu >> (8 - 2 * pixels);
        int8_t *to = x;
        offsets[8] = (uint16_t)(lanes | lanes << 8);
        for (int32_t i = 0; i < pixels; i++) {
            /* Whole vectors; what is too much is overwritten by the next, or meets weight zero. */
            mbn_copy16(to, r0);
            mbn_copy16(to + row_bytes, r1);
            mbn_copy16(to + 2 * row_bytes, r2);
            r0 += step;
            r1 += step;
            r2 += step;
            to += column;
        }
        b.out = out;
        (vectors == 1 && pixels >= 3 ? parts->short_blocks[pixels - 3] : parts->blocks[pixels - 1])(&b);
        out += pixels * pixel;
        count -= pixels;
    }
}
