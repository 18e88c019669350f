/* SPDX-License-Identifier: 0BSD */
/* In plain C what ../depthwise_s16_core.c does in assembly, for tests on the host: the same functions on the same packed data. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

static void pixel(const mbn_depthwise_s16_pixel *b, int wide_in, int wide_out)
{
    const int8_t *in[3] = {b->rows[0], b->rows[1], b->rows[2]};
    int8_t *out = b->out;
    for (const uint32_t *w = b->weights; w != b->weights_end; w += 4 + 18 + 4) {
        for (int32_t c = 0; c < 4; c++) {
            int32_t acc = (int32_t)w[c];
            for (int32_t tap = 0; tap < 9; tap++) {
                const int8_t *const x = in[tap / 3] + tap % 3 * b->column;
                int16_t values[4], taps[4];
                for (int32_t i = 0; i < 4; i++) {
                    values[i] = x[i];
                }
                if (wide_in) {
                    memcpy(values, x, sizeof values);
                }
                memcpy(taps, w + 4 + 2 * tap, sizeof taps);
                /* of int8 inputs 0 2 and 1 3 */
                acc += values[c] * taps[wide_in ? c : (c & 1) * 2 + c / 2];
            }
            acc = mbn_smmlar((int32_t)((uint32_t)acc << b->lift), (int32_t)w[22 + c], b->zero_point);
            const int32_t low = (int16_t)b->low, high = (int16_t)b->high;
            const int16_t value = (int16_t)(acc < low ? low : acc > high ? high : acc);
            memcpy(out, &value, wide_out ? 2 : 1);
            out += wide_out ? 2 : 1;
        }
        for (int32_t row = 0; row < 3; row++) {
            in[row] += wide_in ? 8 : 4;
        }
    }
}

void mbn_depthwise_s16_wide_to_wide_arm_dsp(const mbn_depthwise_s16_pixel *b)
{
    pixel(b, 1, 1);
}

void mbn_depthwise_s16_wide_to_narrow_arm_dsp(const mbn_depthwise_s16_pixel *b)
{
    pixel(b, 1, 0);
}

void mbn_depthwise_s16_narrow_to_wide_arm_dsp(const mbn_depthwise_s16_pixel *b)
{
    pixel(b, 0, 1);
}
