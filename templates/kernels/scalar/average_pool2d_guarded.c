/* SPDX-License-Identifier: 0BSD */
/* average_pool2d of imported models in plain C99. */
#include "mbn_guard.h"
#include "mbn_kernels.h"

#define LANES 4

static float pixel(const mbn_guarded_pool_params *p, const int8_t *const *rows, int32_t first, int32_t i)
{
    const int32_t ky = i / p->kernel_width, kx = i % p->kernel_width;
    const volatile float real = (float)(rows[ky][first + kx * p->channels] - p->in_zero_point) * p->float_scales[0];
    return real;
}

/* One output in float32, pixels added up in ONNX Runtime's order: see FloatMean in mbn2c's ops/base/requantize.py. */
static int8_t float_output(const mbn_guarded_pool_params *p, const int8_t *const *rows, int32_t first, int32_t c)
{
    const int32_t count = p->kernel_height * p->kernel_width;
    const int32_t start = p->is_aligned ? (LANES - c * count % LANES) % LANES : 0;
    const int32_t groups = p->lanes == 1 || start >= count ? 0 : (count - start) / LANES;
    const int32_t paired = groups / p->unroll * p->unroll;
    float sums[2][LANES];
    float total;
    if (groups == 0) {
        total = pixel(p, rows, first, 0);
        for (int32_t i = 1; i < count; i++) {
            total += pixel(p, rows, first, i);
        }
    } else {
        for (int32_t lane = 0; lane < LANES; lane++) {
            const int32_t at = start + lane;
            for (int32_t g = 0; g < p->unroll && g < groups; g++) {
                sums[g][lane] = pixel(p, rows, first, at + g * LANES);
            }
            for (int32_t g = p->unroll; g < paired; g++) {
                sums[g % p->unroll][lane] += pixel(p, rows, first, at + g * LANES);
            }
            if (p->unroll == 2 && groups > 1) {
                sums[0][lane] += sums[1][lane];
                if (paired < groups) {
                    sums[0][lane] += pixel(p, rows, first, at + paired * LANES);
                }
            }
        }
        total = (sums[0][0] + sums[0][2]) + (sums[0][1] + sums[0][3]);
        for (int32_t i = 0; i < start; i++) {
            total += pixel(p, rows, first, i);
        }
        for (int32_t i = start + groups * LANES; i < count; i++) {
            total += pixel(p, rows, first, i);
        }
    }
    {
        const volatile float mean = total / (float)count;
        const volatile float scaled = mean / p->float_scales[1];
        const float near = scaled < -520.0f ? -520.0f : scaled > 520.0f ? 520.0f : scaled;
        const volatile float shifted = near + p->float_scales[2];
        return mbn_clamp(mbn_rint(shifted) - (int32_t)p->float_scales[2] + p->zero_point, p->low, p->high);
    }
}

static int8_t output(const mbn_guarded_pool_params *p, const int8_t *const *rows, int32_t first, int32_t c, int32_t acc)
{
    if (p->lanes > 0) {
        int near;
        const int32_t value = mbn_guess(acc, p->multiplier, p->shift, p->band, p->zero_point, p->low, p->high, &near);
        return near ? float_output(p, rows, first, c) : mbn_clamp(value, p->low, p->high);
    }
    return mbn_requantize_guarded(acc, p->multiplier, p->shift, p->band, p->scale[0], p->zero_point, p->low, p->high);
}

void mbn_average_pool2d_guarded_s8_scalar(const mbn_guarded_pool_params *p, const int8_t *const *rows, int8_t *out,
                                          int32_t count, void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t first = x * p->stride * p->channels + c;
            int32_t acc = p->bias;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    acc += *in;
                    in += p->dilation * p->channels;
                }
            }
            out[c] = output(p, rows, first, c, acc);
        }
        out += p->pixel_stride;
    }
}
