/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../conv_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* How the words of a pair of channels begin and end. */
typedef struct {
    int32_t even, odd; /* where sums start; `odd` counts 2^bits of the odd channel and the even one */
    uint32_t multipliers[2];
} constants;

static constants constants_of(const mbn_conv_block *b, const uint32_t *w, const uint32_t *behind, int32_t bits,
                              int is_shared)
{
    constants c = {(int32_t)w[0], (int32_t)w[1], {behind[0], behind[1]}};
    if (is_shared) {
        c.even >>= 8;
        c.odd = c.even + (c.odd >> (8 - bits));
        c.multipliers[0] = b->multipliers[behind[0] & 255];
        c.multipliers[1] = b->multipliers[behind[1] & 255];
    }
    return c;
}

static void store(const mbn_conv_block *b, int8_t *out, int32_t p, int planar, const constants *c, int32_t even,
                  int32_t odd)
{
    int8_t *const first = out + (planar ? p : p * b->out_stride);
    first[0] = (int8_t)mbn_ssat8(mbn_smmlar(even, (int32_t)c->multipliers[0], b->zero_point));
    first[planar ? b->out_stride : 1] = (int8_t)mbn_ssat8(mbn_smmlar(odd, (int32_t)c->multipliers[1], b->zero_point));
}

static void block(const mbn_conv_block *b, int32_t pixels, int planar, int is_shared)
{
    const int32_t pairs = (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += pairs + (is_shared ? 2 : 4)) {
        const constants c = constants_of(b, w, w + 2 + pairs, 8, is_shared);
        for (int32_t p = 0; p < pixels; p++) {
            int32_t q = c.even, s = c.odd;
            for (int32_t k = 0; k < pairs; k++) {
                const uint32_t x = b->x[k * pixels + p];
                s = mbn_smlad(w[2 + k], x, s);
                q = mbn_smlad(mbn_sxtb16(w[2 + k]), x, q);
            }
            store(b, out, p, planar, &c, q, (int32_t)((uint32_t)s - (uint32_t)q) >> 8);
        }
        out += planar ? 2 * b->out_stride : 2;
    }
}

static void block_w4(const mbn_conv_block *b, int32_t pixels, int planar, int is_shared)
{
    const int32_t pairs = (int32_t)(b->x_end - b->x) / pixels;
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += pairs / 2 + (is_shared ? 2 : 4)) {
        const constants c = constants_of(b, w, w + 2 + pairs / 2, 4, is_shared);
        for (int32_t p = 0; p < pixels; p++) {
            int32_t q = c.even, s = c.odd;
            for (int32_t k = 0; k < pairs; k++) {
                const uint32_t x = b->x[k * pixels + p], word = w[2 + k / 2];
                const uint32_t h = k % 2 ? mbn_sxtb16_ror8(word) : mbn_sxtb16(word);
                s = mbn_smlad(h, x, s);
                q = mbn_smlad(h & 0x000f000fu, x, q);
            }
            const int32_t odd = (int32_t)((uint32_t)s - (uint32_t)q) >> 4;
            store(b, out, p, planar, &c, (int32_t)((uint32_t)q - b->x_end[p]), odd);
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

#define BLOCKS(core, function, pixels)                                     \
    void mbn_##core##pixels##_planar_arm_dsp(const mbn_conv_block *b)      \
    {                                                                      \
        function(b, pixels, 1, 0);                                         \
    }                                                                      \
    void mbn_##core##pixels##_interleaved_arm_dsp(const mbn_conv_block *b) \
    {                                                                      \
        function(b, pixels, 0, 0);                                         \
    }
#define SHARED_BLOCK(core, function, pixels)                                 \
    void mbn_##core##pixels##_arm_dsp(const mbn_conv_block *b)               \
    {                                                                        \
        mbn_conv_block one = *b;                                             \
        one.out_stride = b->out_stride < 0 ? -b->out_stride : b->out_stride; \
        function(&one, pixels, b->out_stride > 0, 1);                        \
    }
#define FUNCTIONS(pixels)                                                                                \
    BLOCKS(conv_block, block, pixels)                                                                    \
    BLOCKS(conv_w4_block, block_w4, pixels)                                                              \
    SHARED_BLOCK(conv_shared_block, block, pixels)                                                       \
    SHARED_BLOCK(conv_w4_shared_block, block_w4, pixels)                                                 \
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
