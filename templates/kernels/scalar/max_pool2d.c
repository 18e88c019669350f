/* SPDX-License-Identifier: 0BSD */
/* max_pool2d in plain C99: pads hold the zero point, which might be the largest, so they are left out. */
#include "mbn_kernels.h"

#include <stddef.h>
#include <string.h>

/* Of `kernel` taps from `first` on, `dilation` apart, those between 0 and size - 1: the first, and how many. */
static inline int32_t mbn_taps_inside(int32_t first, int32_t kernel, int32_t dilation, int32_t size, int32_t *begin)
{
    int32_t end = kernel;
    *begin = 0;
    while (first + *begin * dilation < 0) {
        *begin += 1;
    }
    while (first + (end - 1) * dilation >= size) {
        end -= 1;
    }
    return end - *begin;
}

/* Four bytes as a word, from an address that is a multiple of 4. */
static inline uint32_t mbn_aligned4(const int8_t *from)
{
    uint32_t word;
#if defined(__GNUC__)
    memcpy(&word, __builtin_assume_aligned(from, 4), sizeof word);
#else
    memcpy(&word, from, sizeof word);
#endif
    return word;
}

static inline void mbn_put_aligned4(int8_t *to, uint32_t word)
{
#if defined(__GNUC__)
    memcpy(__builtin_assume_aligned(to, 4), &word, sizeof word);
#else
    memcpy(to, &word, sizeof word);
#endif
}

/* The larger of each pair of signed bytes. */
static inline uint32_t mbn_larger4(uint32_t a, uint32_t b)
{
    const uint32_t high = 0x80808080u, differ = a ^ b;
    /* High bits where the low seven bits of a are no less, and signs are the same or that of b alone is minus. */
    const uint32_t no_less = ((b & ~a) | (((a | high) - (b & ~high)) & ~differ)) & high;
    const uint32_t mask = (no_less - (no_less >> 7)) | no_less;
    return b ^ (differ & mask);
}

/* Each channel of `out` becomes the larger of itself and of that of `in`. */
static inline void mbn_larger(int8_t *out, const int8_t *in, int32_t channels)
{
    for (const int8_t *const end = in + channels; in != end; in++, out++) {
        const int32_t value = *in;
        if (value > *out) {
            *out = (int8_t)value;
        }
    }
}

/* Whether the channels of all pixels are whole words at addresses that are multiples of 4. */
static int mbn_are_words(const mbn_max_pool_params *p, const int8_t *const *rows, const int8_t *out)
{
    uintptr_t bits = (uintptr_t)out | (uintptr_t)(p->channels | p->in_bytes | p->out_bytes);
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        bits |= (uintptr_t)rows[ky];
    }
    return (bits & 3) == 0;
}

void mbn_max_pool2d_s8_scalar(const mbn_max_pool_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                              void *scratch, int32_t y, int32_t x)
{
    const int32_t step = p->dilation_width * p->in_bytes;
    const int are_words = mbn_are_words(p, rows, out);
    int32_t top, left;
    const int32_t height =
        mbn_taps_inside(y * p->stride_height - p->top, p->kernel_height, p->dilation_height, p->height, &top);
    (void)scratch;
    for (int32_t i = 0; i < count; i++, out += p->out_bytes) {
        const int32_t width =
            mbn_taps_inside((x + i) * p->stride_width - p->left, p->kernel_width, p->dilation_width, p->width, &left);
        const int32_t first = i * p->stride_width * p->in_bytes + left * step;
        if (are_words) {
            for (int32_t c = 0; c < p->channels; c += 4) {
                uint32_t largest = 0x80808080u;
                for (int32_t ky = 0; ky < height; ky++) {
                    const int8_t *in = rows[top + ky] + first + c;
                    for (int32_t kx = 0; kx < width; kx++, in += step) {
                        largest = mbn_larger4(largest, mbn_aligned4(in));
                    }
                }
                mbn_put_aligned4(out + c, largest);
            }
        } else {
            memcpy(out, rows[top] + first, (size_t)p->channels);
            for (int32_t ky = 0; ky < height; ky++) {
                for (int32_t kx = ky == 0 ? 1 : 0; kx < width; kx++) {
                    mbn_larger(out, rows[top + ky] + first + kx * step, p->channels);
                }
            }
        }
        if (p->table != NULL) {
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = p->table[out[c] + 128];
            }
        }
    }
}
