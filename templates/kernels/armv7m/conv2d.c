/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M3.
 *
 * Two pixels share one multiply. Activations x0, x1 of two pixels stand in one word, (x1 << 24) + (x0 + 128); SMLAL adds
 * word * w to a 64-bit accumulator whose low 24 bits hold the sum of the even pixel, the rest that of the odd pixel.
 * mbn2c proved 255 * sum(w > 0) < 2^23 and 255 * sum(w < 0) > -2^23 per channel, so the low lane starting at 2^23
 * never leaves 24 bits and needs no split. Offsets (128 * sum(w), 2^23, bias) are folded into R.
 */
#include "mbn_armv7m.h"

/* acc += sum over k of pairs[k][i] * w[k]; inputs is a multiple of 8. */
#if defined(__arm__)
#define STEP2                                                                     \
    "ldmia %[a]!, {r4, r5}\n\tldrsb %[t], [%[w]], #1\n\t"                         \
    "smlal %Q[s0], %R[s0], r4, %[t]\n\tsmlal %Q[s1], %R[s1], r5, %[t]\n\t"
#define STEP1 "ldr r4, [%[a]], #4\n\tldrsb %[t], [%[w]], #1\n\tsmlal %Q[s0], %R[s0], r4, %[t]\n\t"
#define EIGHT(x) x x x x x x x x

static inline void dot2(const int32_t *a, const int32_t *end, const int8_t *w, int64_t s[3])
{
    int64_t s0 = s[0], s1 = s[1];
    int32_t t;
    __asm__ volatile("1:\n\t" EIGHT(STEP2) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [t] "=&r"(t)
                     : [end] "r"(end)
                     : "r4", "r5", "cc", "memory");
    s[0] = s0, s[1] = s1;
}

static inline void dot1(const int32_t *a, const int32_t *end, const int8_t *w, int64_t s[3])
{
    int64_t s0 = s[0];
    int32_t t;
    __asm__ volatile("1:\n\t" EIGHT(STEP1) "cmp %[a], %[end]\n\tbne 1b"
                     : [a] "+r"(a), [w] "+r"(w), [s0] "+r"(s0), [t] "=&r"(t)
                     : [end] "r"(end)
                     : "r4", "cc", "memory");
    s[0] = s0;
}
#else
static inline void dot(const int32_t *a, const int32_t *end, const int8_t *w, int64_t *s, int32_t pairs)
{
    while (a != end) {
        for (int32_t i = 0; i < pairs; i++) {
            s[i] += (int64_t)*a++ * *w;
        }
        w++;
    }
}
static inline void dot3(const int32_t *a, const int32_t *end, const int8_t *w, int64_t s[3]) { dot(a, end, w, s, 3); }
static inline void dot2(const int32_t *a, const int32_t *end, const int8_t *w, int64_t s[3]) { dot(a, end, w, s, 2); }
static inline void dot1(const int32_t *a, const int32_t *end, const int8_t *w, int64_t s[3]) { dot(a, end, w, s, 1); }
#endif

/* The windows of pixels `offset` and `offset + step` bytes into the rows -> every pairs-th word of `out`. */
static inline void pack_pair(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset, int32_t step,
                             uint32_t *out, int32_t pairs)
{
    for (int32_t r = 0; r < p->kernel_height; r++) {
        const uint8_t *even = (const uint8_t *)rows[r] + offset;
        const uint8_t *end = even + p->row_bytes;
        while (end - even >= 4) {
            out[0] = (uint32_t)even[step] << 24 | (even[0] ^ 0x80u);
            out[pairs] = (uint32_t)even[step + 1] << 24 | (even[1] ^ 0x80u);
            out[2 * pairs] = (uint32_t)even[step + 2] << 24 | (even[2] ^ 0x80u);
            out[3 * pairs] = (uint32_t)even[step + 3] << 24 | (even[3] ^ 0x80u);
            out += 4 * pairs;
            even += 4;
        }
        while (even != end) {
            *out = (uint32_t)even[step] << 24 | (*even ^ 0x80u);
            out += pairs;
            even++;
        }
    }
    for (int32_t k = p->kernel_height * p->row_bytes; k < p->inputs; k++) {
        *out = 0;
        out += pairs;
    }
}

enum { LANE = 24 };

/* `last` is the place of the last odd pixel: its own, or that of its even neighbour if the row ends there; it is stored
 * first, so the even one overwrites it. */
#define BLOCK(pairs)                                                                                                 \
    static inline void block##pairs(const mbn_conv2d_armv7m_params *p, const int32_t *a, int8_t *out, int32_t last)  \
    {                                                                                                                \
        const int32_t stride = p->outputs;                                                                           \
        const int32_t *a_end = a + p->inputs * (pairs);                                                       \
        const int8_t *w = p->weights;                                                                                \
        const int32_t *q = p->requantize;                                                                            \
        const int8_t *out_end = out + stride;                                                                        \
        do {                                                                                                         \
            int64_t s[3] = {1 << (LANE - 1), 1 << (LANE - 1), 1 << (LANE - 1)};                                      \
            dot##pairs(a, a_end, w, s);                                                                              \
            w += p->inputs;                                                                                   \
            out[last] = mbn_requantize_armv7m((int32_t)(s[(pairs)-1] >> LANE), q[0], q + 3);                         \
            int8_t *o = out;                                                                                         \
            for (int32_t i = 0; i < (pairs); i++) {                                                                  \
                o[0] = mbn_requantize_armv7m((int32_t)(s[i] & ((1 << LANE) - 1)), q[0], q + 1);                      \
                if (i < (pairs)-1) {                                                                                 \
                    o[stride] = mbn_requantize_armv7m((int32_t)(s[i] >> LANE), q[0], q + 3);                         \
                    o += 2 * stride;                                                                                 \
                }                                                                                                    \
            }                                                                                                        \
            q += 5;                                                                                                  \
            out++;                                                                                                   \
        } while (out != out_end);                                                                                    \
    }
