/* SPDX-License-Identifier: 0BSD */
/* 3x3 depthwise_conv2d whose input or output is int16, on Arm DSP cores: groups of four channels in assembly, what is left of them here. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

/* The last one to three channels of a pixel, from channel `whole` on; w: the constants of their group. */
static void make_rest(const mbn_depthwise_3x3_s16_arm_dsp_params *p, const mbn_depthwise_s16_pixel *b, int32_t whole,
                      const uint32_t *w)
{
    const int32_t size = p->wide_in ? 2 : 1;
    for (int32_t i = 0; whole + i < p->channels; i++) {
        /* Of int8 inputs weights lie 0 2 1 3. */
        const int8_t *taps = (const int8_t *)(w + 4) + 2 * (p->wide_in ? i : (i & 1) * 2 + i / 2);
        int32_t acc = (int32_t)w[i];
        for (int32_t tap = 0; tap < 9; tap++) {
            const int8_t *const in = b->rows[tap / 3] + tap % 3 * b->column + whole * size;
            int16_t weight;
            memcpy(&weight, taps, sizeof weight);
            acc += mbn_load(in, i, p->wide_in) * weight;
            taps += 8;
        }
        acc = mbn_smmlar((int32_t)((uint32_t)acc << p->lift), (int32_t)w[22 + i], p->zero_point);
        mbn_store(b->out, whole + i, acc < p->low ? p->low : acc > p->high ? p->high : acc, p->wide_out);
    }
}

void mbn_depthwise_conv2d_3x3_s16_arm_dsp(const mbn_depthwise_3x3_s16_arm_dsp_params *p, const int8_t *const *rows,
                                          int8_t *out, int32_t count, void *scratch)
{
    const int32_t whole = p->channels & ~3;
    const int32_t size = p->wide_in ? 2 : 1, step = p->stride * p->channels * size;
    const mbn_depthwise_s16_parts_arm_dsp *const parts = p->parts;
    const mbn_depthwise_s16_pixel_arm_dsp pixel = !p->wide_in   ? parts->narrow_to_wide
                                                  : p->wide_out ? parts->wide_to_wide
                                                                : parts->wide_to_narrow;
    mbn_depthwise_s16_pixel b;
    (void)scratch;
    b.rows[0] = rows[0];
    b.rows[1] = rows[1];
    b.rows[2] = rows[2];
    b.lift = p->lift;
    b.zero_point = p->zero_point;
    b.low = mbn_low_halves((uint32_t)p->low, (uint32_t)p->low);
    b.high = mbn_low_halves((uint32_t)p->high, (uint32_t)p->high);
    b.out = out;
    b.column = p->dilation * p->channels * size;
    b.weights = p->weights;
    b.weights_end = p->weights + (whole >> 2) * (4 + 2 * 9 + 4);
    for (; count > 0; count--) {
        pixel(&b);
        if (whole != p->channels) {
            make_rest(p, &b, whole, b.weights_end);
        }
        b.rows[0] += step;
        b.rows[1] += step;
        b.rows[2] += step;
        b.out += p->channels * (p->wide_out ? 2 : 1);
    }
}
