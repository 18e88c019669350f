/* SPDX-License-Identifier: 0BSD */
/* prelu in plain C99: two lines that meet at zero, the one below it of the channel. */
#include "mbn_kernels.h"

void mbn_prelu_s8_scalar(const mbn_prelu_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                         void *scratch)
{
    const int32_t half = ((int32_t)1 << (p->shift - 1)) + p->raised;
    const int8_t *in = rows[0];
    (void)scratch;
    for (int32_t x = 0; x < count; x++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t centred = in[c] - p->zero_point_x;
            const int32_t multiplier = centred >= 0 ? p->multiplier : p->multipliers[c];
            const int32_t scaled = ((centred * multiplier + half) >> p->shift) + p->zero_point;
            int32_t value = scaled < -128 ? -128 : scaled > 127 ? 127 : scaled;
            if (p->lower) {
                const uint32_t place = (uint32_t)c * 256u + (uint32_t)(in[c] + 128);
                value -= (int32_t)(((uint32_t)(uint8_t)p->lower[place >> 3] >> (place & 7u)) & 1u);
            }
            out[c] = (int8_t)value;
        }
        in += p->channels;
        out += p->pixel_stride;
    }
}
