/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor on Arm DSP cores, summed row by row as the rows come. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

void mbn_global_average_pool_s8_arm_dsp(const mbn_pool_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                        int32_t count, void *scratch)
{
    const int32_t channels = p->channels;
    int32_t *sums = (int32_t *)scratch;
    int32_t c = 0;
    (void)out;
    for (; c + 4 <= channels; c += 4) {
        const int8_t *in = rows[0] + c;
        uint32_t s02 = 0, s13 = 0; /* two int16 each; a row has at most 255 pixels */
        for (int32_t i = count; i != 0; i--) {
            const uint32_t word = mbn_load4(in);
            s02 = mbn_sxtab16(s02, word);
            s13 = mbn_sxtab16_ror8(s13, word);
            in += channels;
        }
        sums[c] += (int16_t)(uint16_t)s02;
        sums[c + 1] += (int16_t)(uint16_t)s13;
        sums[c + 2] += (int16_t)(uint16_t)(s02 >> 16);
        sums[c + 3] += (int16_t)(uint16_t)(s13 >> 16);
    }
    for (; c < channels; c++) {
        for (int32_t i = 0; i < count; i++) {
            sums[c] += rows[0][i * channels + c];
        }
    }
}

void mbn_global_average_pool_s8_arm_dsp_finish(const mbn_pool_arm_dsp_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = (int8_t)mbn_ssat8(mbn_smmlar(sums[c] + p->bias, p->multiplier, p->zero_point));
    }
}
