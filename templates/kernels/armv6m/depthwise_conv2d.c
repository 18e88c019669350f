/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d for Cortex-M0+.
 *
 * One channel at a time. Row pointers, weights and constants stand on the stack as words in the order of their use,
 * so that LDM brings a row pointer and weights at once, and MULS may overwrite the weights. 5x5 likewise.
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

/* A row of all channels, 5x5. */
static void row_5x5(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                    int32_t stride)
{
    mbn_depthwise_5x5_frame_armv6m f;
    for (int32_t k = 0; k < 5; k++) {
        f.row[k].in = rows[k];
    }
    f.weights = p->weights;
    f.requantize = p->requantize;
    f.out = out;
    f.row_bytes = count * p->pixel_stride;
    f.channel = 0;
    f.channels = p->channels;
    f.rounding = p->rounding;
    f.step = stride * p->channels;
    f.pixel_stride = p->pixel_stride;
    mbn_depthwise_5x5_row_armv6m(&f);
}

void mbn_depthwise_conv2d_5x5_s1_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    (void)scratch;
    if (count > 0) {
        row_5x5(p, rows, out, count, 1);
    }
}

void mbn_depthwise_conv2d_5x5_s2_s8_armv6m(const mbn_depthwise_conv2d_armv6m_params *p, const int8_t *const *rows,
                                           int8_t *out, int32_t count, void *scratch)
{
    (void)scratch;
    if (count > 0) {
        row_5x5(p, rows, out, count, 2);
    }
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
