/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d of imported models in plain C99. */
#include "mbn_guard.h"
#include "mbn_kernels.h"

static int32_t weight(const mbn_guarded_params *p, int32_t at)
{
    return p->wide ? ((const int16_t *)p->weights)[at] : ((const int8_t *)p->weights)[at];
}

static int32_t narrow_row(const mbn_guarded_params *p, const int8_t *in, const int8_t *w)
{
    int32_t acc = 0;
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        acc += *in * *w;
        in += p->dilation * p->in_channels;
        w += p->out_channels;
    }
    return acc;
}

static int32_t wide_row(const mbn_guarded_params *p, const int8_t *in, const int16_t *w)
{
    int32_t acc = 0;
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        acc += *in * *w;
        in += p->dilation * p->in_channels;
        w += p->out_channels;
    }
    return acc;
}

/* One output in float32, in ONNX Runtime's order: kernel row, kernel column. */
static int8_t float_output(const mbn_guarded_params *p, const int8_t *const *rows, int32_t first, int32_t o)
{
    const float x_scale = p->float_scales[0], y_scale = p->float_scales[1];
    mbn_float_sum sum;
    mbn_float_sum_begin(&sum, p->float_bias[o], p->block);
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            const int32_t w = weight(p, (ky * p->kernel_width + kx) * p->out_channels + o);
            const int32_t x = rows[ky][first + kx * p->dilation * p->in_channels] - p->in_zero_point;
            const volatile float real_x = (float)x * x_scale, real_w = (float)w * p->scale[o];
            mbn_float_sum_add(&sum, real_x, real_w, p->block);
        }
    }
    const volatile float scaled = mbn_float_sum_end(&sum, p->float_bias[o], p->block) / y_scale;
    return mbn_quantize(scaled, p->zero_point, p->low, p->high);
}

void mbn_depthwise_conv2d_guarded_s8_scalar(const mbn_guarded_params *p, const int8_t *const *rows, int8_t *out,
                                            int32_t count, void *scratch)
{
    const int32_t multiplier = p->out_channels / p->in_channels;
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t o = 0; o < p->out_channels; o++) {
            const int32_t first = x * p->stride * p->in_channels + o / multiplier;
            int32_t acc = p->bias[o];
            int32_t at = o;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                acc += p->wide ? wide_row(p, rows[ky] + first, (const int16_t *)p->weights + at)
                               : narrow_row(p, rows[ky] + first, (const int8_t *)p->weights + at);
                at += p->kernel_width * p->out_channels;
            }
            if (p->is_float) {
                int near;
                const int32_t value =
                    mbn_guess(acc, p->multiplier[o], p->shift, p->band[o], p->zero_point, p->low, p->high, &near);
                out[o] = near ? float_output(p, rows, first, o) : mbn_clamp(value, p->low, p->high);
            } else {
                out[o] = mbn_requantize_guarded(acc, p->multiplier[o], p->shift, p->band[o], p->scale[o], p->zero_point,
                                                p->low, p->high);
            }
        }
        out += p->pixel_stride;
    }
}
