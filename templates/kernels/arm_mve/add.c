/* SPDX-License-Identifier: 0BSD */
/* add on Helium: rows[0] + rows[1], two times four values at once. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"

void mbn_add_s8_arm_mve(const mbn_add_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch)
{
    const uint32x4_t even = vmulq_n_u32(vidupq_n_u32(0, 1), 2);
    const int32x4_t ma = vdupq_n_s32(p->multiplier_a);
    const int32_t mb = p->multiplier_b, offset = p->offset, shift = -p->shift;
    const int8_t *a = rows[0], *b = rows[1];
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t values = is_dense ? count * p->channels : p->channels;
    (void)scratch;
    for (int32_t pixels = is_dense ? 1 : count; pixels > 0; pixels--) {
        /* Reads up to 7 bytes past the rows; the store is masked. */
        for (int32_t at = 0; at < values; at += 8) {
            int32x4_t v0 = vmlasq_n_s32(vldrbq_gather_offset_s32(a + at, even), ma, offset);
            int32x4_t v1 = vmlasq_n_s32(vldrbq_gather_offset_s32(a + at + 1, even), ma, offset);
            v0 = vmlaq_n_s32(v0, vldrbq_gather_offset_s32(b + at, even), mb);
            v1 = vmlaq_n_s32(v1, vldrbq_gather_offset_s32(b + at + 1, even), mb);
            v0 = vshlq_r_s32(v0, shift);
            v1 = vshlq_r_s32(v1, shift);
            const int16x8_t v = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), v0), v1);
            const int8x16_t narrow = vqmovnbq_s16(vreinterpretq_s8_s16(v), v);
            vstrbq_p_s16(out + at, vreinterpretq_s16_s8(narrow), vctp16q((uint32_t)(values - at)));
        }
        a += values;
        b += values;
        out += p->pixel_stride;
    }
}
