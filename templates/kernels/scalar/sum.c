/* SPDX-License-Identifier: 0BSD */
/* sum of imported models in plain C99. */
#include "mbn_guard.h"
#include "mbn_kernels.h"

/* One output in float32: inputs in turn, the bias after `bias_at` of them. */
static int8_t float_output(const mbn_sum_params *p, const int8_t *const *rows, int32_t i, int32_t c)
{
    volatile float total = 0.0f;
    for (int32_t k = 0; k < p->inputs; k++) {
        const volatile float real = (float)(rows[k][i] - p->zero_points[k]) * p->float_scales[k];
        if (k == 0) {
            total = real;
        } else {
            total = total + real;
        }
        if (k + 1 == p->bias_at) {
            total = total + p->float_bias[c];
        }
    }
    {
        const volatile float scaled = total / p->float_scales[p->inputs];
        return mbn_quantize(scaled, p->zero_point, p->low, p->high);
    }
}

void mbn_sum_s8_scalar(const mbn_sum_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    const int32_t mask = ((int32_t)1 << p->shift) - 1;
    int32_t i = 0; /* in the inputs */
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++, i++) {
            int32_t line = p->offsets[p->bias_at == 0 ? 0 : c];
            int32_t value, rest;
            for (int32_t k = 0; k < p->inputs; k++) {
                line += rows[k][i] * p->multipliers[k];
            }
            value = (line >> p->shift) + p->zero_point;
            rest = line & mask;
            if ((rest < p->band || rest > mask - p->band) && value >= p->low - 1 && value <= p->high + 1) {
                out[c] = float_output(p, rows, i, c);
            } else {
                out[c] = mbn_clamp(value, p->low, p->high);
            }
        }
        out += p->pixel_stride;
    }
}
