/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 for Cortex-M0+, a row of all channels, in plain C for tests on the host. */
#include "mbn_armv6m.h"

static void row3x3(const mbn_depthwise_frame_armv6m *f, int32_t stride)
{
    const int8_t *w = f->weights;
    const int32_t *q = f->requantize;
    for (int32_t c = f->channel; c < f->channels; c++) {
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (int32_t i = 0; i < f->row_bytes; i += f->channels) {
            int32_t sum = 0;
            for (int32_t k = 0; k < 9; k++) {
                sum += f->row[k / 3].in[c + i * stride + k % 3 * f->channels] * w[k];
            }
            f->out[c + i] = mbn_requantize_armv6m(sum, &stairs);
        }
        w += 9;
        q += MBN_ARMV6M_WORDS;
    }
}

void mbn_depthwise_row_s1_armv6m(const mbn_depthwise_frame_armv6m *f)
{
    row3x3(f, 1);
}

void mbn_depthwise_row_s2_armv6m(const mbn_depthwise_frame_armv6m *f)
{
    row3x3(f, 2);
}
