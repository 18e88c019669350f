/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor with Advanced SIMD, summed row by row as the rows come. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

void mbn_global_average_pool_s8_arm_neon(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch)
{
    const int32_t channels = p->channels;
    int32_t *sums = (int32_t *)scratch;
    int32_t c = 0;
    (void)out;
    for (; c + 8 <= channels; c += 8) {
        const int8_t *in = rows[0] + c;
        int16x8_t row = vdupq_n_s16(0);
        for (int32_t x = 0; x < count; x++, in += channels) {
            row = vaddw_s8(row, vld1_s8(in));
        }
        vst1q_s32(sums + c, vaddw_s16(vld1q_s32(sums + c), vget_low_s16(row)));
        vst1q_s32(sums + c + 4, vaddw_high_s16(vld1q_s32(sums + c + 4), row));
    }
    for (; c < channels; c++) {
        for (int32_t x = 0; x < count; x++) {
            sums[c] += rows[0][x * channels + c];
        }
    }
}

void mbn_global_average_pool_s8_arm_neon_finish(const mbn_pool_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = mbn_requantize(sums[c] + p->bias, p->multiplier, p->shift, p->zero_point);
    }
}
