/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_row.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dotprod.h"
#include "mbn_neon.h"

static void make_row(const mbn_depthwise_row_arm_dotprod *r, int channels, int stride)
{
    for (int64_t x = 0; x < r->count; x++) {
        for (int c = 0; c < channels; c++) {
            int32_t sum = r->bias[c];
            for (int k = 0; k < 9; k++) {
                const int8_t tap = r->weights[64 * (k % 3) + 4 * c + k / 3];
                sum = mbn_wrap32((int64_t)sum + r->in[k / 3][(x * stride + k % 3) * r->in_bytes + c] * tap);
            }
            const int16_t scaled = mbn_to_s16(mbn_doubled(sum, r->multiplier[c]));
            r->out[x * r->out_bytes + c] = mbn_to_s8(scaled + (int32_t)r->zero_point);
        }
    }
}

void mbn_depthwise_row_16x1_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r)
{
    make_row(r, 16, 1);
}

void mbn_depthwise_row_16x2_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r)
{
    make_row(r, 16, 2);
}

void mbn_depthwise_row_8x1_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r)
{
    make_row(r, 8, 1);
}

void mbn_depthwise_row_8x2_arm_dotprod(const mbn_depthwise_row_arm_dotprod *r)
{
    make_row(r, 8, 2);
}
