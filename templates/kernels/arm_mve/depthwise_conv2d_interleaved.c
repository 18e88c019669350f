/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d of any window and dilation on Helium, from interleaved rows to interleaved ones: 16 channels at once.
 *
 * As in depthwise_interleaved_core.c products of two taps of a row fit 16 bits together, and sums lie in four vectors. Rows are read
 * in whole vectors, up to 15 bytes past the last channel, and those bytes are not stored. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"
#include "mbn_math.h"

typedef mbn_depthwise_any_arm_mve_params params;

/* Sums of channels 0 4 8 12, 2 6 10 14, 1 5 9 13 and 3 7 11 15. */
#define ADD(even, odd)                     \
    s0 = vaddq_s32(s0, vmovlbq_s16(even)); \
    s1 = vaddq_s32(s1, vmovltq_s16(even)); \
    s2 = vaddq_s32(s2, vmovlbq_s16(odd));  \
    s3 = vaddq_s32(s3, vmovltq_s16(odd));

MBN_TEMPLATE int32x4_t scaled(int32x4_t acc, const int32_t *multipliers)
{
    return vrmulhq_s32(acc, vldrwq_s32(multipliers));
}

void mbn_depthwise_conv2d_interleaved_s8_arm_mve(const params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                                 void *scratch)
{
    const int32_t channels = p->channels, height = p->kernel_height, width = p->kernel_width;
    const int32_t column = p->column_bytes, step = p->stride * channels, zero_point = p->zero_point;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t *constants = p->weights;
        for (int32_t c = 0; c < channels; c += 16) {
            int32x4_t s0 = vldrwq_s32(constants), s1 = vldrwq_s32(constants + 4);
            int32x4_t s2 = vldrwq_s32(constants + 8), s3 = vldrwq_s32(constants + 12);
            const int8_t *w = (const int8_t *)(constants + 16);
            for (int32_t ky = 0; ky < height; ky++) {
                const int8_t *in = rows[ky] + x * step + c;
                for (int32_t pairs = width >> 1; pairs != 0; pairs--) {
                    int8x16_t a = vldrbq_s8(in), b = vldrbq_s8(w);
                    int16x8_t even = vmullbq_int_s8(a, b), odd = vmulltq_int_s8(a, b);
                    in += column;
                    a = vldrbq_s8(in);
                    b = vldrbq_s8(w + 16);
                    even = vaddq_s16(even, vmullbq_int_s8(a, b));
                    odd = vaddq_s16(odd, vmulltq_int_s8(a, b));
                    ADD(even, odd)
                    in += column;
                    w += 32;
                }
                if ((width & 1) != 0) {
                    const int8x16_t a = vldrbq_s8(in), b = vldrbq_s8(w);
                    const int16x8_t even = vmullbq_int_s8(a, b), odd = vmulltq_int_s8(a, b);
                    ADD(even, odd)
                    w += 16;
                }
            }
            constants = (const int32_t *)(const void *)w;
            int16x8_t even =
                vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), scaled(s0, constants)), scaled(s1, constants + 4));
            int16x8_t odd =
                vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), scaled(s2, constants + 8)), scaled(s3, constants + 12));
            even = vqaddq_n_s16(even, (int16_t)zero_point);
            odd = vqaddq_n_s16(odd, (int16_t)zero_point);
            constants += 16;
            const int8x16_t values = vqmovntq_s16(vqmovnbq_s16(vdupq_n_s8(0), even), odd);
            vstrbq_p_s8(out + c, values, vctp8q((uint32_t)(channels - c)));
        }
        out += p->pixel_stride;
    }
}
