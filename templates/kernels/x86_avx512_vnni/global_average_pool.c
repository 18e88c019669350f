/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor with AVX-512, summed row by row as the rows come. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

MBN_AVX512 void mbn_global_average_pool_s8_x86_avx512_vnni(const mbn_pool_params *p, const int8_t *const *rows,
                                                           int8_t *out, int32_t count, void *scratch)
{
    int32_t *sums = (int32_t *)scratch;
    (void)out;
    for (int32_t c = 0; c < p->channels; c += 16) {
        const __mmask16 mask = mbn_first16(p->channels - c);
        const int8_t *in = rows[0] + c;
        __m512i sum = _mm512_maskz_loadu_epi32(mask, sums + c);
        for (int32_t x = 0; x < count; x++, in += p->channels) {
            sum = _mm512_add_epi32(sum, _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, in)));
        }
        _mm512_mask_storeu_epi32(sums + c, mask, sum);
    }
}

void mbn_global_average_pool_s8_x86_avx512_vnni_finish(const mbn_pool_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = mbn_requantize(sums[c] + p->bias, p->multiplier, p->shift, p->zero_point);
    }
}
