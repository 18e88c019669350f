/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d for RV32IM.
 *
 * 3x3: one channel at a time with its nine weights in registers; a walk over the columns loads every input once and adds
 * it to the sums of the outputs it touches. 5x5: four output pixels together, row by row.
 */
#include "mbn_rv32im.h"

#define COLUMNS                                    \
    const int32_t x0 = *in0, x1 = *in1, x2 = *in2; \
    in0 += channels, in1 += channels, in2 += channels;
#define PRODUCTS(k) x0 *w0##k + x1 *w1##k + x2 *w2##k

/* One channel, stride 1: `before` is the sum of the output that lacks one column, `last` of the one that lacks two. */
#define COLUMNS_S1(requantize)                    \
    int32_t before, last;                         \
    {                                             \
        COLUMNS                                   \
        last = PRODUCTS(0);                       \
    }                                             \
    {                                             \
        COLUMNS                                   \
        before = last + PRODUCTS(1);              \
        last = PRODUCTS(0);                       \
    }                                             \
    do {                                          \
        COLUMNS                                   \
        const int32_t sum = before + PRODUCTS(2); \
        before = last + PRODUCTS(1);              \
        last = PRODUCTS(0);                       \
        *o = requantize;                          \
        o += pixel;                               \
    } while (o != end);

/* One channel, stride 2. */
#define COLUMNS_S2(requantize)  \
    int32_t sum;                \
    {                           \
        COLUMNS                 \
        sum = PRODUCTS(0);      \
    }                           \
    do {                        \
        {                       \
            COLUMNS             \
            sum += PRODUCTS(1); \
        }                       \
        {                       \
            COLUMNS             \
            sum += PRODUCTS(2); \
            *o = requantize;    \
            sum = PRODUCTS(0);  \
        }                       \
        o += pixel;             \
    } while (o != end);

#define ROWS_3X3(name, columns)                                                                                   \
    void name(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out, int32_t count, \
              void *scratch)                                                                                      \
    {                                                                                                             \
        (void)scratch;                                                                                            \
        if (count <= 0) {                                                                                         \
            return;                                                                                               \
        }                                                                                                         \
        const int32_t channels = p->channels, pixel = p->pixel_stride;                                            \
        const int8_t *w = p->weights;                                                                             \
        const int32_t *q = p->requantize;                                                                         \
        for (int32_t c = 0; c < channels; c++) {                                                                  \
            const int32_t w00 = w[0], w01 = w[1], w02 = w[2], w10 = w[3], w11 = w[4], w12 = w[5];                 \
            const int32_t w20 = w[6], w21 = w[7], w22 = w[8];                                                     \
            const int8_t *in0 = rows[0] + c, *in1 = rows[1] + c, *in2 = rows[2] + c;                              \
            const int32_t low = q[MBN_RV32IM_LOW], factor = q[MBN_RV32IM_FACTOR];                                 \
            const int32_t offset = q[MBN_RV32IM_OFFSET], span = q[MBN_RV32IM_SPAN];                               \
            int8_t *o = out + c;                                                                                  \
            const int8_t *const end = o + count * pixel;                                                          \
            if (span != 0) {                                                                                      \
                columns(mbn_requantize_short_rv32im(sum, low, factor, offset, span))                              \
            } else {                                                                                              \
                columns(mbn_requantize_long_rv32im(sum, low, factor))                                             \
            }                                                                                                     \
            w += 9;                                                                                               \
            q += MBN_RV32IM_WORDS;                                                                                \
        }                                                                                                         \
    }
ROWS_3X3(mbn_depthwise_conv2d_3x3_s1_s8_rv32im, COLUMNS_S1)
ROWS_3X3(mbn_depthwise_conv2d_3x3_s2_s8_rv32im, COLUMNS_S2)

#define COLUMN(...)            \
    {                          \
        const int32_t x = *in; \
        in += channels;        \
        __VA_ARGS__;           \
    }
