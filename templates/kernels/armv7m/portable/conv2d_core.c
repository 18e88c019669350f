/* SPDX-License-Identifier: 0BSD */
/* conv2d for Cortex-M3: all channels of three pairs of pixels, in plain C for tests on the host. */
#include "mbn_armv7m.h"
#include "mbn_smlal.h"

enum { LANE = 24, PAIRS = 3 };

static void block3(const mbn_conv2d_frame_armv7m *f, const int8_t *w, const int32_t *q, int is_w4)
{
    const int32_t inputs = (int32_t)(f->a_end - f->a) / PAIRS;
    for (int8_t *out = f->out; out != f->out_end; out++) {
        int64_t s[PAIRS] = {1 << (LANE - 1), 1 << (LANE - 1), 1 << (LANE - 1)};
        if (is_w4) {
            mbn_dot3_w4_armv7m(f->a, f->a_end, w, s);
        } else {
            mbn_dot3_armv7m(f->a, f->a_end, w, s);
        }
        w += is_w4 ? inputs / 2 : inputs;
        for (int32_t i = PAIRS - 1; i >= 0; i--) {
            const int32_t odd = i == PAIRS - 1 ? f->last : (2 * i + 1) * f->stride;
            out[odd] = mbn_requantize_armv7m((int32_t)(s[i] >> LANE), q[0], q + 3);
            out[2 * i * f->stride] = mbn_requantize_armv7m((int32_t)(s[i] & ((1 << LANE) - 1)), q[0], q + 1);
        }
        q += 5;
    }
}

void mbn_conv2d_block3_armv7m(const mbn_conv2d_frame_armv7m *f, const void *weights, const int32_t *requantize)
{
    block3(f, (const int8_t *)weights, requantize, 0);
}

void mbn_conv2d_w4_block3_armv7m(const mbn_conv2d_frame_armv7m *f, const void *weights, const int32_t *requantize)
{
    block3(f, (const int8_t *)weights, requantize, 1);
}
