/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected whose input or output is int16, on Arm DSP cores: two pixels times two output channels.
 *
 * Inputs are pairs of int16 as they lie in memory, in windows gathered into the scratch where they do not; a word of
 * weights holds those of four taps, 0 2 1 3, so that two SXTB16 make the pairs 0 1 and 2 3. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

/* The window of output pixel x as int16, zeros behind it up to a multiple of four taps. */
static void gather(const mbn_conv2d_s16_arm_dsp_params *p, const int8_t *const *rows, int32_t x, int16_t *to)
{
    int16_t *const end = to + p->taps;
    const int32_t values = p->row_values;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        if (p->wide_in) {
            memcpy(to, rows[ky] + 2 * x * p->step, (size_t)(2 * values));
            to += values;
            continue;
        }
        const int8_t *in = rows[ky] + x * p->step;
        int32_t left = values;
        for (; left >= 4; left -= 4) {
            const uint32_t word = mbn_load4(in), even = mbn_sxtb16(word), odd = mbn_sxtb16_ror8(word);
            mbn_store4((int8_t *)to, mbn_low_halves(even, odd));
            mbn_store4((int8_t *)(to + 2), mbn_high_halves(even, odd));
            in += 4;
            to += 4;
        }
        for (; left > 0; left--) {
            *to++ = *in++;
        }
    }
    while (to != end) {
        *to++ = 0;
    }
}

/* What makes an output of an accumulator; a copy of its own, which no store of an output can change. */
typedef struct {
    int32_t lift, shift, rounding, low, high, wide;
} ending;

MBN_TEMPLATE void put(const ending e, int8_t *out, int32_t i, int32_t acc, uint32_t multiplier)
{
    const int32_t lifted = (int32_t)((uint32_t)acc << e.lift);
    const int32_t value = mbn_smmla(lifted, (int32_t)multiplier, e.rounding) >> e.shift;
    mbn_store(out, i, value < e.low ? e.low : value > e.high ? e.high : value, e.wide);
}

/* All outputs of two pixels, whose windows start at a and b; b may be a. */
MBN_TEMPLATE void make(const mbn_conv2d_s16_arm_dsp_params *p, const ending e, const int8_t *a, const int8_t *b,
                       int8_t *out_a, int8_t *out_b)
{
    const int32_t outputs = p->out_channels, bytes = 2 * p->taps;
    mbn_two_by_two s;
    s.w = p->weights;
    for (int32_t o = 0; o < outputs; o += 2) {
        const int8_t *const end = a + bytes;
        s.even_a = s.even_b = (int32_t)s.w[0];
        s.odd_a = s.odd_b = (int32_t)s.w[1];
        s.a = a;
        s.b = b;
        s.w += 2;
        if (bytes & 8) {
            mbn_four_taps(&s);
        }
        while (s.a != end) {
            mbn_four_taps(&s);
            mbn_four_taps(&s);
        }
        put(e, out_a, o, s.even_a, s.w[0]);
        put(e, out_b, o, s.even_b, s.w[0]);
        if (o + 1 < outputs) {
            put(e, out_a, o + 1, s.odd_a, s.w[1]);
            put(e, out_b, o + 1, s.odd_b, s.w[1]);
        }
        s.w += 2;
    }
}

void mbn_conv2d_s16_arm_dsp(const mbn_conv2d_s16_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                            int32_t count, void *scratch)
{
    const int32_t pixel = p->out_channels * (p->wide_out ? 2 : 1);
    int16_t *const windows = (int16_t *)scratch;
    const ending wide = {p->lift, p->shift, p->rounding, p->low, p->high, 1};
    const ending narrow = {p->lift, p->shift, p->rounding, p->low, p->high, 0};
    for (int32_t x = 0; x < count; x += 2) {
        const int32_t second = x + 1 < count ? x + 1 : x;
        const int8_t *a, *b;
        if (p->is_direct) {
            a = rows[0] + 2 * x * p->step;
            b = rows[0] + 2 * second * p->step;
        } else {
            gather(p, rows, x, windows);
            gather(p, rows, second, windows + p->taps);
            a = (const int8_t *)windows;
            b = (const int8_t *)(windows + p->taps);
        }
        if (p->wide_out) {
            make(p, wide, a, b, out + x * pixel, out + second * pixel);
        } else {
            make(p, narrow, a, b, out + x * pixel, out + second * pixel);
        }
    }
}
