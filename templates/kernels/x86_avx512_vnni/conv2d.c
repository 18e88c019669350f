/* SPDX-License-Identifier: 0BSD */
/* conv2d with any window: the windows of up to twelve pixels are copied to columns [pixel][taps], and what is left is a 1x1
 * convolution. */
#include "mbn_avx512_math.h"
#include "mbn_x86_avx512_vnni.h"

void mbn_conv2d_s8_x86_avx512_vnni(const mbn_conv2d_x86_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    int8_t *columns = (int8_t *)scratch;
    const int8_t *const column_row[1] = {columns};
    for (int32_t done = 0; done < count; done += 12) {
        const int32_t pixels = count - done < 12 ? count - done : 12;
        mbn_gather(rows, done, p->step, pixels, p->kernel_height, p->row_bytes, columns, p->in_bytes);
        mbn_conv2d_1x1_s8_x86_avx512_vnni(p, column_row, out, pixels, NULL);
        out += pixels * p->pixel_stride;
    }
}