/* The columns that one output needs, and four. */
#define ONE_5X5          \
    COLUMN(s0 += x * w0) \
    COLUMN(s0 += x * w1) \
    COLUMN(s0 += x * w2) \
    COLUMN(s0 += x * w3) \
    COLUMN(s0 += x * w4)
#define FOUR_5X5_S1                                                \
    COLUMN(s0 += x * w0)                                           \
    COLUMN(s0 += x * w1; s1 += x * w0)                             \
    COLUMN(s0 += x * w2; s1 += x * w1; s2 += x * w0)               \
    COLUMN(s0 += x * w3; s1 += x * w2; s2 += x * w1; s3 += x * w0) \
    COLUMN(s0 += x * w4; s1 += x * w3; s2 += x * w2; s3 += x * w1) \
    COLUMN(s1 += x * w4; s2 += x * w3; s3 += x * w2)               \
    COLUMN(s2 += x * w4; s3 += x * w3)                             \
    COLUMN(s3 += x * w4)
#define FOUR_5X5_S2                                  \
    COLUMN(s0 += x * w0)                             \
    COLUMN(s0 += x * w1)                             \
    COLUMN(s0 += x * w2; s1 += x * w0)               \
    COLUMN(s0 += x * w3; s1 += x * w1)               \
    COLUMN(s0 += x * w4; s1 += x * w2; s2 += x * w0) \
    COLUMN(s1 += x * w3; s2 += x * w1)               \
    COLUMN(s1 += x * w4; s2 += x * w2; s3 += x * w0) \
    COLUMN(s2 += x * w3; s3 += x * w1)               \
    COLUMN(s2 += x * w4; s3 += x * w2)               \
    COLUMN(s3 += x * w3)                             \
    COLUMN(s3 += x * w4)
/* For each row of the window. */
#define SUMS_5X5(COLUMNS)                                                              \
    for (int32_t y = 0; y < 5; y++) {                                                  \
        const int8_t *in = rows[y] + offset, *tap = w + 5 * y;                         \
        const int32_t w0 = tap[0], w1 = tap[1], w2 = tap[2], w3 = tap[3], w4 = tap[4]; \
        COLUMNS                                                                        \
    }
#define STORE_5X5(sum)                  \
    *o = mbn_requantize_rv32im(sum, q); \
    o += pixel;
/* All columns of all channels, 5x5, 4 pixels together and what is left one by one. */
#define ROWS_5X5(stride, COLUMNS)                                  \
    const int32_t channels = p->channels, pixel = p->pixel_stride; \
    const int8_t *w = p->weights;                                  \
    const int32_t *q = p->requantize;                              \
    (void)scratch;                                                 \
    for (int32_t c = 0; c < channels; c++) {                       \
        int32_t offset = c, left = count;                          \
        int8_t *o = out + c;                                       \
        for (; left >= 4; left -= 4) {                             \
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;                \
            SUMS_5X5(COLUMNS)                                      \
            STORE_5X5(s0)                                          \
            STORE_5X5(s1)                                          \
            STORE_5X5(s2)                                          \
            STORE_5X5(s3)                                          \
            offset += 4 * (stride)*channels;                       \
        }                                                          \
        for (; left >= 1; left -= 1) {                             \
            int32_t s0 = 0;                                        \
            SUMS_5X5(ONE_5X5)                                      \
            STORE_5X5(s0)                                          \
            offset += (stride)*channels;                           \
        }                                                          \
        w += 25;                                                   \
        q += MBN_RV32IM_WORDS;                                     \
    }

void mbn_depthwise_conv2d_5x5_s1_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(1, FOUR_5X5_S1)
}

void mbn_depthwise_conv2d_5x5_s2_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    ROWS_5X5(2, FOUR_5X5_S2)
}

/* Any window. */
void mbn_depthwise_conv2d_s8_rv32im(const mbn_depthwise_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out,
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
            out[i * p->pixel_stride + c] = mbn_requantize_rv32im(sum, q);
        }
        w += p->kernel_height * p->kernel_width;
        q += MBN_RV32IM_WORDS;
    }
}
