/* SPDX-License-Identifier: 0BSD */
/* conv2d with any window and fully connected layer with VPDPBUSD: blocks of up to six pixels and 64 outputs. The rows of a
 * window are read where they lie. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

/* `vectors` times 16 outputs of `pixels` pixels, whose windows begin `at` in the rows. */
MBN_TEMPLATE MBN_AVX512 void block(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int32_t at, int32_t o,
                                   int8_t *out, int pixels, int vectors)
{
    const __m512i high_bits = _mm512_set1_epi32((int32_t)0x80808080u);
    const __m512i zero = _mm512_set1_epi32(p->zero_point);
    const int32_t row = (p->row_bytes + 3) >> 2 << 6; /* bytes of 16 outputs' weights */
    const int32_t group = p->kernel_height * row;
    const int8_t *w = p->weights + (o >> 4) * group;
    __m512i acc[6][4];
    MBN_IN_REGISTERS for (int j = 0; j < vectors; j++)
    {
        const __m512i bias = _mm512_loadu_si512(p->bias + o + 16 * j);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            acc[i][j] = bias;
        }
    }
    for (int32_t r = 0; r < p->kernel_height; r++) {
        const int8_t *in = rows[r] + at, *const end = w + row;
        for (; w != end; w += 64, in += 4) {
            __m512i taps[4];
            MBN_IN_REGISTERS for (int j = 0; j < vectors; j++)
            {
                taps[j] = _mm512_loadu_si512(w + j * group);
            }
            MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
            {
                int32_t four;
                memcpy(&four, in + i * p->step, 4);
                const __m512i x = _mm512_xor_si512(_mm512_set1_epi32(four), high_bits);
                MBN_IN_REGISTERS for (int j = 0; j < vectors; j++)
                {
                    acc[i][j] = mbn_dot(acc[i][j], x, taps[j]);
                }
            }
        }
    }
    MBN_IN_REGISTERS for (int j = 0; j < vectors; j++)
    {
        const __mmask16 mask = mbn_first16(p->out_channels - o - 16 * j);
        MBN_IN_REGISTERS for (int i = 0; i < pixels; i++)
        {
            const __m512i value = _mm512_add_epi32(mbn_scaled(acc[i][j], p->scale + o + 16 * j), zero);
            _mm512_mask_cvtsepi32_storeu_epi8(out + i * p->pixel_stride + 16 * j, mask, value);
        }
    }
}

/* `vectors` times 16 outputs of a row, in blocks of nearly the same size. */
MBN_TEMPLATE MBN_AVX512 void outputs(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int32_t o, int8_t *out,
                                     int32_t count, int vectors)
{
    int32_t at = 0;
    for (int32_t blocks = (count + 5) / 6; blocks > 0; blocks--) {
        const int32_t pixels = (count + blocks - 1) / blocks;
        switch (pixels) {
        case 1:
            block(p, rows, at, o, out, 1, vectors);
            break;
        case 2:
            block(p, rows, at, o, out, 2, vectors);
            break;
        case 3:
            block(p, rows, at, o, out, 3, vectors);
            break;
        case 4:
            block(p, rows, at, o, out, 4, vectors);
            break;
        case 5:
            block(p, rows, at, o, out, 5, vectors);
            break;
        default:
            block(p, rows, at, o, out, 6, vectors);
            break;
        }
        at += pixels * p->step;
        out += pixels * p->pixel_stride;
        count -= pixels;
    }
}

MBN_AVX512 void mbn_conv2d_s8_x86_avx512_vnni(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out,
                                              int32_t count, void *scratch)
{
    const int32_t channels = p->out_channels;
    int32_t o = 0;
    (void)scratch;
    for (; o + 48 < channels; o += 64) {
        outputs(p, rows, o, out + o, count, 4);
    }
    for (; o + 16 < channels; o += 32) {
        outputs(p, rows, o, out + o, count, 2);
    }
    if (o < channels) {
        outputs(p, rows, o, out + o, count, 1);
    }
}
