/* SPDX-License-Identifier: 0BSD */
/* lookup on Arm DSP cores, from interleaved rows to interleaved or planar ones. */
#include "mbn_arm_dsp.h"

/* Four values that lie `from` apart to four that lie `step` apart; all are read before the first is written. */
static inline void lookup4(const int8_t *table, const int8_t *in, int32_t from, int8_t *out, int32_t step)
{
    const int8_t a = table[(uint8_t)in[0]], b = table[(uint8_t)in[from]];
    const int8_t c = table[(uint8_t)in[2 * from]], d = table[(uint8_t)in[3 * from]];
    out[0] = a;
    out[step] = b;
    out[2 * step] = c;
    out[3 * step] = d;
}

void mbn_lookup_s8_arm_dsp(const mbn_lookup_arm_dsp_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    const int32_t channels = p->channels;
    const int8_t *const table = p->table, *in = rows[0];
    (void)scratch;
    if (p->out_stride < 0) {
        /* Pixels side by side are one long pixel. */
        const int is_dense = p->out_stride == -channels;
        const int32_t values = is_dense ? count * channels : channels;
        for (int32_t pixels = is_dense ? 1 : count; pixels > 0; pixels--) {
            const int8_t *const end = in + values, *const eights = in + (values & ~7);
            int8_t *to = out;
            for (; in != eights; in += 8, to += 8) {
                lookup4(table, in, 1, to, 1);
                lookup4(table, in + 4, 1, to + 4, 1);
            }
            for (; in != end; in++, to++) {
                *to = table[(uint8_t)*in];
            }
            out -= p->out_stride;
        }
        return;
    }
    for (int32_t c = 0; c < channels; c++) {
        const int8_t *x = in + c;
        int8_t *to = out + c * p->out_stride, *const fours = to + (count & ~3);
        for (; to != fours; x += 4 * channels, to += 4) {
            lookup4(table, x, channels, to, 1);
        }
        if (count & 2) {
            to[0] = table[(uint8_t)x[0]];
            to[1] = table[(uint8_t)x[channels]];
            x += 2 * channels;
            to += 2;
        }
        if (count & 1) {
            to[0] = table[(uint8_t)x[0]];
        }
    }
}
