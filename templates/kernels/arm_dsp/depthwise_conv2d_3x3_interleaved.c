/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 on Arm DSP cores, from interleaved rows to interleaved ones. */
#include "mbn_arm_dsp.h"

void mbn_depthwise_conv2d_3x3_interleaved_s8_arm_dsp(const mbn_depthwise_interleaved_arm_dsp_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch)
{
    const int32_t channels = p->channels;
    (void)scratch;
    for (int32_t done = 0; done < count; done += 2) {
        const int32_t first = done * p->stride * p->in_bytes;
        const mbn_depthwise_pixels b = {p->zero_point,
                                        out + done * p->pixel_stride,
                                        p->pixel_stride,
                                        p->in_bytes,
                                        {rows[0] + first, rows[1] + first, rows[2] + first},
                                        p->weights + channels / 4 * 26,
                                        p->weights};
        (done + 2 <= count ? p->parts->two : p->parts->one)(&b);
    }
}
