/* SPDX-License-Identifier: 0BSD */
/* As conv2d.c, for weights of four bits: a byte has an input's weights of both channels of a pair. Small weights make
 * long groups, and what is saved between them is more than what the halves of bytes cost. */
#include "mbn_rv32im_row.h"

void mbn_conv2d_w4_s8_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch)
{
    mbn_conv2d_row_rv32im(p, rows, out, count, scratch, 1);
}
