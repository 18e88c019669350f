/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 with VPDPBUSD, 64 channels at a time. The three rows of a column are interleaved, so that a lane has the column of
 * a channel; columns stay in registers as long as an output needs them. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

/* A column of 64 channels, of which `mask` are there: per channel the bytes of three rows, and that of the last once more. */
MBN_TEMPLATE MBN_AVX512 void load(const int8_t *const *rows, int32_t at, __mmask64 mask, __m512i *column)
{
    const __m512i high_bits = _mm512_set1_epi32((int32_t)0x80808080u);
    __m512i x[3];
    MBN_IN_REGISTERS for (int r = 0; r < 3; r++)
    {
        x[r] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, rows[r] + at), high_bits);
    }
    mbn_interleave(x[0], x[1], x[2], x[2], column);
}

/* 64 channels, from `c` on, of a row; `stride` in columns. */
MBN_TEMPLATE MBN_AVX512 void row(const mbn_depthwise_conv2d_x86_params *p, const int8_t *const *rows, int32_t c,
                                 int8_t *out, int32_t count, int stride)
{
    const __m512i zero = _mm512_set1_epi16((int16_t)p->zero_point);
    const __mmask64 mask = mbn_first64(p->channels - c);
    const int8_t *const w = p->weights + 12 * c;
    __m512i taps[3][4], columns[3][4];
    int32_t at = c;
    MBN_IN_REGISTERS for (int i = 0; i < 12; i++)
    {
        taps[i >> 2][i & 3] = _mm512_loadu_si512(w + 64 * i);
    }
    MBN_IN_REGISTERS for (int i = 0; i < 3 - stride; i++, at += p->column)
    {
        load(rows, at, mask, columns[i]);
    }
    for (int32_t x = 0;; x += 3) {
        MBN_IN_REGISTERS for (int turn = 0; turn < 3; turn++) /* after three pixels columns are where they were */
        {
            if (x + turn == count) {
                return;
            }
            MBN_IN_REGISTERS for (int i = 3 - stride; i < 3; i++, at += p->column)
            {
                load(rows, at, mask, columns[(turn * stride + i) % 3]);
            }
            __m512i acc[4];
            MBN_IN_REGISTERS for (int j = 0; j < 4; j++)
            {
                acc[j] = _mm512_loadu_si512(p->bias + c + 16 * j);
                MBN_IN_REGISTERS for (int i = 0; i < 3; i++)
                {
                    acc[j] = mbn_dot(acc[j], columns[(turn * stride + i) % 3][j], taps[i][j]);
                }
            }
            mbn_put64(acc, p->scale + c, zero, out, mask);
            out += p->pixel_stride;
        }
    }
}

MBN_AVX512 void mbn_depthwise_conv2d_3x3_s8_x86_avx512_vnni(const mbn_depthwise_conv2d_x86_params *p,
                                                            const int8_t *const *rows, int8_t *out, int32_t count,
                                                            void *scratch)
{
    const int is_double = p->step != p->column;
    (void)scratch;
    for (int32_t c = 0; c < p->channels; c += 64) {
        if (is_double) {
            row(p, rows, c, out + c, count, 2);
        } else {
            row(p, rows, c, out + c, count, 1);
        }
    }
}
