/* SPDX-License-Identifier: 0BSD */
/* lookup in plain C99. */
#include "mbn_kernels.h"

/* Four values; all are read before the first is written, so that no read waits for a table. */
static inline void lookup4(const int8_t *table, const int8_t *in, int8_t *out)
{
    const int8_t a = table[(uint8_t)in[0]], b = table[(uint8_t)in[1]];
    const int8_t c = table[(uint8_t)in[2]], d = table[(uint8_t)in[3]];
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

void mbn_lookup_s8_scalar(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                          void *scratch)
{
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t values = is_dense ? count * p->channels : p->channels;
    const int8_t *const table = p->table, *in = rows[0];
    (void)scratch;
    for (int32_t pixels = is_dense ? 1 : count; pixels > 0; pixels--) {
        const int8_t *const end = in + values, *const eights = in + (values & ~7);
        for (; in != eights; in += 8, out += 8) {
            lookup4(table, in, out);
            lookup4(table, in + 4, out + 4);
        }
        for (; in != end; in++, out++) {
            *out = table[(uint8_t)*in];
        }
        out += p->pixel_stride - p->channels;
    }
}
