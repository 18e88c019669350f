/* SPDX-License-Identifier: 0BSD */
/* depthwise_conv2d 3x3 with SDOT, sixteen channels at a time. */
#include "mbn_arm_dotprod.h"

void mbn_depthwise_conv2d_3x3_s8_arm_dotprod(const mbn_depthwise_conv2d_arm_neon_params *p, const int8_t *const *rows,
                                             int8_t *out, int32_t count, void *scratch)
{
    const int is_double = p->step != p->column;
    mbn_depthwise_row_arm_dotprod r;
    (void)scratch;
    r.in_bytes = p->column;
    r.out_bytes = p->pixel_stride;
    r.count = count;
    r.zero_point = p->zero_point;
    r.weights = p->weights;
    for (int32_t c = 0; c < p->channels; c += 16, r.weights += 192) {
        /* The last group is the last sixteen channels, some of them once more. */
        const int32_t first = p->channels >= 16 && c + 16 > p->channels ? p->channels - 16 : c;
        r.bias = p->bias + first;
        r.multiplier = p->multiplier + first;
        r.out = out + first;
        for (int i = 0; i < 3; i++) {
            r.in[i] = rows[i] + first;
        }
        if (p->channels < 16 && is_double) {
            mbn_depthwise_row_8x2_arm_dotprod(&r);
        } else if (p->channels < 16) {
            mbn_depthwise_row_8x1_arm_dotprod(&r);
        } else if (is_double) {
            mbn_depthwise_row_16x2_arm_dotprod(&r);
        } else {
            mbn_depthwise_row_16x1_arm_dotprod(&r);
        }
    }
}
