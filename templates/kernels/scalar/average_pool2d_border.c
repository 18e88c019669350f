/* SPDX-License-Identifier: 0BSD */
/* average_pool2d in plain C99 where not every pad counts. Pads hold the zero point, so sums need no test. */
#include "mbn_kernels.h"
#include "mbn_math.h"

/* How many of `kernel` taps from `first` on, `dilation` apart, lie between begin and end - 1. */
static inline int32_t mbn_taps_counted(int32_t first, int32_t kernel, int32_t dilation, int32_t begin, int32_t end)
{
    int32_t counted = 0;
    for (int32_t k = 0; k < kernel; k++, first += dilation) {
        counted += first >= begin && first < end;
    }
    return counted;
}

void mbn_average_pool2d_border_s8_scalar(const mbn_border_pool_params *p, const int8_t *const *rows, int8_t *out,
                                         int32_t count, void *scratch, int32_t y, int32_t x)
{
    const int32_t row_count =
        mbn_taps_counted(y * p->stride_height - p->top, p->kernel_height, p->dilation_height, p->first_row, p->end_row);
    (void)scratch;
    for (int32_t i = 0; i < count; i++) {
        const int32_t first = i * p->stride_width * p->channels;
        const int32_t column_count = mbn_taps_counted((x + i) * p->stride_width - p->left, p->kernel_width,
                                                      p->dilation_width, p->first_column, p->end_column);
        const int32_t multiplier = p->multiplier[row_count * column_count - 1];
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t acc = p->bias;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first + c;
                for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                    acc += *in;
                    in += p->dilation_width * p->channels;
                }
            }
            out[c] = mbn_requantize(acc, multiplier, p->shift, p->zero_point);
        }
        out += p->pixel_stride;
    }
}
