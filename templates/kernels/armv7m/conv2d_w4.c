/* SPDX-License-Identifier: 0BSD */
/* As conv2d.c, for weights of four bits: a word has those of eight inputs, and SBFX takes the place of a load. */
#include "mbn_armv7m_row.h"

void mbn_conv2d_w4_s8_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch)
{
    mbn_conv2d_row_armv7m(p, rows, out, count, scratch, 1);
}
