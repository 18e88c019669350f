/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor on Helium, summed row by row as the rows come. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"

void mbn_global_average_pool_s8_arm_mve(const mbn_pool_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch)
{
    const int32_t channels = p->channels;
    int32_t *sums = (int32_t *)scratch;
    (void)out;
    for (int32_t c = 0; c < channels; c += 8) {
        const mve_pred16_t lanes = vctp16q((uint32_t)(channels - c));
        const int8_t *in = rows[0] + c;
        int16x8_t s = vdupq_n_s16(0); /* a row has at most 255 pixels */
        int16_t part[8];
        for (int32_t i = 0; i < count; i++, in += channels) {
            s = vaddq_s16(s, vldrbq_z_s16(in, lanes));
        }
        vst1q_s16(part, s);
        for (int32_t k = 0; k < 8 && c + k < channels; k += 4) {
            const mve_pred16_t quad = vctp32q((uint32_t)(channels - c - k));
            vst1q_p_s32(sums + c + k, vaddq_s32(vld1q_z_s32(sums + c + k, quad), vldrhq_s32(part + k)), quad);
        }
    }
}

void mbn_global_average_pool_s8_arm_mve_finish(const mbn_pool_arm_mve_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    const int32x4_t multiplier = vdupq_n_s32(p->multiplier);
    for (int32_t c = 0; c < p->channels; c += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)(p->channels - c));
        int32x4_t v = vaddq_n_s32(vld1q_z_s32(sums + c, lanes), p->bias);
        v = vaddq_n_s32(vrmulhq_s32(v, multiplier), p->zero_point);
        v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(-128)), vdupq_n_s32(127));
        vstrbq_p_s32(out + c, v, lanes);
    }
}
