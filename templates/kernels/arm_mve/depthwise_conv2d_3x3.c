/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 on Helium, from planar rows to interleaved ones. */
#include "mbn_arm_mve.h"

void mbn_depthwise_conv2d_3x3_s8_arm_mve(const mbn_depthwise_conv2d_arm_mve_params *p, const int8_t *const *rows,
                                         int8_t *out, int32_t count, void *scratch)
{
    const int8_t *weights = (const int8_t *)p->weights;
    mbn_depthwise_offsets_mve offsets;
    for (int i = 0; i < 8; i++) {
        offsets.lane[i] = (uint16_t)(i * p->pixel_stride);
    }
    for (int32_t done = 0; done < count;) {
        int32_t n = count - done < p->block ? count - done : p->block;
        if (n > 7) {
            n = n > 14 ? 14 : n & ~1; /* two groups */
        }
        const int32_t group = n > 7 ? n / 2 : n;
        const mbn_depthwise_block_mve b = {
            {rows[0] + done * p->stride, rows[1] + done * p->stride, rows[2] + done * p->stride},
            (int8_t *)scratch,
            weights,
            out + done * p->pixel_stride,
            p->channel_stride,
            p->zero_point,
            &offsets,
            weights + 28 * p->channels};
        offsets.mask = 0xffffu >> (16 - 2 * group);
        offsets.second = group * p->pixel_stride;
        p->parts->blocks[n < 8 ? n - 1 : n / 2 + 3](&b);
        done += n;
    }
}
