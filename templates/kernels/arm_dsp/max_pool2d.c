/* SPDX-License-Identifier: 0BSD */
/* max_pool2d on Arm DSP cores, where no pad can be the largest: four channels at once, two instructions a tap. */
#include "mbn_arm_dsp.h"
#include "mbn_dsp.h"

/* The largest of three taps `step` bytes apart, and of `w`. */
static inline uint32_t mbn_max3(uint32_t w, const int8_t *in, int32_t step)
{
    return mbn_max4(mbn_max4(mbn_max4(w, mbn_load4(in)), mbn_load4(in + step)), mbn_load4(in + 2 * step));
}

/* Four channels of a window of 3 x 3 from byte `first` of each row on. */
static inline uint32_t mbn_largest_3x3(const int8_t *const *rows, int32_t first, int32_t step)
{
    const int8_t *in = rows[0] + first;
    const uint32_t w = mbn_max4(mbn_max4(mbn_load4(in), mbn_load4(in + step)), mbn_load4(in + 2 * step));
    return mbn_max3(mbn_max3(w, rows[1] + first, step), rows[2] + first, step);
}

/* Four channels of a window of 2 x 2. */
static inline uint32_t mbn_largest_2x2(const int8_t *const *rows, int32_t first, int32_t step)
{
    const int8_t *a = rows[0] + first, *b = rows[1] + first;
    return mbn_max4(mbn_max4(mbn_load4(a), mbn_load4(a + step)), mbn_max4(mbn_load4(b), mbn_load4(b + step)));
}

/* Four channels of any window. */
static inline uint32_t mbn_largest(const mbn_max_pool_params *p, const int8_t *const *rows, int32_t first, int32_t step)
{
    uint32_t w = 0x80808080u;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *in = rows[ky] + first;
        for (int32_t kx = 0; kx < p->kernel_width; kx++, in += step) {
            w = mbn_max4(w, mbn_load4(in));
        }
    }
    return w;
}

void mbn_max_pool2d_s8_arm_dsp(const mbn_max_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                               void *scratch)
{
    const int32_t channels = p->channels, step = p->dilation_width * p->in_bytes;
    const int32_t words = channels & ~3;
    const int is_3x3 = p->kernel_height == 3 && p->kernel_width == 3;
    const int is_2x2 = p->kernel_height == 2 && p->kernel_width == 2;
    (void)scratch;
    for (int32_t i = 0; i < count; i++, out += p->out_bytes) {
        const int32_t first = i * p->stride_width * p->in_bytes;
        if (is_3x3) {
            for (int32_t c = 0; c < words; c += 4) {
                mbn_store4(out + c, mbn_largest_3x3(rows, first + c, step));
            }
        } else if (is_2x2) {
            for (int32_t c = 0; c < words; c += 4) {
                mbn_store4(out + c, mbn_largest_2x2(rows, first + c, step));
            }
        } else {
            for (int32_t c = 0; c < words; c += 4) {
                mbn_store4(out + c, mbn_largest(p, rows, first + c, step));
            }
        }
        for (int32_t c = words; c < channels; c++) {
            int32_t largest = -128;
            for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                const int8_t *in = rows[ky] + first + c;
                for (int32_t kx = 0; kx < p->kernel_width; kx++, in += step) {
                    largest = *in > largest ? *in : largest;
                }
            }
            out[c] = (int8_t)largest;
        }
    }
}
