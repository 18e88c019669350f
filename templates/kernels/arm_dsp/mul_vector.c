/* SPDX-License-Identifier: 0BSD */
/* mul on Arm DSP cores: each pixel of rows[0] * the one of rows[1]. A value lies in the upper byte of a halfword, a factor
 * has 24 bits behind the point: SMLAW leaves 16 of them, so that results are the upper halfwords of sums. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

typedef struct {
    int32_t factor;
    int32_t offset; /* minus that of the zero point, plus the output's, plus a half */
} channel;

static inline channel channel_of(const mbn_mul_vector_arm_dsp_params *p, int32_t value)
{
    const int32_t wide = (value - p->zero_point_b) * p->multiplier;
    const int32_t factor = (wide + (1 << (p->narrow - 1))) >> p->narrow;
    const int32_t lost = mbn_smlawb(factor, (uint32_t)p->zero_point_a << 8, 0);
    return (channel){factor, p->zero_point * 65536 + 32768 - lost};
}

static inline uint32_t scaled4(uint32_t word, const channel *k)
{
    const uint32_t even = (word << 8) & 0xff00ff00u, odd = word & 0xff00ff00u;
    const int32_t a = mbn_smlawb(k[0].factor, even, k[0].offset), c = mbn_smlawt(k[2].factor, even, k[2].offset);
    const int32_t b = mbn_smlawb(k[1].factor, odd, k[1].offset), d = mbn_smlawt(k[3].factor, odd, k[3].offset);
    return mbn_bytes4(mbn_ssat8x2(mbn_high16s(a, c)), mbn_ssat8x2(mbn_high16s(b, d)));
}

void mbn_mul_vector_s8_arm_dsp(const mbn_mul_vector_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    const int32_t channels = p->channels, pixel = p->pixel_stride;
    int32_t c = 0;
    (void)scratch;
    for (; c + 4 <= channels; c += 4) {
        const int8_t *in = rows[0] + c;
        int8_t *to = out + c, *const end = to + count * pixel;
        const int8_t *const b = rows[1] + c;
        const channel k[4] = {channel_of(p, b[0]), channel_of(p, b[1]), channel_of(p, b[2]), channel_of(p, b[3])};
        for (; to != end; in += channels, to += pixel) {
            mbn_store4(to, scaled4(mbn_load4(in), k));
        }
    }
    for (; c < channels; c++) {
        const channel k = channel_of(p, rows[1][c]);
        const int8_t *in = rows[0] + c;
        int8_t *to = out + c, *const end = to + count * pixel;
        for (; to != end; in += channels, to += pixel) {
            *to = (int8_t)mbn_ssat8(mbn_smlawb(k.factor, (uint32_t)*in << 8, k.offset) >> 16);
        }
    }
}
