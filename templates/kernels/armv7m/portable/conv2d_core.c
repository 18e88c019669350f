/* SPDX-License-Identifier: 0BSD */
/* conv2d for Cortex-M3: all channels of three pairs of pixels, in plain C for tests on the host. */
#include "mbn_armv7m.h"
#include "mbn_smlal.h"

enum { LANE = 24, PAIRS = 3 };

void mbn_conv2d_block3_armv7m(const mbn_conv2d_frame_armv7m *f, const int8_t *w, const int32_t *q)
{
    for (int8_t *out = f->out; out != f->out_end; out++) {
        int64_t s[PAIRS] = {1 << (LANE - 1), 1 << (LANE - 1), 1 << (LANE - 1)};
        mbn_dot3_armv7m(f->a, f->a_end, w, s);
        w += (f->a_end - f->a) / PAIRS;
        for (int32_t i = PAIRS - 1; i >= 0; i--) {
            const int32_t odd = i == PAIRS - 1 ? f->last : (2 * i + 1) * f->stride;
            out[odd] = mbn_requantize_armv7m((int32_t)(s[i] >> LANE), q[0], q + 3);
            out[2 * i * f->stride] = mbn_requantize_armv7m((int32_t)(s[i] & ((1 << LANE) - 1)), q[0], q + 1);
        }
        q += 5;
    }
}
