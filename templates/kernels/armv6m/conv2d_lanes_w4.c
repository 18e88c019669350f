/* SPDX-License-Identifier: 0BSD */
/* As conv2d_lanes.c, for weights of four bits. */
#include "mbn_lanes_row.h"

void mbn_conv2d_lanes_w4_s8_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch)
{
    mbn_lanes_row(p, rows, out, count, scratch, 1);
}
