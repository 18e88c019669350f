/* SPDX-License-Identifier: 0BSD */
/* add with AVX2: rows[0] + rows[1]. */
#include "mbn_avx2_math.h"
#include "mbn_x86_avx2.h"

/* Eight sums. */
MBN_TEMPLATE MBN_AVX2 __m256i sums(const mbn_add_params *p, const int8_t *a, const int8_t *b, __m128i shift)
{
    const __m256i of_a = _mm256_mullo_epi32(mbn_load8_wide(a), _mm256_set1_epi32(p->multiplier_a));
    const __m256i of_b = _mm256_mullo_epi32(mbn_load8_wide(b), _mm256_set1_epi32(p->multiplier_b));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(of_a, of_b), _mm256_set1_epi32(p->offset));
    return _mm256_sra_epi32(sum, shift);
}

MBN_AVX2 void mbn_add_s8_x86_avx2(const mbn_add_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                  void *scratch)
{
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t pixels = is_dense ? 1 : count, values = is_dense ? count * p->channels : p->channels;
    const __m128i shift = _mm_cvtsi32_si128(p->shift);
    const int8_t *a = rows[0], *b = rows[1];
    (void)scratch;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < values; i += 16) {
            const __m256i both = _mm256_packs_epi32(sums(p, a + i, b + i, shift), sums(p, a + i + 8, b + i + 8, shift));
            mbn_store_first(out + i, mbn_narrowed(_mm256_permute4x64_epi64(both, 0xd8)), values - i);
        }
        a += values;
        b += values;
        out += p->pixel_stride;
    }
}
