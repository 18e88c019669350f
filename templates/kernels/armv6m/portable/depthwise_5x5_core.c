/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 5x5 for Cortex-M0+, a row of all channels, in plain C for tests on the host. */
#include "mbn_armv6m.h"

void mbn_depthwise_5x5_row_armv6m(const mbn_depthwise_5x5_frame_armv6m *f)
{
    const int8_t *w = f->weights;
    const int32_t *q = f->requantize;
    for (int32_t c = f->channel; c < f->channels; c++) {
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (int32_t i = 0; i * f->pixel_stride < f->row_bytes; i++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < 25; k++) {
                sum += f->row[k / 5].in[c + i * f->step + k % 5 * f->channels] * w[k];
            }
            f->out[c + i * f->pixel_stride] = mbn_requantize_armv6m(sum, &stairs);
        }
        w += 25;
        q += MBN_ARMV6M_WORDS;
    }
}
