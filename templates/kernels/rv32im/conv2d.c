/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for RV32IM.
 *
 * Two pixels share one multiply: word = (x1 << 16) + x0, and S = sum(word * w) = 2^16 * H + L holds both sums as long as
 * L and H fit 16 bits. The compiler cuts the inputs of every pair of output channels into groups where that holds for
 * any activation. After a group, high += (S + 2^15) >> 16 (exactly H) and all += S; at the end L = all - (high << 16),
 * exact in 32 bits because only 16 bits of `high` reach it.
 */
#include "mbn_rv32im_row.h"

void mbn_conv2d_s8_rv32im(const mbn_conv2d_rv32im_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    mbn_conv2d_row_rv32im(p, rows, out, count, scratch, 0);
}
