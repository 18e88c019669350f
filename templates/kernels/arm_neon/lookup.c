/* SPDX-License-Identifier: 0BSD */
/* lookup with Advanced SIMD: the table in sixteen registers, sixteen values at a time. */
#include "mbn_arm_neon.h"
#include "mbn_neon_math.h"

void mbn_lookup_s8_arm_neon(const mbn_lookup_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                            void *scratch)
{
    /* Pixels side by side are one long pixel. */
    const int is_dense = p->pixel_stride == p->channels;
    const int32_t pixels = is_dense ? 1 : count, values = is_dense ? count * p->channels : p->channels;
    const uint8x16_t quarter = vdupq_n_u8(64);
    const int8_t *in = rows[0];
    int8x16x4_t table[4];
    (void)scratch;
    MBN_IN_REGISTERS for (int i = 0; i < 16; i++)
    {
        table[i / 4].val[i % 4] = vld1q_s8(p->table + 16 * i);
    }
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < values; i += 16) {
            uint8x16_t index = vreinterpretq_u8_s8(vld1q_s8(in + i));
            int8x16_t found = vqtbl4q_s8(table[0], index); /* 0 where the index is 64 or more */
            MBN_IN_REGISTERS for (int t = 1; t < 4; t++)
            {
                index = vsubq_u8(index, quarter);
                found = vqtbx4q_s8(found, table[t], index);
            }
            mbn_store_first(out + i, found, values - i);
        }
        in += values;
        out += p->pixel_stride;
    }
}
