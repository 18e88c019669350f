/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M3.
 *
 * Two pixels share one multiply. Activations x0, x1 of two pixels stand in one word, (x1 << 24) + (x0 + 128); SMLAL adds
 * word * w to a 64-bit accumulator whose low 24 bits hold the sum of the even pixel, the rest that of the odd pixel.
 * mbn2c proved 255 * sum(w > 0) < 2^23 and 255 * sum(w < 0) > -2^23 per channel, so the low lane starting at 2^23
 * never leaves 24 bits and needs no split. Offsets (128 * sum(w), 2^23, bias) are folded into R.
 */
#include "mbn_armv7m_row.h"

void mbn_conv2d_s8_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    mbn_conv2d_row_armv7m(p, rows, out, count, scratch, 0);
}
