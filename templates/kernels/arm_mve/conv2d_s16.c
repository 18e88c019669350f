/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected whose input or output is int16, on Helium: four pixels times two output channels, eight taps at
 * once.
 *
 * VMLADAVA sums eight products of int16 into 32 bits, which no sum leaves: that is proved from the weights. Weights are bytes, which
 * VLDRB widens; so are int8 inputs. A window of more than a pixel is copied to the scratch first. Up to seven values behind a pixel
 * are read, whose weights are zero. */
#include <arm_mve.h>
#include <string.h>

#include "mbn_arm_mve.h"
#include "mbn_math.h"

typedef mbn_conv2d_s16_arm_mve_params params;

MBN_TEMPLATE int16x8_t load(const int8_t *x, int32_t k, int32_t wide)
{
    return wide ? vldrhq_s16((const int16_t *)(const void *)x + k) : vldrbq_s16(x + k);
}

MBN_TEMPLATE int32x4_t four(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return vsetq_lane_s32(d, vsetq_lane_s32(c, vsetq_lane_s32(b, vdupq_n_s32(a), 1), 2), 3);
}

/* What makes outputs of sums; a copy of its own, which no store of an output can change. */
typedef struct {
    int32_t lift, zero_point;
    int32x4_t low, high;
    uint32x4_t offsets; /* of the pixels */
    mve_pred16_t mask;
} ending;

/* The sums of one channel for four pixels as outputs. */
MBN_TEMPLATE void put(const ending e, int32x4_t acc, int32_t multiplier, int8_t *out, int32_t wide_out)
{
    const int32x4_t scaled = vrmulhq_s32(vshlq_r_s32(acc, e.lift), vdupq_n_s32(multiplier));
    const int32x4_t v = vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, e.zero_point), e.low), e.high);
    if (wide_out) {
        vstrhq_scatter_offset_p_s32((int16_t *)(void *)out, e.offsets, v, e.mask);
    } else {
        vstrbq_scatter_offset_p_s32(out, e.offsets, v, e.mask);
    }
}

/* Four pixels, or one four times; x: where their windows begin. */
MBN_TEMPLATE void make(const params *p, const int8_t *const *x, int8_t *out, const ending e, int32_t pixels,
                       int32_t wide_in, int32_t wide_out)
{
    const int32_t taps = p->taps, outputs = p->out_channels;
    const int8_t *const x0 = x[0], *const x1 = x[1], *const x2 = x[2], *const x3 = x[3];
    const int8_t *w = (const int8_t *)p->weights;
    for (int32_t o = 0; o < outputs; o += 2) {
        int32_t ends[2];
        memcpy(ends, w, sizeof ends);
        w += 8;
        int32_t e0 = ends[0], e1 = e0, e2 = e0, e3 = e0, o0 = ends[1], o1 = o0, o2 = o0, o3 = o0;
        for (int32_t k = 0; k < taps; k += 8) {
            const int16x8_t even = vldrbq_s16(w), odd = vldrbq_s16(w + 8);
            w += 16;
            int16x8_t v = load(x0, k, wide_in);
            e0 = vmladavaq_s16(e0, v, even);
            o0 = vmladavaq_s16(o0, v, odd);
            if (pixels > 1) {
                v = load(x1, k, wide_in);
                e1 = vmladavaq_s16(e1, v, even);
                o1 = vmladavaq_s16(o1, v, odd);
                v = load(x2, k, wide_in);
                e2 = vmladavaq_s16(e2, v, even);
                o2 = vmladavaq_s16(o2, v, odd);
                v = load(x3, k, wide_in);
                e3 = vmladavaq_s16(e3, v, even);
                o3 = vmladavaq_s16(o3, v, odd);
            }
        }
        memcpy(ends, w, sizeof ends);
        w += 8;
        put(e, four(e0, e1, e2, e3), ends[0], out, wide_out);
        if (o + 1 < outputs) {
            put(e, four(o0, o1, o2, o3), ends[1], out + (wide_out ? 2 : 1), wide_out);
        }
        out += wide_out ? 4 : 2;
    }
}

MBN_TEMPLATE void make_some(const params *p, const int8_t *const *x, int8_t *out, int32_t pixels, int32_t wide_in,
                            int32_t wide_out)
{
    const ending e = {p->lift,
                      p->zero_point,
                      vdupq_n_s32(p->low),
                      vdupq_n_s32(p->high),
                      vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)(p->out_channels * (wide_out ? 2 : 1))),
                      vctp32q((uint32_t)pixels)};
    if (pixels == 1) {
        make(p, x, out, e, 1, wide_in, wide_out);
    } else {
        make(p, x, out, e, 4, wide_in, wide_out);
    }
}

void mbn_conv2d_s16_arm_mve(const params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const int32_t size = p->wide_in ? 2 : 1, step = p->step * size, row_bytes = p->row_values * size;
    const int32_t pixel = p->out_channels * (p->wide_out ? 2 : 1), window = p->kernel_height * row_bytes;
    int8_t *const columns = (int8_t *)scratch;
    for (int32_t done = 0; done < count; done += 4) {
        const int32_t pixels = count - done < 4 ? count - done : 4;
        const int8_t *x[4];
        for (int32_t i = 0; i < 4; i++) {
            const int32_t at = i < pixels ? i : pixels - 1;
            if (p->is_direct) {
                x[i] = rows[0] + (done + at) * step;
                continue;
            }
            x[i] = columns + at * window;
            if (i < pixels) {
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    memcpy(columns + at * window + ky * row_bytes, rows[ky] + (done + at) * step, (size_t)row_bytes);
                }
            }
        }
        int8_t *const to = out + done * pixel;
        if (p->wide_in && p->wide_out) {
            make_some(p, x, to, pixels, 1, 1);
        } else if (p->wide_in) {
            make_some(p, x, to, pixels, 1, 0);
        } else {
            make_some(p, x, to, pixels, 0, 1);
        }
    }
}
