/* SPDX-License-Identifier: 0BSD */
/* add with Advanced SIMD: rows[0] + rows[1]. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

void mbn_add_s8_arm_neon(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t pixels = is_dense ? 1 : count, values = is_dense ? count * p->channels : p->channels;
    const int32x4_t offset = vdupq_n_s32(p->offset), shift = vdupq_n_s32(-p->shift);
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < values; i += 16) {
            const int8x16_t va = vld1q_s8(a + i), vb = vld1q_s8(b + i);
            int16x8_t eights[2];
            MBN_IN_REGISTERS for (int half = 0; half < 2; half++)
            {
                const int16x8_t wa = vmovl_s8(half == 0 ? vget_low_s8(va) : vget_high_s8(va));
                const int16x8_t wb = vmovl_s8(half == 0 ? vget_low_s8(vb) : vget_high_s8(vb));
                int32x4_t low = vmlaq_n_s32(offset, vmovl_s16(vget_low_s16(wa)), p->multiplier_a);
                int32x4_t high = vmlaq_n_s32(offset, vmovl_high_s16(wa), p->multiplier_a);
                low = vmlaq_n_s32(low, vmovl_s16(vget_low_s16(wb)), p->multiplier_b);
                high = vmlaq_n_s32(high, vmovl_high_s16(wb), p->multiplier_b);
                eights[half] = vqmovn_high_s32(vqmovn_s32(vshlq_s32(low, shift)), vshlq_s32(high, shift));
            }
            mbn_store_first(out + i, vqmovn_high_s16(vqmovn_s16(eights[0]), eights[1]), values - i);
        }
        a += values;
        b += values;
        out += p->pixel_stride;
    }
}
