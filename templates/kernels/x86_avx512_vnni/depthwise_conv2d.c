/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d with VPDPBUSD: four taps of 64 channels are interleaved to the bytes of 16 lanes, four times, and what
 * packs the results undoes the order. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

enum { LONGEST = 48 };

/* 64 channels, of which `mask` are there, of a pixel.
 *
 * taps    where the input of each tap lies in the pixel 0; a multiple of four, the last ones as the one before
 * groups  of four taps */
MBN_TEMPLATE MBN_AVX512 void outputs(const int8_t *const *taps, int32_t at, const int8_t *w, const int32_t *bias,
                                     const float *scale, __m512i zero, int8_t *out, __mmask64 mask, int groups)
{
    const __m512i high_bits = _mm512_set1_epi32((int32_t)0x80808080u);
    __m512i acc[4], x[4];
    MBN_IN_REGISTERS for (int j = 0; j < 4; j++)
    {
        acc[j] = _mm512_loadu_si512(bias + 16 * j);
    }
    for (int g = 0; g < groups; g++) {
        MBN_IN_REGISTERS for (int i = 0; i < 4; i++)
        {
            x[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, taps[4 * g + i] + at), high_bits);
        }
        mbn_interleave(x[0], x[1], x[2], x[3], x);
        MBN_IN_REGISTERS for (int j = 0; j < 4; j++)
        {
            acc[j] = mbn_dot(acc[j], x[j], _mm512_loadu_si512(w + 256 * g + 64 * j));
        }
    }
    mbn_put64(acc, scale, zero, out, mask);
}

MBN_AVX512 void mbn_depthwise_conv2d_s8_x86_avx512_vnni(const mbn_depthwise_conv2d_x86_params *p,
                                                        const int8_t *const *rows, int8_t *out, int32_t count,
                                                        void *scratch)
{
    const __m512i zero = _mm512_set1_epi16((int16_t)p->zero_point);
    const int32_t window = p->kernel_height * p->kernel_width, groups = (window + 3) >> 2;
    /* In a row of one long pixel all are alike; else each pixel begins a period. */
    const int is_long = p->period > 0 && p->pixel_stride == p->channels;
    const int32_t in_step = is_long ? p->period : p->step, out_step = is_long ? p->period : p->pixel_stride;
    const int32_t bytes = is_long ? count * p->channels : p->channels;
    const int8_t *taps[LONGEST];
    (void)scratch;
    for (int32_t t = 0; t < 4 * groups; t++) {
        const int32_t tap = t < window ? t : window - 1;
        taps[t] = rows[tap / p->kernel_width] + tap % p->kernel_width * p->column;
    }
    for (int32_t c = 0, group = 0; c < (is_long ? p->period : p->channels); c += 64, group++) {
        const int8_t *const w = p->weights + group * groups * 256;
        const int32_t *const bias = p->bias + 64 * group;
        const float *const scale = p->scale + 64 * group;
        int32_t at = c;
        int8_t *to = out + c;
        for (int32_t i = 0; is_long ? i * p->period + c < bytes : i < count; i++) {
            const __mmask64 mask = mbn_first64(bytes - c - (is_long ? i * p->period : 0));
            outputs(taps, at, w, bias, scale, zero, to, mask, groups);
            at += in_step;
            to += out_step;
        }
    }
}
