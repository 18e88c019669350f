/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d for Cortex-M3.
 *
 * 3x3 and 5x5: one channel at a time, 3 output pixels together, so that an input and a weight are loaded once for all of them.
 */
#include "mbn_armv7m.h"
#include "mbn_smlal.h"

/* One row of a window: for each of its columns, the sums it belongs to. */
#define COLUMN(...)            \
    {                          \
        const int32_t x = *in; \
        in += channels;        \
        __VA_ARGS__;           \
    }
#define WEIGHTS(row)                       \
    const int8_t *in = rows[row] + offset; \
    const int32_t w0 = w[3 * (row)], w1 = w[3 * (row) + 1], w2 = w[3 * (row) + 2];
#define ROW_S1(row)                                      \
    {                                                    \
        WEIGHTS(row)                                     \
        COLUMN(s0 += x * w0)                             \
        COLUMN(s1 += x * w0; s0 += x * w1)               \
        COLUMN(s2 += x * w0; s1 += x * w1; s0 += x * w2) \
        COLUMN(s2 += x * w1; s1 += x * w2)               \
        s2 += *in * w2;                                  \
    }
#define ROW_S2(row)                        \
    {                                      \
        WEIGHTS(row)                       \
        COLUMN(s0 += x * w0)               \
        COLUMN(s0 += x * w1)               \
        COLUMN(s1 += x * w0; s0 += x * w2) \
        COLUMN(s1 += x * w1)               \
        COLUMN(s2 += x * w0; s1 += x * w2) \
        COLUMN(s2 += x * w1)               \
        s2 += *in * w2;                    \
    }
#define ROW_ONE(row)         \
    {                        \
        WEIGHTS(row)         \
        COLUMN(s0 += x * w0) \
        COLUMN(s0 += x * w1) \
        s0 += *in * w2;      \
    }

/* All columns of all channels, 3x3. */
#define ROWS_3X3(stride, row)                                                                                  \
    void mbn_depthwise_conv2d_3x3_s##stride##_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p,           \
                                                        const int8_t *const *rows, int8_t *out, int32_t count, \
                                                        void *scratch)                                         \
    {                                                                                                          \
        (void)scratch;                                                                                         \
        const int32_t channels = p->channels, pixel = p->pixel_stride;                                         \
        const int8_t *w = p->weights;                                                                          \
        const int32_t *q = p->requantize;                                                                      \
        for (int32_t c = 0; c < channels; c++) {                                                               \
            int32_t offset = c;                                                                                \
            int8_t *o = out + c;                                                                               \
            int32_t left = count;                                                                              \
            for (; left >= 3; left -= 3) {                                                                     \
                int32_t s0 = 0, s1 = 0, s2 = 0;                                                                \
                row(0) row(1) row(2) *o = mbn_requantize_armv7m(s0, q[0], q + 1);                              \
                o += pixel;                                                                                    \
                *o = mbn_requantize_armv7m(s1, q[0], q + 1);                                                   \
                o += pixel;                                                                                    \
                *o = mbn_requantize_armv7m(s2, q[0], q + 1);                                                   \
                o += pixel;                                                                                    \
                offset += 3 * (stride)*channels;                                                               \
            }                                                                                                  \
            for (; left > 0; left--) {                                                                         \
                int32_t s0 = 0;                                                                                \
                ROW_ONE(0) ROW_ONE(1) ROW_ONE(2) *o = mbn_requantize_armv7m(s0, q[0], q + 1);                  \
                o += pixel;                                                                                    \
                offset += (stride)*channels;                                                                   \
            }                                                                                                  \
            w += 9;                                                                                            \
            q += 3;                                                                                            \
        }                                                                                                      \
    }
ROWS_3X3(1, ROW_S1)
ROWS_3X3(2, ROW_S2)

/* The columns that one output needs, and three. */
#define ONE_5X5          \
    COLUMN(s0 += x * w0) \
    COLUMN(s0 += x * w1) \
    COLUMN(s0 += x * w2) \
    COLUMN(s0 += x * w3) \
    COLUMN(s0 += x * w4)
#define THREE_5X5_S1                                 \
    COLUMN(s0 += x * w0)                             \
    COLUMN(s0 += x * w1; s1 += x * w0)               \
    COLUMN(s0 += x * w2; s1 += x * w1; s2 += x * w0) \
    COLUMN(s0 += x * w3; s1 += x * w2; s2 += x * w1) \
    COLUMN(s0 += x * w4; s1 += x * w3; s2 += x * w2) \
    COLUMN(s1 += x * w4; s2 += x * w3)               \
    COLUMN(s2 += x * w4)
#define THREE_5X5_S2                                 \
    COLUMN(s0 += x * w0)                             \
    COLUMN(s0 += x * w1)                             \
    COLUMN(s0 += x * w2; s1 += x * w0)               \
    COLUMN(s0 += x * w3; s1 += x * w1)               \
    COLUMN(s0 += x * w4; s1 += x * w2; s2 += x * w0) \
    COLUMN(s1 += x * w3; s2 += x * w1)               \
    COLUMN(s1 += x * w4; s2 += x * w2)               \
    COLUMN(s2 += x * w3)                             \
    COLUMN(s2 += x * w4)
/* For each row of the window. */
#define SUMS_5X5(COLUMNS)                                                              \
    for (int32_t y = 0; y < 5; y++) {                                                  \
        const int8_t *in = rows[y] + offset, *tap = w + 5 * y;                         \
        const int32_t w0 = tap[0], w1 = tap[1], w2 = tap[2], w3 = tap[3], w4 = tap[4]; \
        COLUMNS                                                                        \
    }
#define STORE_5X5(sum)                            \
    *o = mbn_requantize_armv7m(sum, q[0], q + 1); \
    o += pixel;
/* All columns of all channels, 5x5, 3 pixels together and what is left one by one. */
#define ROWS_5X5(stride, COLUMNS)            \
    const int32_t channels = p->channels;    \
    const int32_t pixel = p->pixel_stride;   \
    const int8_t *w = p->weights;            \
    const int32_t *q = p->requantize;        \
    (void)scratch;                           \
    for (int32_t c = 0; c < channels; c++) { \
        int32_t offset = c, left = count;    \
        int8_t *o = out + c;                 \
        for (; left >= 3; left -= 3) {       \
            int32_t s0 = 0, s1 = 0, s2 = 0;  \
            SUMS_5X5(COLUMNS)                \
            STORE_5X5(s0)                    \
            STORE_5X5(s1)                    \
            STORE_5X5(s2)                    \
            offset += 3 * (stride)*channels; \
        }                                    \
        for (; left >= 1; left -= 1) {       \
            int32_t s0 = 0;                  \
            SUMS_5X5(ONE_5X5)                \
            STORE_5X5(s0)                    \
            offset += (stride)*channels;     \
        }                                    \
        w += 25;                             \
        q += 3;                              \
    }

void mbn_depthwise_conv2d_5x5_s1_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(1, THREE_5X5_S1)
}

void mbn_depthwise_conv2d_5x5_s2_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(2, THREE_5X5_S2)
}

/* Any window. */
void mbn_depthwise_conv2d_s8_armv7m(const mbn_depthwise_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out,
                                    int32_t count, void *scratch)
{
    const int32_t channels = p->channels;
    const int8_t *w = p->weights;
    const int32_t *q = p->requantize;
    (void)scratch;
    for (int32_t c = 0; c < channels; c++) {
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
            out[i * p->pixel_stride + c] = mbn_requantize_armv7m(sum, q[0], q + 1);
        }
        w += p->kernel_height * p->kernel_width;
        q += 3;
    }
}
