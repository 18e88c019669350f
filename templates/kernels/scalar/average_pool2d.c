/* SPDX-License-Identifier: 0BSD */
/* average_pool2d in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_average_pool2d_s8_scalar(const mbn_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                                  void *scratch)
{
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        const int32_t first = x * p->stride * p->channels;
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t acc = p->bias;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first + c;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    acc += *in;
                    in += p->dilation * p->channels;
                }
            }
            out[c] = mbn_requantize(acc, p->multiplier, p->shift, p->zero_point);
        }
        out += p->pixel_stride;
    }
}
