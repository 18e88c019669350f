/* SPDX-License-Identifier: 0BSD */
/* The average over a whole tensor with AVX2, summed row by row as the rows come. */
#include "mbn_avx2_math.h"
#include "mbn_x86_avx2.h"

MBN_AVX2 void mbn_global_average_pool_s8_x86_avx2(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out,
                                                  int32_t count, void *scratch)
{
    int32_t *sums = (int32_t *)scratch;
    const int32_t whole = p->channels & ~7;
    (void)out;
    for (int32_t c = 0; c < whole; c += 8) {
        __m256i sum = mbn_load_sums(sums + c);
        for (int32_t x = 0; x < count; x++) {
            sum = _mm256_add_epi32(sum, mbn_load8_wide(rows[0] + x * p->channels + c));
        }
        _mm256_storeu_si256((__m256i *)(void *)(sums + c), sum);
    }
    for (int32_t c = whole; c < p->channels; c++) {
        for (int32_t x = 0; x < count; x++) {
            sums[c] += rows[0][x * p->channels + c];
        }
    }
}

void mbn_global_average_pool_s8_x86_avx2_finish(const mbn_pool_params *p, int8_t *out, const void *scratch)
{
    const int32_t *sums = (const int32_t *)scratch;
    for (int32_t c = 0; c < p->channels; c++) {
        out[c] = mbn_requantize(sums[c] + p->bias, p->multiplier, p->shift, p->zero_point);
    }
}
