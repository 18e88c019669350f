/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d whose input or output is int16, on Helium: eight channels of a pixel at once, any window.
 *
 * VMULLB and VMULLT make 32-bit products of even and odd channels. Up to seven values behind a pixel are read and not stored. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"
#include "mbn_math.h"

typedef mbn_depthwise_s16_arm_mve_params params;

/* What makes outputs of sums; a copy of its own, which no store of an output can change. */
typedef struct {
    int32_t lift, zero_point, low, high;
} ending;

MBN_TEMPLATE int32x4_t finish(const ending e, int32x4_t acc, int32x4_t multipliers)
{
    const int32x4_t v = vaddq_n_s32(vrmulhq_s32(vshlq_r_s32(acc, e.lift), multipliers), e.zero_point);
    return vminq_s32(vmaxq_s32(v, vdupq_n_s32(e.low)), vdupq_n_s32(e.high));
}

MBN_TEMPLATE void make(const params *p, const int8_t *const *rows, int32_t first, int8_t *out, int32_t wide_in,
                       int32_t wide_out)
{
    const int32_t channels = p->channels, size = wide_in ? 2 : 1, column = p->dilation * channels * size;
    const int32_t height = p->kernel_height, width = p->kernel_width;
    const ending e = {p->lift, p->zero_point, p->low, p->high};
    const int8_t *w = (const int8_t *)p->weights;
    for (int32_t c = 0; c < channels; c += 8) {
        const int32_t at = first + c * size;
        int32x4_t even = vldrwq_s32((const int32_t *)(const void *)w);
        int32x4_t odd = vldrwq_s32((const int32_t *)(const void *)(w + 16));
        w += 32;
        for (int32_t ky = 0; ky < height; ky++) {
            const int8_t *in = rows[ky] + at;
            for (int32_t kx = width; kx != 0; kx--) {
                const int16x8_t x = wide_in ? vldrhq_s16((const int16_t *)(const void *)in) : vldrbq_s16(in);
                const int16x8_t taps = vldrbq_s16(w);
                even = vaddq_s32(even, vmullbq_int_s16(x, taps));
                odd = vaddq_s32(odd, vmulltq_int_s16(x, taps));
                in += column;
                w += 8;
            }
        }
        even = finish(e, even, vldrwq_s32((const int32_t *)(const void *)w));
        odd = finish(e, odd, vldrwq_s32((const int32_t *)(const void *)(w + 16)));
        w += 32;
        const int16x8_t both = vmovntq_s32(vmovnbq_s32(vdupq_n_s16(0), even), odd);
        const mve_pred16_t mask = vctp16q((uint32_t)(channels - c));
        if (wide_out) {
            vstrhq_p_s16((int16_t *)(void *)out + c, both, mask);
        } else {
            vstrbq_p_s16(out + c, both, mask);
        }
    }
}

void mbn_depthwise_conv2d_s16_arm_mve(const params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                      void *scratch)
{
    const int32_t step = p->stride * p->channels, pixel = p->channels * (p->wide_out ? 2 : 1);
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        int8_t *const to = out + x * pixel;
        if (p->wide_in && p->wide_out) {
            make(p, rows, 2 * x * step, to, 1, 1);
        } else if (p->wide_in) {
            make(p, rows, 2 * x * step, to, 1, 0);
        } else {
            make(p, rows, x * step, to, 0, 1);
        }
    }
}
