/* SPDX-License-Identifier: 0BSD */
/* max_pool2d on Helium, where no pad can be the largest: 16 channels at once. */
#include "mbn_arm_mve.h"
#include "mbn_mve.h"

void mbn_max_pool2d_s8_arm_mve(const mbn_max_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                               void *scratch)
{
    const int32_t step = p->dilation_width * p->in_bytes;
    (void)scratch;
    for (int32_t i = 0; i < count; i++, out += p->out_bytes) {
        const int32_t first = i * p->stride_width * p->in_bytes;
        /* Reads up to 15 bytes past the rows; the store is masked. */
        for (int32_t c = 0; c < p->channels; c += 16) {
            mbn_int8x16 largest = mbn_load16(rows[0] + first + c);
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first + c;
                for (int32_t kx = 0; kx < p->kernel_width; kx++, in += step) {
                    largest = mbn_max16(largest, mbn_load16(in));
                }
            }
            mbn_store16(out + c, largest, p->channels - c);
        }
    }
}
