/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d whose input or output is int16, on Arm DSP cores: four channels of a pixel at once, any window. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

/* What makes an output of an accumulator; a copy of its own, which no store of an output can change. */
typedef struct {
    int32_t lift, zero_point, low, high, wide;
} ending;

MBN_TEMPLATE void put(const ending e, int8_t *out, int32_t i, int32_t acc, uint32_t multiplier)
{
    const int32_t lifted = (int32_t)((uint32_t)acc << e.lift);
    const int32_t value = mbn_smmlar(lifted, (int32_t)multiplier, e.zero_point);
    mbn_store(out, i, value < e.low ? e.low : value > e.high ? e.high : value, e.wide);
}

/* One tap of four channels. */
#define TAP(in)                                                                  \
    {                                                                            \
        const uint32_t wa = *w++, wb = *w++, word = mbn_load4(in);               \
        if (wide_in) {                                                           \
            const uint32_t next = mbn_load4((in) + 4);                           \
            acc0 = mbn_smlabb(word, wa, acc0);                                   \
            acc1 = mbn_smlatt(word, wa, acc1);                                   \
            acc2 = mbn_smlabb(next, wb, acc2);                                   \
            acc3 = mbn_smlatt(next, wb, acc3);                                   \
        } else {                                                                 \
            const uint32_t even = mbn_sxtb16(word), odd = mbn_sxtb16_ror8(word); \
            acc0 = mbn_smlabb(even, wa, acc0);                                   \
            acc1 = mbn_smlabb(odd, wb, acc1);                                    \
            acc2 = mbn_smlatt(even, wa, acc2);                                   \
            acc3 = mbn_smlatt(odd, wb, acc3);                                    \
        }                                                                        \
    }

/* All channels of a pixel; rows[ky] + first is its window's first value. */
MBN_TEMPLATE void make(const mbn_depthwise_s16_arm_dsp_params *p, const ending e, const int8_t *const *rows,
                       int32_t first, int8_t *out, int32_t wide_in)
{
    const int32_t channels = p->channels, size = wide_in ? 2 : 1, column = p->dilation * channels * size;
    const int32_t height = p->kernel_height, width = p->kernel_width;
    const int32_t is_three = height == 3 && width == 3;
    const uint32_t *w = p->weights;
    for (int32_t c = 0; c < channels; c += 4) {
        const int32_t at = first + c * size;
        int32_t acc0 = (int32_t)w[0], acc1 = (int32_t)w[1], acc2 = (int32_t)w[2], acc3 = (int32_t)w[3];
        w += 4;
        if (is_three) {
            const int8_t *in = rows[0] + at;
            TAP(in)
            TAP(in + column)
            TAP(in + 2 * column)
            in = rows[1] + at;
            TAP(in)
            TAP(in + column)
            TAP(in + 2 * column)
            in = rows[2] + at;
            TAP(in)
            TAP(in + column)
            TAP(in + 2 * column)
        } else {
            for (int32_t ky = 0; ky < height; ky++) {
                const int8_t *in = rows[ky] + at;
                for (int32_t kx = width; kx != 0; kx--) {
                    TAP(in)
                    in += column;
                }
            }
        }
        put(e, out, c, acc0, w[0]);
        if (c + 4 <= channels) {
            put(e, out, c + 1, acc1, w[1]);
            put(e, out, c + 2, acc2, w[2]);
            put(e, out, c + 3, acc3, w[3]);
        } else {
            if (c + 1 < channels) {
                put(e, out, c + 1, acc1, w[1]);
            }
            if (c + 2 < channels) {
                put(e, out, c + 2, acc2, w[2]);
            }
        }
        w += 4;
    }
}

void mbn_depthwise_conv2d_s16_arm_dsp(const mbn_depthwise_s16_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch)
{
    const int32_t step = p->stride * p->channels, pixel = p->channels * (p->wide_out ? 2 : 1);
    const ending wide = {p->lift, p->zero_point, p->low, p->high, 1};
    const ending narrow = {p->lift, p->zero_point, p->low, p->high, 0};
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        int8_t *const to = out + x * pixel;
        if (p->wide_in && p->wide_out) {
            make(p, wide, rows, 2 * x * step, to, 1);
        } else if (p->wide_in) {
            make(p, narrow, rows, 2 * x * step, to, 1);
        } else {
            make(p, wide, rows, x * step, to, 0);
        }
    }
}
