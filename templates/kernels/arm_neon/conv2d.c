/* SPDX-License-Identifier: 0BSD */
/* conv2d with any window and Advanced SIMD: the windows of eight pixels are copied to columns [pixel][taps], and what is left
 * is a 1x1 convolution. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

void mbn_conv2d_s8_arm_neon(const mbn_conv2d_arm_neon_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                            void *scratch)
{
    const int32_t column = p->in_bytes;
    int8_t *columns = (int8_t *)scratch;
    const int8_t *const column_row[1] = {columns};
    for (int32_t done = 0; done < count; done += 8) {
        const int32_t pixels = count - done < 8 ? count - done : 8;
        mbn_gather(rows, done, p->step, pixels, p->kernel_height, p->row_bytes, columns, column);
        mbn_conv2d_1x1_s8_arm_neon(p, column_row, out, pixels, NULL);
        out += pixels * p->pixel_stride;
    }
}