BLOCK(2)
BLOCK(1)

#if defined(__arm__)
/* What block3 reads while all registers are busy; offsets are in the assembly. */
typedef struct {
    const int32_t *a;       /*  0 */
    const int32_t *a_end;   /*  4 */
    int8_t *out;            /*  8 */
    int32_t stride;         /* 12 */
    int32_t last;           /* 16 */
    const int8_t *out_end;  /* 20 */
} block_frame;

/* Three pairs, six pixels; the compiler spills here, so the channel loop is written out.
 *   r0 pairs, then out   r1 weights   r2 weight, then stride   r3 requantize   r4..r9 sums   r10..r12 words, then R, M
 *   lr end of the pairs, then high word of R. The frame is pushed on the stack, where sp finds it. r7 may be the frame pointer of
 *   the caller, so it is saved here and not named as clobbered. */
#define STEP3                                                 \
    "ldmia r0!, {r10, r11, r12}\n\tldrsb r2, [r1], #1\n\t"    \
    "smlal r4, r5, r10, r2\n\tsmlal r6, r7, r11, r2\n\tsmlal r8, r9, r12, r2\n\t"
#define SPLIT3(lo, hi) "lsrs r2, " lo ", #24\n\torr " hi ", r2, " hi ", lsl #8\n\tbic " lo ", " lo ", #0xff000000\n\t"
#define REQUANTIZE3(v, r) "ldrd r10, lr, [r3, #" r "]\n\tsmlal r10, lr, " v ", r12\n\tssat " v ", #8, lr\n\t"

/* assembly pushes 28 bytes */
static void block3(const mbn_conv2d_armv7m_params *p, const int32_t *a, int8_t *out, int32_t last)
{
    const block_frame frame = {a, a + p->inputs * 3, out, p->outputs, last, out + p->outputs};
    register const block_frame *f __asm__("r0") = &frame;
    register const int8_t *w __asm__("r1") = p->weights;
    register const int32_t *q __asm__("r3") = p->requantize;
    __asm__ volatile(
        "push {r7}\n\tldmia r0!, {r4, r5, r6, r7, r8, r9}\n\tpush {r4, r5, r6, r7, r8, r9}\n"
        "1:\n\tldrd r0, lr, [sp]\n\tmov r4, #0x800000\n\tmovs r5, #0\n\tmov r6, r4\n\tmovs r7, #0\n\tmov r8, r4\n\tmov r9, r5\n"
        "2:\n\t" EIGHT(STEP3) "cmp r0, lr\n\tbne 2b\n\t"
        SPLIT3("r4", "r5") SPLIT3("r6", "r7") SPLIT3("r8", "r9")
        "ldr r12, [r3], #4\n\tldrd r0, r2, [sp, #8]\n\t"
        REQUANTIZE3("r4", "0") REQUANTIZE3("r5", "8") REQUANTIZE3("r6", "0")
        REQUANTIZE3("r7", "8") REQUANTIZE3("r8", "0") REQUANTIZE3("r9", "8")
        "adds r3, #16\n\tldrd r10, lr, [sp, #16]\n\t"
        "strb r9, [r0, r10]\n\tadd r10, r2, r2, lsl #1\n\tstrb r8, [r0, r2, lsl #2]\n\tstrb r7, [r0, r10]\n\t"
        "strb r6, [r0, r2, lsl #1]\n\tstrb r5, [r0, r2]\n\tstrb r4, [r0], #1\n\t"
        "str r0, [sp, #8]\n\tcmp r0, lr\n\tbne 1b\n\tadd sp, #24\n\tpop {r7}"
        : "+r"(f), "+r"(w), "+r"(q)
        :
        : "r2", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}
#else
BLOCK(3)
#endif

/* The windows of n pixels (2 * pairs, or one less), interleaved by pairs. */
static inline void pack(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                        uint32_t *out, int32_t pairs)
{
    for (int32_t i = 0; i < pairs; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        pack_pair(p, rows, offset, step, out + i, pairs);
        offset += 2 * p->step_bytes;
    }
}

void mbn_conv2d_armv7m(const mbn_conv2d_armv7m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                       void *scratch)
{
    uint32_t *a = (uint32_t *)scratch;
    int32_t offset = 0;
    while (count > 0) {
        /* 7 and 8 pixels go better as 4 + 4 than as 6 + 2 */
        const int32_t pixels = count > 8 || count == 6 || count == 5 ? 6 : count > 4 ? 4 : count;
        const int32_t n = pixels < count ? pixels : count;
        const int32_t last = (n - 1) * p->outputs;
        const int32_t *words = (const int32_t *)scratch;
        if (n > 4) {
            pack(p, rows, offset, n, a, 3);
            block3(p, words, out, last);
        } else if (n > 2) {
            pack(p, rows, offset, n, a, 2);
            block2(p, words, out, last);
        } else {
            pack(p, rows, offset, n, a, 1);
            block1(p, words, out, last);
        }
        offset += n * p->step_bytes;
        out += n * p->outputs;
        count -= n;
    }
}
