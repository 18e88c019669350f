/* SPDX-License-Identifier: 0BSD */
/* add with AVX-512: rows[0] + rows[1]. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

MBN_AVX512 void mbn_add_s8_x86_avx512_vnni(const mbn_add_params *p, const int8_t *const *rows, int8_t *out,
                                           int32_t count, void *scratch)
{
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t pixels = is_dense ? 1 : count, values = is_dense ? count * p->channels : p->channels;
    const __m512i of_a = _mm512_set1_epi32(p->multiplier_a), of_b = _mm512_set1_epi32(p->multiplier_b);
    const __m512i offset = _mm512_set1_epi32(p->offset);
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < values; i += 16) {
            const __mmask16 mask = mbn_first16(values - i);
            const __m512i va = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, a + i));
            const __m512i vb = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, b + i));
            const __m512i sum = _mm512_add_epi32(_mm512_mullo_epi32(va, of_a), _mm512_mullo_epi32(vb, of_b));
            const __m512i value = _mm512_srai_epi32(_mm512_add_epi32(sum, offset), (unsigned)p->shift);
            _mm512_mask_cvtsepi32_storeu_epi8(out + i, mask, value);
        }
        a += values;
        b += values;
        out += p->pixel_stride;
    }
}
