/* SPDX-License-Identifier: 0BSD */
/* lookup on Helium: 16 values gather their results. */
#include <arm_mve.h>

#include "mbn_arm_mve.h"

void mbn_lookup_s8_arm_mve(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                           void *scratch)
{
    const int8_t *const table = p->table, *in = rows[0];
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t values = is_dense ? count * p->channels : p->channels;
    (void)scratch;
    for (int32_t pixels = is_dense ? 1 : count; pixels > 0; pixels--) {
        int8_t *to = out;
        for (int32_t i = values >> 4; i != 0; i--, in += 16, to += 16) {
            vstrbq_s8(to, vldrbq_gather_offset_s8(table, vreinterpretq_u8_s8(vldrbq_s8(in))));
        }
        if (values & 15) {
            const mve_pred16_t lanes = vctp8q((uint32_t)(values & 15));
            vstrbq_p_s8(to, vldrbq_gather_offset_s8(table, vreinterpretq_u8_s8(vldrbq_z_s8(in, lanes))), lanes);
            in += values & 15;
        }
        out += p->pixel_stride;
    }
}
