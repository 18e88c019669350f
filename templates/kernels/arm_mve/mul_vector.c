/* SPDX-License-Identifier: 0BSD */
/* mul on Helium: each pixel of rows[0] * the one of rows[1], two times four channels at once. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"

void mbn_mul_vector_s8_arm_mve(const mbn_mul_vector_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    const uint32x4_t even = vmulq_n_u32(vidupq_n_u32(0, 1), 2);
    const int32x4_t multiplier = vdupq_n_s32(p->multiplier);
    const int32_t channels = p->channels, zero_point_a = p->zero_point_a;
    const int16_t zero_point = (int16_t)p->zero_point;
    (void)scratch;
    /* Reads up to 7 bytes past a pixel; the store is masked. */
    for (int32_t c = 0; c < channels; c += 8) {
        const int8_t *in = rows[0] + c, *const factors = rows[1] + c;
        const int32x4_t b0 = vsubq_n_s32(vldrbq_gather_offset_s32(factors, even), p->zero_point_b);
        const int32x4_t b1 = vsubq_n_s32(vldrbq_gather_offset_s32(factors + 1, even), p->zero_point_b);
        const mve_pred16_t lanes = vctp16q((uint32_t)(channels - c));
        int8_t *to = out + c;
        for (int32_t left = count; left != 0; left--, in += channels, to += p->pixel_stride) {
            const int32x4_t a0 = vsubq_n_s32(vldrbq_gather_offset_s32(in, even), zero_point_a);
            const int32x4_t a1 = vsubq_n_s32(vldrbq_gather_offset_s32(in + 1, even), zero_point_a);
            const int32x4_t v0 = vrmulhq_s32(vmulq_s32(a0, b0), multiplier);
            const int32x4_t v1 = vrmulhq_s32(vmulq_s32(a1, b1), multiplier);
            const int16x8_t v = vqaddq_n_s16(vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), v0), v1), zero_point);
            const int8x16_t narrow = vqmovnbq_s16(vreinterpretq_s8_s16(v), v);
            vstrbq_p_s16(to, vreinterpretq_s16_s8(narrow), lanes);
        }
    }
}
