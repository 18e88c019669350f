/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+.
 *
 * Weights stay one byte. Four pixels advance together as words, 16 bytes an input; weights lie 16 bytes apart too, so one
 * pointer walks through both.
 */
#include "mbn_armv6m.h"

enum { PIXELS = 4, INTERLEAVE = 16 };

/* What one call of `channels` needs; the offsets are in the assembly. */
typedef struct {
    const int32_t *words;       /*  0: [inputs][PIXELS] */
    const int32_t *words_end;   /*  4 */
    const int8_t *weights;      /*  8: of the channel */
    const int32_t *requantize;  /* 12 */
    int8_t *out;                /* 16 */
    const int8_t *out_end;      /* 20 */
    int32_t rounding;           /* 24 */
    int32_t place[PIXELS];      /* 28: offset of each pixel in `out`; a pixel beyond the row is stored to pixel 0, before it */
    int32_t unused;             /* makes 12 words, copied by two LDM of six */
} frame;

#if defined(__ARM_ARCH_6M__)
/* r7 may be the frame pointer of the caller, so it is saved here and not named as clobbered.
 * r0 words; r1 weights - words; r2 weight; r3..r6 words; r8..r11 sums; r12 end of words. */
#define NEXT                                                                                             \
    "ldrsb r2, [r1, r0]\n\tldmia r0!, {r3, r4, r5, r6}\n\tmuls r3, r2, r3\n\tmuls r4, r2, r4\n\t"         \
    "muls r5, r2, r5\n\tmuls r6, r2, r6\n\tadd r8, r3\n\tadd r9, r4\n\tadd r10, r5\n\tadd r11, r6\n\t"
#define FOUR(x) x x x x
/* r1 base, r5 span, r3 and r6 factors, r2 value, r4 spare, r7 out */
#define SHORT(sum, place) "mov r2, " sum "\n\t" MBN_SHORT("r2", "r1", "r5", "r3", "r6") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define LONG(sum, place) "mov r2, " sum "\n\t" MBN_LONG("r2", "r1", "r5", "r3", "r6", "r4") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define ALL(form) form("r11", "40") form("r10", "36") form("r9", "32") form("r8", "28")

/* assembly pushes 52 bytes */
static void channels(const frame *f)
{
    register const frame *r0 __asm__("r0") = f;
    __asm__ volatile(
        ".syntax unified\n\tpush {r7}\n\tsub sp, #48\n\tmov r1, sp\n\t"
        "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
        "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n"
        "1:\n\tldr r0, [sp, #4]\n\tmov r12, r0\n\tldr r1, [sp, #8]\n\tadds r0, r1, #1\n\tstr r0, [sp, #8]\n\t"
        "ldr r0, [sp]\n\tsubs r1, r1, r0\n\tmovs r3, #0\n\tmov r8, r3\n\tmov r9, r3\n\tmov r10, r3\n\tmov r11, r3\n"
        "2:\n\t" FOUR(NEXT) FOUR(NEXT) "cmp r0, r12\n\tbne 2b\n\t"
        "ldr r7, [sp, #16]\n\tldr r0, [sp, #12]\n\t" MBN_RECORD "str r0, [sp, #12]\n\tbcs 5f\n\t"
        MBN_SHORT_RECORD("[sp, #24]") ALL(SHORT) "b 6f\n5:\n\t" MBN_LONG_RECORD ALL(LONG)
        "6:\n\tadds r7, r7, #1\n\tstr r7, [sp, #16]\n\tldr r0, [sp, #20]\n\tcmp r7, r0\n\tbeq 4f\n\tb 1b\n"
        "4:\n\tadd sp, #48\n\tpop {r7}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
}
#else
static void channels(const frame *f)
{
    const int8_t *weights = f->weights;
    const int32_t *q = f->requantize;
    for (int8_t *out = f->out; out != f->out_end; out++) {
        uint32_t sum[PIXELS] = {0};
        const int8_t *w = weights++;
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (const int32_t *words = f->words; words != f->words_end; w += INTERLEAVE) {
            for (int32_t i = 0; i < PIXELS; i++) {
                sum[i] += (uint32_t)(*words++ * *w);
            }
        }
        for (int32_t i = PIXELS - 1; i >= 0; i--) {
            out[f->place[i]] = mbn_requantize_armv6m((int32_t)sum[i], &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}
#endif

/* The windows of n pixels, interleaved; a missing pixel repeats the last one. */
static void pack(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                 int32_t *words)
{
    for (int32_t i = 0; i < PIXELS; i++) {
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *in = rows[r] + offset;
            const int8_t *end = in + p->row_bytes;
            while (end - in >= 4) {
                out[0] = in[0];
                out[PIXELS] = in[1];
                out[2 * PIXELS] = in[2];
                out[3 * PIXELS] = in[3];
                out += 4 * PIXELS;
                in += 4;
            }
            while (in != end) {
                *out = *in++;
                out += PIXELS;
            }
        }
        for (int32_t k = p->kernel_height * p->row_bytes; k < p->inputs; k++) {
            *out = 0;
            out += PIXELS;
        }
        if (i + 1 < n) {
            offset += p->step_bytes;
        }
    }
}

void mbn_conv2d_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                       void *scratch)
{
    int32_t *words = (int32_t *)scratch;
    int32_t offset = 0;
    while (count > 0) {
        const int32_t n = count < PIXELS ? count : PIXELS;
        pack(p, rows, offset, n, words);
        frame f;
        f.words = words;
        f.words_end = words + p->inputs * PIXELS;
        f.rounding = p->rounding;
        f.requantize = p->requantize;
        f.unused = 0;
        for (int32_t i = 0; i < PIXELS; i++) {
            f.place[i] = i < n ? i * p->outputs : 0;
        }
        f.weights = p->weights;
        f.out = out;
        const int8_t *const end = out + p->outputs;
        while (f.out != end) {
            const int32_t some = end - f.out < INTERLEAVE ? (int32_t)(end - f.out) : INTERLEAVE;
            f.out_end = f.out + some;
            channels(&f);
            f.requantize += MBN_ARMV6M_WORDS * some;
            f.out += some;
            f.weights += p->inputs * INTERLEAVE;
        }
        offset += n * p->step_bytes;
        out += n * p->outputs;
        count -= n;
    }
}
