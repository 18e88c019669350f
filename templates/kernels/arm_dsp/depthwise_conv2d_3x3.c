/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 on Arm DSP cores, from planar rows to interleaved ones. */
#include "mbn_arm_dsp.h"

void mbn_depthwise_conv2d_3x3_s8_arm_dsp(const mbn_depthwise_conv2d_arm_dsp_params *p, const int8_t *const *rows,
                                         int8_t *out, int32_t count, void *scratch)
{
    const int is_shared = p->parts->multipliers != NULL;
    const void *const end = (const int8_t *)p->weights + p->channels * (is_shared ? 13 : 16);
    int32_t done = 0;
    (void)scratch;
    while (done < count) {
        const int32_t left = count - done;
        const int32_t n = left >= p->block ? p->block : left;
        const int32_t blocks = left / n;
        mbn_depthwise_block b;
        b.zero_point = p->zero_point;
        b.out = out + done * p->pixel_stride;
        b.out_stride = p->pixel_stride;
        for (int i = 0; i < 3; i++) {
            b.rows[i] = rows[i] + done * p->stride;
        }
        b.blocks_left = b.blocks = blocks;
        const int is_once = blocks == 1 && !is_shared;
        b.row_skip = is_once ? p->channel_stride : p->channel_stride - blocks * n * p->stride;
        b.out_back = 1 - blocks * n * p->pixel_stride;
        b.multipliers = p->parts->multipliers;
        b.weights = p->weights;
        b.weights_end = end;
        (is_once ? p->parts->once : p->parts->several)[n - 1](&b);
        done += blocks * n;
    }
}
