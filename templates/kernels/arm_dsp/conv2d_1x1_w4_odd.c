/* SPDX-License-Identifier: 0BSD */
/* As conv2d_1x1_odd.c, for weights of four bits. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* Lower halves of the bytes of a word of weights are w + 8. */
static int32_t dot4(uint32_t in, uint32_t w, int32_t acc)
{
    const uint32_t even = mbn_sxtb16(in), odd = mbn_sxtb16_ror8(in);
    acc = mbn_smlad(w & 0x000f000fu, even, acc);
    acc = mbn_smlad((w >> 8) & 0x000f000fu, odd, acc);
    return mbn_smlad(0xfff8fff8u, even, mbn_smlad(0xfff8fff8u, odd, acc));
}

static int32_t dot(const int8_t *in, int32_t channels, const uint32_t *w, int32_t acc)
{
    for (; channels >= 4; channels -= 4, in += 4) {
        acc = dot4(mbn_load4(in), *w++, acc);
    }
    if (channels != 0) {
        uint32_t word = 0;
        memcpy(&word, in, (size_t)channels);
        acc = dot4(word, *w, acc);
    }
    return acc;
}

void mbn_conv2d_1x1_w4_odd_s8_arm_dsp(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                                      int32_t count, void *scratch)
{
    const int planar = p->out_stride > 0;
    const int32_t channel = planar ? p->out_stride : 1, pixel = planar ? 1 : -p->out_stride;
    const int32_t words = 2 * ((p->in_channels + 7) >> 3);
    const uint32_t *w = p->weights + (p->out_channels >> 1) * (words + mbn_pair_constants(p->parts->multipliers));
    const uint32_t behind = w[2 + words], *const shared = p->parts->multipliers;
    const int32_t bias = shared != NULL ? (int32_t)w[0] >> 8 : (int32_t)w[0];
    const int32_t multiplier = (int32_t)(shared != NULL ? shared[behind & 255] : behind);
    const int8_t *in = rows[0];
    if (p->out_channels > 1) {
        mbn_conv2d_1x1_w4_s8_arm_dsp(p, rows, out, count, scratch);
    }
    out += (p->out_channels - 1) * channel;
    for (; count > 0; count--) {
        const int32_t acc = dot(in, p->in_channels, w + 2, bias);
        *out = (int8_t)mbn_ssat8(mbn_smmlar(acc, multiplier, p->zero_point));
        in += p->in_bytes;
        out += pixel;
    }
}
