/* SPDX-License-Identifier: 0BSD */
/* grouped_conv2d in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

/* Adds the products of a window of one group with the weights of two output channels, which lie `taps` apart. */
static inline void mbn_two_dots(const mbn_grouped_conv_params *p, const int8_t *const *rows, int32_t first,
                                const int8_t *w, int32_t taps, int32_t *acc)
{
    int32_t acc0 = acc[0], acc1 = acc[1];
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *in = rows[ky] + first;
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            for (int32_t i = 0; i < p->group_inputs; i++, w++) {
                acc0 += in[i] * w[0];
                acc1 += in[i] * w[taps];
            }
            in += p->dilation * p->in_bytes;
        }
    }
    acc[0] = acc0;
    acc[1] = acc1;
}

void mbn_grouped_conv2d_s8_scalar(const mbn_grouped_conv_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    const int32_t taps = p->kernel_height * p->kernel_width * p->group_inputs;
    (void)scratch;
    for (int32_t x = 0; x < count; x++, out += p->pixel_stride) {
        int32_t first = x * p->stride * p->in_bytes;
        for (int32_t group = 0; group < p->out_channels; group += p->group_outputs, first += p->group_inputs) {
            for (int32_t k = 0; k < p->group_outputs; k += 2) {
                const int32_t o = group + k, is_alone = k + 1 == p->group_outputs, other = is_alone ? o : o + 1;
                int32_t acc[2] = {p->bias[o], p->bias[other]};
                mbn_two_dots(p, rows, first, p->weights + o * taps, is_alone ? 0 : taps, acc);
                out[o] = mbn_requantize(acc[0], p->multiplier[o], p->shift, p->zero_point);
                out[other] = mbn_requantize(acc[1], p->multiplier[other], p->shift, p->zero_point);
            }
        }
    }
}
