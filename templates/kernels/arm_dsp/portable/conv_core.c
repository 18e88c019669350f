/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void block(const mbn_conv_block *b, int32_t pixels, int planar)
{
    const int32_t pairs = (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += pairs + 4) {
        for (int32_t p = 0; p < pixels; p++) {
            int32_t q = (int32_t)w[0], s = (int32_t)w[1];
            for (int32_t k = 0; k < pairs; k++) {
                const uint32_t x = b->x[k * pixels + p];
                s = mbn_smlad(w[2 + k], x, s);
                q = mbn_smlad(mbn_sxtb16(w[2 + k]), x, q);
            }
            s = (int32_t)((uint32_t)s - (uint32_t)q) >> 8;
            const int32_t even = mbn_ssat8(mbn_smmlar(q, (int32_t)w[2 + pairs], b->zero_point));
            const int32_t odd = mbn_ssat8(mbn_smmlar(s, (int32_t)w[3 + pairs], b->zero_point));
            out[planar ? p : p * b->out_stride] = (int8_t)even;
            out[planar ? p + b->out_stride : p * b->out_stride + 1] = (int8_t)odd;
        }
        out += planar ? 2 * b->out_stride : 2;
    }
}

static void block_w4(const mbn_conv_block *b, int32_t pixels, int planar)
{
    const int32_t pairs = (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += pairs / 2 + 4) {
        for (int32_t p = 0; p < pixels; p++) {
            int32_t q = (int32_t)w[0], s = (int32_t)w[1];
            for (int32_t k = 0; k < pairs; k++) {
                const uint32_t x = b->x[k * pixels + p], word = w[2 + k / 2];
                const uint32_t h = k % 2 ? mbn_sxtb16_ror8(word) : mbn_sxtb16(word);
                s = mbn_smlad(h, x, s);
                q = mbn_smlad(h & 0x000f000fu, x, q);
            }
            s = (int32_t)((uint32_t)s - (uint32_t)q) >> 4;
            q = (int32_t)((uint32_t)q - b->x_end[p]);
            const int32_t even = mbn_ssat8(mbn_smmlar(q, (int32_t)w[2 + pairs / 2], b->zero_point));
            const int32_t odd = mbn_ssat8(mbn_smmlar(s, (int32_t)w[3 + pairs / 2], b->zero_point));
            out[planar ? p : p * b->out_stride] = (int8_t)even;
            out[planar ? p + b->out_stride : p * b->out_stride + 1] = (int8_t)odd;
        }
        out += planar ? 2 * b->out_stride : 2;
    }
}

static void quad(const mbn_conv_block *b, int32_t pixels, int planar)
{
    const int32_t words = 2 * (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += words + 8) {
        for (int32_t p = 0; p < pixels; p++) {
            for (int32_t pair = 0; pair < 2; pair++) {
                int32_t q = (int32_t)w[2 * pair], s = (int32_t)w[2 * pair + 1];
                for (int32_t k = 0; k < words / 2; k++) {
                    const uint32_t x = b->x[k * pixels + p], h = w[4 + 2 * k + pair];
                    s = mbn_smlad(h, x, s);
                    q = mbn_smlad(mbn_sxtb16(h), x, q);
                }
                s = (int32_t)((uint32_t)s - (uint32_t)q) >> 8;
                const uint32_t *m = w + 4 + words + 2 * pair;
                int8_t *const first = out + (planar ? p + 2 * pair * b->out_stride : p * b->out_stride + 2 * pair);
                first[0] = (int8_t)mbn_ssat8(mbn_smmlar(q, (int32_t)m[0], b->zero_point));
                first[planar ? b->out_stride : 1] = (int8_t)mbn_ssat8(mbn_smmlar(s, (int32_t)m[1], b->zero_point));
            }
        }
        out += planar ? 4 * b->out_stride : 4;
    }
}

static void widen(const int8_t *in, int32_t channels, uint32_t *x, const int8_t *end, int32_t pixels)
{
    for (; in != end; in += 4, x += 2 * pixels) {
        for (int32_t p = 0; p < pixels; p++) {
            const uint32_t w = mbn_load4(in + p * channels);
            x[p] = mbn_sxtb16(w);
            x[pixels + p] = mbn_sxtb16_ror8(w);
        }
    }
}

static void gather(const mbn_gather *g, int32_t pixels)
{
    for (int32_t p = 0; p < pixels; p++) {
        uint32_t *x = g->x + p;
        for (int32_t i = 0; i < 6; i++) {
            const uint32_t w = mbn_load4(g->rows[i / 2] + p * g->step + 4 * (i % 2));
            x[2 * i * pixels] = mbn_sxtb16(w);
            x[(2 * i + 1) * pixels] = mbn_sxtb16_ror8(w);
        }
        const int32_t last = p * g->step + 8;
        x[12 * pixels] = (uint32_t)(uint16_t)g->rows[0][last] | (uint32_t)(uint16_t)g->rows[1][last] << 16;
        x[13 * pixels] = (uint32_t)(int32_t)g->rows[2][last];
    }
}

static void gather_gray(const mbn_gather *g, int32_t pixels)
{
    for (int32_t i = 0; i < 3; i++) {
        for (int32_t p = 0; p < pixels; p++) {
            const uint32_t w = mbn_load4(g->rows[i] + p * g->step);
            g->x[2 * i * pixels + p] = mbn_sxtb16(w);
            g->x[(2 * i + 1) * pixels + p] = mbn_sxtb16_ror8(w);
        }
    }
}

#define FUNCTIONS(pixels)                                                                                \
    void mbn_conv_block##pixels##_planar_arm_dsp(const mbn_conv_block *b)                                \
    {                                                                                                    \
        block(b, pixels, 1);                                                                             \
    }                                                                                                    \
    void mbn_conv_block##pixels##_interleaved_arm_dsp(const mbn_conv_block *b)                           \
    {                                                                                                    \
        block(b, pixels, 0);                                                                             \
    }                                                                                                    \
    void mbn_conv_w4_block##pixels##_planar_arm_dsp(const mbn_conv_block *b)                             \
    {                                                                                                    \
        block_w4(b, pixels, 1);                                                                          \
    }                                                                                                    \
    void mbn_conv_w4_block##pixels##_interleaved_arm_dsp(const mbn_conv_block *b)                        \
    {                                                                                                    \
        block_w4(b, pixels, 0);                                                                          \
    }                                                                                                    \
    void mbn_widen##pixels##_arm_dsp(const int8_t *in, int32_t channels, uint32_t *x, const int8_t *end) \
    {                                                                                                    \
        widen(in, channels, x, end, pixels);                                                             \
    }                                                                                                    \
    void mbn_gather##pixels##_3x3x3_arm_dsp(const mbn_gather *g)                                         \
    {                                                                                                    \
        gather(g, pixels);                                                                               \
    }                                                                                                    \
    void mbn_gather##pixels##_3x3x1_arm_dsp(const mbn_gather *g)                                         \
    {                                                                                                    \
        gather_gray(g, pixels);                                                                          \
    }
FUNCTIONS(1)
FUNCTIONS(2)
FUNCTIONS(3)
FUNCTIONS(4)

#define QUADS(pixels)                                                         \
    void mbn_conv_quad##pixels##_planar_arm_dsp(const mbn_conv_block *b)      \
    {                                                                         \
        quad(b, pixels, 1);                                                   \
    }                                                                         \
    void mbn_conv_quad##pixels##_interleaved_arm_dsp(const mbn_conv_block *b) \
    {                                                                         \
        quad(b, pixels, 0);                                                   \
    }
QUADS(1)
QUADS(2)
