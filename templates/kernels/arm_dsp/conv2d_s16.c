/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected whose input or output is int16, on Arm DSP cores.
 *
 * Inputs become pairs of int16 [pair of taps][pixel] in the scratch: int8 ones as in conv2d_1x1.c, int16 ones as they lie in memory. A
 * window of more than a pixel is copied behind them first. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"
#include "mbn_math.h"

typedef mbn_conv2d_s16_arm_dsp_params params;

/* Few bytes, mostly: a call of memcpy would take longer. */
MBN_TEMPLATE void copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    for (; bytes >= 4; bytes -= 4) {
        mbn_store4(to, mbn_load4(from));
        to += 4;
        from += 4;
    }
    if ((bytes & 2) != 0) {
        memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if ((bytes & 1) != 0) {
        *to = *from;
    }
}

/* The windows of some pixels from output pixel x on, each in `taps` values, of which the last are zeros already. */
static void gather(const params *p, const int8_t *const *rows, int32_t x, int32_t pixels, int32_t size, int8_t *to)
{
    const int32_t row_bytes = p->row_values * size;
    for (int32_t i = 0; i < pixels; i++) {
        int8_t *at = to + i * p->taps * size;
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            copy(at, rows[ky] + (x + i) * p->step * size, row_bytes);
            at += row_bytes;
        }
    }
}

/* `pairs` words of each pixel. */
MBN_TEMPLATE void deal(const int8_t *in, int32_t in_bytes, int32_t pairs, uint32_t *x, int32_t pixels)
{
    const int8_t *const b = in + in_bytes, *const c = b + in_bytes, *const d = c + in_bytes;
    for (int32_t at = 0; at < 4 * pairs; at += 4) {
        *x++ = mbn_load4(in + at);
        if (pixels > 1) {
            *x++ = mbn_load4(b + at);
        }
        if (pixels > 2) {
            *x++ = mbn_load4(c + at);
        }
        if (pixels > 3) {
            *x++ = mbn_load4(d + at);
        }
    }
}

/* int16 values of each pixel, filled up with zeros to a multiple of four. */
static void pair_up(const int8_t *in, int32_t in_bytes, int32_t values, int32_t pixels, uint32_t *x)
{
    const int32_t pairs = values >> 1;
    switch (pixels) {
    case 1:
        deal(in, in_bytes, pairs, x, 1);
        break;
    case 2:
        deal(in, in_bytes, pairs, x, 2);
        break;
    case 3:
        deal(in, in_bytes, pairs, x, 3);
        break;
    default:
        deal(in, in_bytes, pairs, x, 4);
        break;
    }
    if ((values & 3) != 0) {
        x += pairs * pixels;
        for (int32_t i = 0; i < (((values + 3) >> 2) * 2 - pairs) * pixels; i++) {
            x[i] = 0;
        }
        if ((values & 1) != 0) {
            for (int32_t i = 0; i < pixels; i++) {
                memcpy(&x[i], in + i * in_bytes + 4 * pairs, 2);
            }
        }
    }
}

/* The last output channel, if it has no partner; its own has weights of zero. */
static void make_last(const params *p, const mbn_conv_s16_block *b, const uint32_t *w, int32_t pixels)
{
    const int32_t pairs = p->taps >> 1, last = p->out_channels - 1;
    for (int32_t i = 0; i < pixels; i++) {
        int32_t acc = (int32_t)w[0];
        for (int32_t k = 0; k < pairs; k++) {
            acc = mbn_smlad(mbn_sxtb16(w[2 + k]), b->x[k * pixels + i], acc);
        }
        acc = mbn_smmlar((int32_t)((uint32_t)acc << p->lift), (int32_t)w[2 + pairs], p->zero_point);
        mbn_store(b->out + i * b->out_stride, last, acc < p->low ? p->low : acc > p->high ? p->high : acc, p->wide_out);
    }
}

void mbn_conv2d_s16_arm_dsp(const params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const mbn_conv_s16_parts_arm_dsp *const parts = p->parts;
    const int32_t taps = p->taps, groups = taps >> 2, size = p->wide_in ? 2 : 1;
    const int32_t values = p->kernel_height * p->row_values, step = p->step * size;
    uint32_t *const x = (uint32_t *)scratch;
    int8_t *const columns = (int8_t *)(x + 2 * taps);
    const uint32_t *const last = p->weights + (p->out_channels >> 1) * (2 * groups + 4);
    mbn_conv_s16_block b;
    b.lift = p->lift;
    b.zero_point = p->zero_point;
    b.low = mbn_low_halves((uint32_t)p->low, (uint32_t)p->low);
    b.high = mbn_low_halves((uint32_t)p->high, (uint32_t)p->high);
    b.out_stride = p->out_channels * (p->wide_out ? 2 : 1);
    b.x = x;
    b.weights = p->weights;
    b.weights_end = last;
    b.skip = groups == 1 ? 4 : (1 - groups) & 3;
    if (!p->is_direct) {
        memset(columns, 0, (size_t)(4 * taps * size));
    }
    for (int32_t done = 0; done < count;) {
        const int32_t pixels = mbn_next_pixels(count - done, groups);
        const int8_t *in = rows[0] + done * step;
        int32_t in_bytes = step, ready = values;
        if (!p->is_direct) {
            gather(p, rows, done, pixels, size, columns);
            in = columns;
            in_bytes = taps * size;
            ready = taps;
        }
        if (p->wide_in) {
            pair_up(in, in_bytes, ready, pixels, x);
        } else {
            parts->widen[pixels - 1](in, in_bytes, x, in + taps);
        }
        b.out = out + done * b.out_stride;
        b.x_end = x + 2 * groups * pixels;
        if (p->weights != last) {
            (p->wide_out ? parts->wide : parts->narrow)[pixels - 1](&b);
        }
        if ((p->out_channels & 1) != 0) {
            b.out = out + done * b.out_stride;
            make_last(p, &b, last, pixels);
        }
        done += pixels;
    }
}
