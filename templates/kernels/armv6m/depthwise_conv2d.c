/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d for Cortex-M0+.
 *
 * 3x3: one channel at a time. Row pointers, weights and constants stand on the stack as words in the order of their use,
 * so that LDM brings a row pointer and three weights at once, and MULS may overwrite the weights. 5x5: two output pixels together.
 */
#include "mbn_armv6m.h"

static mbn_depthwise_frame_armv6m frame_of(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count)
{
    mbn_depthwise_frame_armv6m f;
    for (int32_t k = 0; k < 3; k++) {
        f.row[k].in = rows[k];
    }
    f.weights = p->weights;
    f.requantize = p->requantize;
    f.out = out;
    f.row_bytes = count * p->channels;
    f.channel = 0;
    f.channels = p->channels;
    f.rounding = p->rounding;
    return f;
}

void mbn_depthwise_conv2d_3x3_s1_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    (void)scratch;
    if (count > 0) {
        const mbn_depthwise_frame_armv6m f = frame_of(p, rows, out, count);
        mbn_depthwise_row_s1_armv6m(&f);
    }
}

void mbn_depthwise_conv2d_3x3_s2_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    (void)scratch;
    if (count > 0) {
        const mbn_depthwise_frame_armv6m f = frame_of(p, rows, out, count);
        mbn_depthwise_row_s2_armv6m(&f);
    }
}

#define COLUMN(...)            \
    {                          \
        const int32_t x = *in; \
        in += channels;        \
        __VA_ARGS__;           \
    }
/* The columns that one output needs, and two. */
#define ONE_5X5          \
    COLUMN(s0 += x * w0) \
    COLUMN(s0 += x * w1) \
    COLUMN(s0 += x * w2) \
    COLUMN(s0 += x * w3) \
    COLUMN(s0 += x * w4)
#define TWO_5X5_S1                     \
    COLUMN(s0 += x * w0)               \
    COLUMN(s0 += x * w1; s1 += x * w0) \
    COLUMN(s0 += x * w2; s1 += x * w1) \
    COLUMN(s0 += x * w3; s1 += x * w2) \
    COLUMN(s0 += x * w4; s1 += x * w3) \
    COLUMN(s1 += x * w4)
#define TWO_5X5_S2                     \
    COLUMN(s0 += x * w0)               \
    COLUMN(s0 += x * w1)               \
    COLUMN(s0 += x * w2; s1 += x * w0) \
    COLUMN(s0 += x * w3; s1 += x * w1) \
    COLUMN(s0 += x * w4; s1 += x * w2) \
    COLUMN(s1 += x * w3)               \
    COLUMN(s1 += x * w4)
/* For each row of the window. */
#define SUMS_5X5(COLUMNS)                                                              \
    for (int32_t y = 0; y < 5; y++) {                                                  \
        const int8_t *in = rows[y] + offset, *tap = w + 5 * y;                         \
        const int32_t w0 = tap[0], w1 = tap[1], w2 = tap[2], w3 = tap[3], w4 = tap[4]; \
        COLUMNS                                                                        \
    }
/* All columns of all channels, 5x5, 2 pixels together and what is left one by one. */
#define ROWS_5X5(stride, COLUMNS)                                              \
    const int32_t channels = p->channels, pixel = p->pixel_stride;             \
    const int8_t *w = p->weights;                                              \
    const int32_t *q = p->requantize;                                          \
    (void)scratch;                                                             \
    for (int32_t c = 0; c < channels; c++) {                                   \
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, p->rounding); \
        int32_t offset = c, left = count;                                      \
        int8_t *o = out + c;                                                   \
        for (; left >= 2; left -= 2) {                                         \
            int32_t s0 = 0, s1 = 0;                                            \
            SUMS_5X5(COLUMNS)                                                  \
            *o = mbn_requantize_armv6m(s0, &stairs);                           \
            o += pixel;                                                        \
            *o = mbn_requantize_armv6m(s1, &stairs);                           \
            o += pixel;                                                        \
            offset += 2 * (stride)*channels;                                   \
        }                                                                      \
        for (; left >= 1; left -= 1) {                                         \
            int32_t s0 = 0;                                                    \
            SUMS_5X5(ONE_5X5)                                                  \
            *o = mbn_requantize_armv6m(s0, &stairs);                           \
            o += pixel;                                                        \
            offset += (stride)*channels;                                       \
        }                                                                      \
        w += 25;                                                               \
        q += MBN_ARMV6M_WORDS;                                                 \
    }

void mbn_depthwise_conv2d_5x5_s1_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(1, TWO_5X5_S1)
}

void mbn_depthwise_conv2d_5x5_s2_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(2, TWO_5X5_S2)
}

/* Any window. */
void mbn_depthwise_conv2d_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch)
{
    const int32_t channels = p->channels;
    const int8_t *w = p->weights;
    const int32_t *q = p->requantize;
    (void)scratch;
    for (int32_t c = 0; c < channels; c++) {
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, p->rounding);
        for (int32_t i = 0; i < count; i++) {
            int32_t sum = 0;
            const int8_t *tap = w;
            for (int32_t y = 0; y < p->kernel_height; y++) {
                const int8_t *in = rows[y] + i * p->stride * channels + c;
                for (int32_t x = 0; x < p->kernel_width; x++) {
                    sum += *in * *tap++;
                    in += channels;
                }
            }
            out[i * p->pixel_stride + c] = mbn_requantize_armv6m(sum, &stairs);
        }
        w += p->kernel_height * p->kernel_width;
        q += MBN_ARMV6M_WORDS;
    }
}
