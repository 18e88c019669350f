/* SPDX-License-Identifier: 0BSD */
/* conv2d with any window on Helium: the rows of each window are copied to columns [pixel][taps], and what is left is a 1x1
 * convolution. */
#include "mbn_arm_mve.h"
#include "mbn_mve.h"

typedef void kernel(const mbn_conv2d_1x1_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                    void *scratch);

static inline void run(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                       void *scratch, kernel *of_taps)
{
    const mbn_conv2d_1x1_arm_mve_params taps = {p->weights,      p->parts,      p->taps,      p->taps,
                                                p->out_channels, p->zero_point, p->out_stride};
    const int32_t row_bytes = p->row_bytes;
    int8_t *columns = (int8_t *)scratch;
    const int8_t *const column_row[1] = {columns};
    for (int32_t done = 0; done < count;) {
        const int32_t left = count - done;
        const int32_t pixels = left == 5 || left == 6 ? 3 : left >= 4 ? 4 : left;
        int8_t *to = columns;
        for (int32_t i = 0; i < pixels; i++) {
            for (int32_t r = 0; r < p->kernel_height; r++) {
                /* Whole vectors; what is too much is overwritten by the next. */
                const int8_t *from = rows[r] + (done + i) * p->step;
                for (int32_t k = 0; k < row_bytes; k += 16) {
                    mbn_copy16(to + k, from + k);
                }
                to += row_bytes;
            }
        }
        of_taps(&taps, column_row, out, pixels, columns);
        out += pixels * (p->out_stride > 0 ? 1 : -p->out_stride);
        done += pixels;
    }
}

void mbn_conv2d_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    run(p, rows, out, count, scratch, mbn_conv2d_1x1_s8_arm_mve);
}

void mbn_conv2d_odd_s8_arm_mve(const mbn_conv2d_arm_mve_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    run(p, rows, out, count, scratch, mbn_conv2d_1x1_odd_s8_arm_mve);
}
