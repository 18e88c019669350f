/* SPDX-License-Identifier: 0BSD */
/* add on Arm DSP cores: rows[0] + rows[1]. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

void mbn_add_s8_arm_dsp(const mbn_add_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                        void *scratch)
{
    const int32_t ma = p->multiplier_a, mb = p->multiplier_b, offset = p->offset, shift = p->shift;
    const int8_t *a = rows[0], *b = rows[1];
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t values = is_dense ? count * p->channels : p->channels;
    (void)scratch;
    for (int32_t pixels = is_dense ? 1 : count; pixels > 0; pixels--) {
        int8_t *const whole = out + (values & ~3), *const end = out + values;
        for (; out != whole; out += 4, a += 4, b += 4) {
            const uint32_t wa = mbn_load4(a), wb = mbn_load4(b);
            const uint32_t a02 = mbn_sxtb16(wa), a13 = mbn_sxtb16_ror8(wa);
            const uint32_t b02 = mbn_sxtb16(wb), b13 = mbn_sxtb16_ror8(wb);
            const int32_t v0 = mbn_smlawb(mb, b02, mbn_smlawb(ma, a02, offset)) >> shift;
            const int32_t v1 = mbn_smlawb(mb, b13, mbn_smlawb(ma, a13, offset)) >> shift;
            const int32_t v2 = mbn_smlawt(mb, b02, mbn_smlawt(ma, a02, offset)) >> shift;
            const int32_t v3 = mbn_smlawt(mb, b13, mbn_smlawt(ma, a13, offset)) >> shift;
            mbn_store4(out, mbn_pack4(mbn_ssat8(v0), mbn_ssat8(v1), mbn_ssat8(v2), mbn_ssat8(v3)));
        }
        for (; out != end; out++, a++, b++) {
            *out = (int8_t)mbn_ssat8(mbn_smlawb(mb, (uint32_t)*b, mbn_smlawb(ma, (uint32_t)*a, offset)) >> shift);
        }
        out += p->pixel_stride - p->channels;
    }
}
