/* SPDX-License-Identifier: 0BSD */
/* resize2d, linear between two rows and two columns, in plain C99. */
#include "mbn_kernels.h"
#include "mbn_math.h"

void mbn_resize2d_linear_s8_scalar(const mbn_resize_linear_params *p, const int8_t *const *rows, int8_t *out,
                                   int32_t count, void *scratch, int32_t y, int32_t x)
{
    const int32_t lower = p->rows[y], upper = p->row_parts - lower;
    (void)scratch;
    for (const int32_t end = x + count; x < end; x++, out += p->out_bytes) {
        const int32_t column = p->columns[2 * x], right = p->columns[2 * x + 1], left = p->column_parts - right;
        const int8_t *a = rows[0] + column * p->in_bytes, *b = rows[1] + column * p->in_bytes;
        const int32_t next = column + 1 < p->width ? p->in_bytes : 0;
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t above = left * a[c] + right * a[c + next], below = left * b[c] + right * b[c + next];
            out[c] = mbn_requantize(upper * above + lower * below + p->bias, p->multiplier, p->shift, p->zero_point);
        }
    }
}
