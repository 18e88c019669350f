/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+, without scratch.
 *
 * Four pixels share every weight; pixels that are left over are made one by one, and then four outputs share every input.
 */
#include "mbn_armv6m.h"

static void clear(mbn_dots_armv6m *d)
{
    for (int32_t i = 0; i < 4; i++) {
        d->sum[i] = 0;
    }
}

static void four_pixels(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int8_t *out,
                        mbn_dots_armv6m *d)
{
    const int8_t *w = p->weights;
    const int32_t *q = p->requantize;
    for (int32_t o = 0; o < p->outputs; o++) {
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, p->rounding);
        clear(d);
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *x = rows[r] + offset + p->row_bytes;
            for (int32_t i = 0; i < 4; i++) {
                d->many[i] = x;
                x += p->step_bytes;
            }
            w += p->row_bytes;
            d->one = w;
            mbn_add_products_armv6m(d);
        }
        for (int32_t i = 0; i < 4; i++) {
            out[i * p->pixel_stride + o] = mbn_requantize_armv6m(d->sum[i], &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}

static void one_pixel(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int8_t *out,
                      mbn_dots_armv6m *d)
{
    for (int32_t o = 0; o < p->outputs; o += 4) {
        const int32_t some = p->outputs - o < 4 ? p->outputs - o : 4;
        const int8_t *w = p->weights + o * p->inputs;
        clear(d);
        for (int32_t r = 0; r < p->kernel_height; r++) {
            w += p->row_bytes;
            for (int32_t i = 0; i < 4; i++) {
                d->many[i] = w + (i < some ? i : 0) * p->inputs;
            }
            d->one = rows[r] + offset + p->row_bytes;
            mbn_add_products_armv6m(d);
        }
        for (int32_t i = 0; i < some; i++) {
            const mbn_stairs_armv6m stairs =
                mbn_stairs_of_armv6m(p->requantize + (o + i) * MBN_ARMV6M_WORDS, p->rounding);
            out[o + i] = mbn_requantize_armv6m(d->sum[i], &stairs);
        }
    }
}

void mbn_conv2d_direct_s8_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                 int32_t count, void *scratch)
{
    int32_t offset = 0;
    mbn_dots_armv6m d;
    (void)scratch;
    d.left = -(int32_t)p->row_bytes;
    for (; count >= 4; count -= 4) {
        four_pixels(p, rows, offset, out, &d);
        offset += 4 * p->step_bytes;
        out += 4 * p->pixel_stride;
    }
    for (; count > 0; count--) {
        one_pixel(p, rows, offset, out, &d);
        offset += p->step_bytes;
        out += p->pixel_stride;
    }
}
