/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+, the fast form.
 *
 * Two pixels share one multiply: word = (x1 << 16) + x0, and S = sum(word * w) = 2^16 * H + L holds both sums as long as
 * L and H fit 16 bits. The compiler cuts the inputs of every output channel into groups of 2 to 12 where that holds for
 * any activation. The S of every group is stored; then high = sum of (S + 2^15) >> 16 (exactly H: ASRS leaves bit 15 in
 * the carry, ADCS adds it) and all = sum of S give L = all - (high << 16), exact in 32 bits.
 *
 * Four words (8 pixels) advance together, 16 bytes an input; weights and group lengths lie 16 bytes apart too, so one
 * pointer walks through words and weights, another through sums and group lengths.
 */
#include "mbn_lanes_row.h"

void mbn_conv2d_lanes_s8_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                                int32_t count, void *scratch)
{
    mbn_lanes_row(p, rows, out, count, scratch, 0);
}
