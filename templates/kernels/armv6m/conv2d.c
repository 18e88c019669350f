/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+.
 *
 * Weights stay one byte. Four pixels advance together as words, 16 bytes an input; weights lie 16 bytes apart too, so one
 * pointer walks through both.
 */
#include "mbn_armv6m.h"

enum { PIXELS = MBN_CONV2D_PIXELS_ARMV6M, INTERLEAVE = 16 };

/* The windows of n pixels, interleaved; a missing pixel repeats the last one. */
static void pack(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                 int32_t *words)
{
    for (int32_t i = 0; i < PIXELS; i++) {
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *in = rows[r] + offset;
            const int8_t *end = in + p->row_bytes;
            while (end - in >= 4) {
                out[0] = in[0];
                out[PIXELS] = in[1];
                out[2 * PIXELS] = in[2];
                out[3 * PIXELS] = in[3];
                out += 4 * PIXELS;
                in += 4;
            }
            while (in != end) {
                *out = *in++;
                out += PIXELS;
            }
        }
        for (int32_t k = p->kernel_height * p->row_bytes; k < p->inputs; k++) {
            *out = 0;
            out += PIXELS;
        }
        if (i + 1 < n) {
            offset += p->step_bytes;
        }
    }
}

void mbn_conv2d_s8_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    int32_t *words = (int32_t *)scratch;
    int32_t offset = 0;
    while (count > 0) {
        const int32_t n = count < PIXELS ? count : PIXELS;
        pack(p, rows, offset, n, words);
        mbn_conv2d_frame_armv6m f;
        f.words = words;
        f.words_end = words + p->inputs * PIXELS;
        f.rounding = p->rounding;
        f.requantize = p->requantize;
        f.unused = 0;
        for (int32_t i = 0; i < PIXELS; i++) {
            f.place[i] = i < n ? i * p->pixel_stride : 0;
        }
        f.weights = p->weights;
        f.out = out;
        const int8_t *const end = out + p->outputs;
        while (f.out != end) {
            const int32_t some = end - f.out < INTERLEAVE ? (int32_t)(end - f.out) : INTERLEAVE;
            f.out_end = f.out + some;
            mbn_conv2d_channels_armv6m(&f);
            f.requantize += MBN_ARMV6M_WORDS * some;
            f.out += some;
            f.weights += p->inputs * INTERLEAVE;
        }
        offset += n * p->step_bytes;
        out += n * p->pixel_stride;
        count -= n;
    }
}
