/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 5x5 on Arm DSP cores, from interleaved rows to interleaved ones. */
#include "mbn_arm_dsp.h"

void mbn_depthwise_conv2d_5x5_interleaved_s8_arm_dsp(const mbn_depthwise_5x5_arm_dsp_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch)
{
    const int32_t channels = p->channels;
    (void)scratch;
    for (int32_t done = 0; done < count;) {
        const int32_t left = count - done, first = done * p->stride * p->in_bytes;
        /* Two and two are less than three and one. */
        const int32_t n = left == 4 ? 2 : left >= 3 ? 3 : left;
        mbn_depthwise_5x5_pixels b;
        b.zero_point = p->zero_point;
        b.out = out + done * p->pixel_stride;
        b.out_stride = p->pixel_stride;
        b.in_bytes = p->in_bytes;
        for (int i = 0; i < 5; i++) {
            b.rows[i] = rows[i] + first;
        }
        b.weights = p->weights;
        b.weights_end = p->weights + channels / 2 * 29;
        p->parts->pixels[n - 1](&b);
        done += n;
    }
}
