/* SPDX-License-Identifier: 0BSD */
/* conv2d with any window on Arm DSP cores: the rows of each window are copied to columns [pixel][taps], and what is left is
 * a 1x1 convolution. */
#include <string.h>

#include "mbn_arm_dsp.h"

typedef void kernel(const mbn_conv2d_1x1_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                    void *scratch);

static inline void run(const mbn_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                       void *scratch, kernel *of_taps)
{
    const mbn_conv2d_1x1_arm_dsp_params taps = {p->weights,      p->parts,      p->taps,      p->taps,
                                                p->out_channels, p->zero_point, p->out_stride};
    int8_t *columns = (int8_t *)scratch;
    const int8_t *const column_row[1] = {columns};
    for (int32_t done = 0; done < count; done += 4) {
        const int32_t pixels = count - done < 4 ? count - done : 4;
        memset(columns, 0, (size_t)(pixels * p->taps));
        for (int32_t i = 0; i < pixels; i++) {
            int8_t *to = columns + i * p->taps;
            for (int32_t r = 0; r < p->kernel_height; r++) {
                memcpy(to, rows[r] + (done + i) * p->step, (size_t)p->row_bytes);
                to += p->row_bytes;
            }
        }
        of_taps(&taps, column_row, out, pixels, columns + 4 * p->taps);
        out += pixels * (p->out_stride > 0 ? 1 : -p->out_stride);
    }
}

void mbn_conv2d_s8_arm_dsp(const mbn_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    run(p, rows, out, count, scratch, mbn_conv2d_1x1_s8_arm_dsp);
}

void mbn_conv2d_odd_s8_arm_dsp(const mbn_conv2d_arm_dsp_params *p, const int8_t *const *rows, int8_t *out,
                               int32_t count, void *scratch)
{
    run(p, rows, out, count, scratch, mbn_conv2d_1x1_odd_s8_arm_dsp);
}
