/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 on Helium, from interleaved rows to interleaved ones. */
#include "mbn_arm_mve.h"

void mbn_depthwise_conv2d_3x3_interleaved_s8_arm_mve(const mbn_depthwise_interleaved_arm_mve_params *p,
                                                     const int8_t *const *rows, int8_t *out, int32_t count,
                                                     void *scratch)
{
    const int32_t channels = p->channels, read = (channels + 15) & ~15;
    const mbn_depthwise_pixels_mve b = {
        {rows[0], rows[1], rows[2]}, channels, p->zero_point, out, p->weights, count, p->stride * channels - read,
        p->pixel_stride - read};
    (void)scratch;
    mbn_depthwise_pixels_arm_mve(&b);
}
