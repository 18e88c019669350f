/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d with VPMADDWD: two taps of sixteen channels are interleaved, and what packs the results undoes the order. */
#include "mbn_avx2_math.h"
#include "mbn_x86_avx2.h"

enum { LONGEST = 48 };

/* Sixteen channels of a pixel.
 *
 * taps   where the input of each tap lies in the pixel 0; an even number, the last one perhaps twice
 * pairs  of taps */
MBN_TEMPLATE MBN_AVX2 void outputs(const int8_t *const *taps, int32_t at, const int8_t *w, const int32_t *bias,
                                   const float *scale, __m256i zero, int8_t *out, int32_t left, int pairs)
{
    __m256i low = mbn_load_sums(bias), high = mbn_load_sums(bias + 8);
    for (int g = 0; g < pairs; g++) {
        const __m256i a = mbn_load16(taps[2 * g] + at), b = mbn_load16(taps[2 * g + 1] + at);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), mbn_load16(w + 32 * g)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), mbn_load16(w + 32 * g + 16)));
    }
    const __m256i values = _mm256_packs_epi32(mbn_scaled8(low, scale), mbn_scaled8(high, scale + 8));
    mbn_store_first(out, mbn_narrowed(_mm256_adds_epi16(values, zero)), left);
}

MBN_AVX2 void mbn_depthwise_conv2d_s8_x86_avx2(const mbn_depthwise_conv2d_x86_params *p, const int8_t *const *rows,
                                               int8_t *out, int32_t count, void *scratch)
{
    const __m256i zero = _mm256_set1_epi16((int16_t)p->zero_point);
    const int32_t window = p->kernel_height * p->kernel_width, pairs = (window + 1) >> 1;
    const int8_t *w = p->weights, *taps[LONGEST];
    (void)scratch;
    for (int32_t t = 0; t < 2 * pairs; t++) {
        const int32_t tap = t < window ? t : window - 1;
        taps[t] = rows[tap / p->kernel_width] + tap % p->kernel_width * p->column;
    }
    for (int32_t c = 0; c < p->channels; c += 16, w += 32 * pairs) {
        /* The last group ends with the last channel. */
        const int32_t first = c + 16 > p->channels && p->channels > 16 ? p->channels - 16 : c;
        for (int32_t i = 0; i < count; i++) {
            int8_t *const to = out + i * p->pixel_stride + first;
            if (pairs == 5) {
                outputs(taps, i * p->step + first, w, p->bias + c, p->scale + c, zero, to, p->channels, 5);
            } else {
                outputs(taps, i * p->step + first, w, p->bias + c, p->scale + c, zero, to, p->channels, pairs);
            }
        }
    }
}
