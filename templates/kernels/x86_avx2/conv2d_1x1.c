/* SPDX-License-Identifier: 0BSD */
/* 1x1 convolution and fully connected layer with VPMADDWD: blocks of up to four pixels and sixteen outputs. */
#include "mbn_avx2_math.h"
#include "mbn_x86_avx2.h"

/* Sixteen outputs of `pixels` pixels. */
MBN_TEMPLATE MBN_AVX2 void block(const mbn_conv2d_x86_params *p, const int8_t *in, const int8_t *w, int32_t first,
                                 int8_t *out, int pixels)
{
    const __m256i zero = _mm256_set1_epi16((int16_t)p->zero_point);
    const int32_t in_bytes = p->in_bytes;
    const int8_t *const end = in + p->taps;
    __m256i acc[4][2];
    MBN_IN_REGISTERS for (int j = 0; j < 2; j++)
    {
        const __m256i bias = mbn_load_sums(p->bias + first + 8 * j);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            acc[i][j] = bias;
        }
    }
    for (; in < end; in += 2, w += 32) {
        const __m256i low = mbn_load16(w), high = mbn_load16(w + 16);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            int16_t two;
            memcpy(&two, in + i * in_bytes, 2);
            const __m256i x = _mm256_cvtepi8_epi16(_mm_set1_epi16(two));
            acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(x, low));
            acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(x, high));
        }
    }
    MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
    {
        const __m256i low = mbn_scaled8(acc[i][0], p->scale + first);
        const __m256i high = mbn_scaled8(acc[i][1], p->scale + first + 8);
        const __m256i values = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
        mbn_store_first(out + i * p->pixel_stride, mbn_narrowed(_mm256_adds_epi16(values, zero)), p->out_channels);
    }
}

/* Sixteen outputs of a row. */
MBN_TEMPLATE MBN_AVX2 void outputs(const mbn_conv2d_x86_params *p, const int8_t *in, const int8_t *w, int32_t first,
                                   int8_t *out, int32_t count)
{
    for (; count >= 4; count -= 4) {
        block(p, in, w, first, out, 4);
        in += 4 * p->in_bytes;
        out += 4 * p->pixel_stride;
    }
    if (count == 3) {
        block(p, in, w, first, out, 3);
    } else if (count == 2) {
        block(p, in, w, first, out, 2);
    } else if (count == 1) {
        block(p, in, w, first, out, 1);
    }
}

MBN_AVX2 void mbn_conv2d_1x1_s8_x86_avx2(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch)
{
    const int32_t group = 16 * ((p->taps + 1) & ~1), last = p->out_channels - 16;
    const int8_t *w = p->weights;
    (void)scratch;
    for (int32_t o = 0; o < p->out_channels; o += 16, w += group) {
        /* The last group ends with the last output. */
        const int32_t first = o < last || last < 0 ? o : last;
        outputs(p, rows[0], w, first, out + first, count);
    }
}
