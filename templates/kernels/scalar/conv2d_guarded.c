/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected of imported models in plain C99. */
#include "mbn_guard.h"
#include "mbn_kernels.h"

#define CHANNELS_AT_ONCE 4

/* Adds the products of `count` inputs with the weights of four output channels, which lie `apart` from each other. */
static void narrow_dots(const int8_t *in, const int8_t *w, int32_t apart, int32_t count, int32_t *acc)
{
    const int8_t *w1 = w + apart, *w2 = w1 + apart, *w3 = w2 + apart;
    int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = in[i];
        acc0 += x * w[i];
        acc1 += x * w1[i];
        acc2 += x * w2[i];
        acc3 += x * w3[i];
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

static void wide_dots(const int8_t *in, const int16_t *w, int32_t apart, int32_t count, int32_t *acc)
{
    const int16_t *w1 = w + apart, *w2 = w1 + apart, *w3 = w2 + apart;
    int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = in[i];
        acc0 += x * w[i];
        acc1 += x * w1[i];
        acc2 += x * w2[i];
        acc3 += x * w3[i];
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

/* One output in float32, in ONNX Runtime's order: input channel, kernel row, kernel column. */
static int8_t float_output(const mbn_guarded_params *p, const int8_t *const *rows, int32_t first, int32_t o)
{
    const int32_t taps = p->kernel_height * p->kernel_width;
    const float x_scale = p->float_scales[0], y_scale = p->float_scales[1];
    mbn_float_sum sum;
    mbn_float_sum_begin(&sum, p->float_bias[o], p->block);
    for (int32_t i = 0; i < p->in_channels; i++) {
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                const int32_t at = (o * taps + ky * p->kernel_width + kx) * p->in_channels + i;
                const int32_t w = p->wide ? ((const int16_t *)p->weights)[at] : ((const int8_t *)p->weights)[at];
                const int32_t x = rows[ky][first + kx * p->dilation * p->in_channels + i] - p->in_zero_point;
                const volatile float real_x = (float)x * x_scale, real_w = (float)w * p->scale[o];
                mbn_float_sum_add(&sum, real_x, real_w, p->block);
            }
        }
    }
    const volatile float scaled = mbn_float_sum_end(&sum, p->float_bias[o], p->block) / y_scale;
    return mbn_quantize(scaled, p->zero_point, p->low, p->high);
}

static int8_t output(const mbn_guarded_params *p, const int8_t *const *rows, int32_t first, int32_t o, int32_t acc)
{
    int near;
    if (p->is_float) {
        const int32_t value =
            mbn_guess(acc, p->multiplier[o], p->shift, p->band[o], p->zero_point, p->low, p->high, &near);
        return near ? float_output(p, rows, first, o) : mbn_clamp(value, p->low, p->high);
    }
    return mbn_requantize_guarded(acc, p->multiplier[o], p->shift, p->band[o], p->scale[o], p->zero_point, p->low,
                                  p->high);
}

void mbn_conv2d_guarded_s8_scalar(const mbn_guarded_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                  void *scratch)
{
    const int32_t per_channel = p->kernel_height * p->kernel_width * p->in_channels;
    /* With fewer than four channels each is computed alone, four times. */
    const int32_t group = p->out_channels < CHANNELS_AT_ONCE ? 1 : CHANNELS_AT_ONCE;
    const int32_t apart = group == 1 ? 0 : per_channel;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t first = x * p->stride * p->in_channels;
        for (int32_t o = 0; o < p->out_channels; o += group) {
            /* The last group overlaps the one before. */
            const int32_t from = o + group > p->out_channels ? p->out_channels - group : o;
            int32_t acc[CHANNELS_AT_ONCE] = {0, 0, 0, 0};
            int32_t at = from * per_channel;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    if (p->wide) {
                        wide_dots(in, (const int16_t *)p->weights + at, apart, p->in_channels, acc);
                    } else {
                        narrow_dots(in, (const int8_t *)p->weights + at, apart, p->in_channels, acc);
                    }
                    at += p->in_channels;
                    in += p->dilation * p->in_channels;
                }
            }
            for (int32_t k = 0; k < group; k++) {
                out[from + k] = output(p, rows, first, from + k, acc[k] + p->bias[from + k]);
            }
        }
        out += p->pixel_stride;
    }
}
