/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+, the fast form.
 *
 * Two pixels share one multiply: word = (x1 << 16) + x0, and S = sum(word * w) = 2^16 * H + L holds both sums as long as
 * L and H fit 16 bits. The compiler cuts the inputs of every output channel into groups of 2 to 12 where that holds for
 * any activation. The S of every group is stored; then high = sum of (S + 2^15) >> 16 (exactly H: ASRS leaves bit 15 in
 * the carry, ADCS adds it) and all = sum of S give L = all - (high << 16), exact in 32 bits.
 *
 * Four words (8 pixels) advance together, 16 bytes an input; weights and group lengths lie 16 bytes apart too, so one
 * pointer walks through words and weights, another through sums and group lengths.
 */
#include "mbn_armv6m.h"

enum { PAIRS = 4, PIXELS = 2 * PAIRS, INTERLEAVE = 16 };

/* What one call of `channels` needs; the offsets are in the assembly. */
typedef struct {
    const int32_t *words;       /*  0: [inputs][PAIRS] */
    const int32_t *words_end;   /*  4 */
    int32_t *sums;              /*  8: [groups][PAIRS] */
    const int8_t *weights;      /* 12: of the channel */
    const uint8_t *groups;      /* 16: of the channel */
    const int32_t *requantize;  /* 20 */
    int8_t *out;                /* 24 */
    const int8_t *out_end;      /* 28 */
    int32_t rounding;           /* 32 */
    int32_t place[PIXELS];      /* 36: offset of each pixel in `out`; a pixel beyond the row is stored to pixel 0, before it */
    int32_t unused;             /* makes 18 words, copied by three LDM of six */
} frame;

#if defined(__ARM_ARCH_6M__)
/* r7 may be the frame pointer of the caller, so it is saved here and not named as clobbered.
 * r0 words; r1 weights - words; r2 weight; r3..r6 words; r7 sums; r8..r11 running sums; r12 end of words;
 * lr groups - sums. */
#define LOAD "ldrsb r2, [r1, r0]\n\tldmia r0!, {r3, r4, r5, r6}\n\tmuls r3, r2, r3\n\tmuls r4, r2, r4\n\tmuls r5, r2, r5\n\tmuls r6, r2, r6\n\t"
#define FIRST LOAD "mov r8, r3\n\tmov r9, r4\n\tmov r10, r5\n\tmov r11, r6\n\t"
#define NEXT LOAD "add r8, r3\n\tadd r9, r4\n\tadd r10, r5\n\tadd r11, r6\n\t"
#define LAST LOAD "add r3, r8\n\tadd r4, r9\n\tadd r5, r10\n\tadd r6, r11\n\t"
#define FIVE(x) x x x x x
/* One sum: all (high register) += t; high += (t + 2^15) >> 16 */
#define CUT(t, all, high) "add " all ", " t "\n\tasrs " t ", " t ", #16\n\tadcs " high ", " t "\n\t"
/* high in `high`, all in `all` -> the sum of the even pixel in `all` */
#define LOW(high, all) "lsls r0, " high ", #16\n\tmov r1, " all "\n\tsubs r1, r1, r0\n\tmov " all ", r1\n\t"
/* r1 base, r5 span, r3 and r6 factors, r2 value, r4 spare, r7 out; the odd pixels' sums have been pushed */
#define SHORT(value, place) value "\n\t" MBN_SHORT("r2", "r1", "r5", "r3", "r6") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define LONG(value, place) value "\n\t" MBN_LONG("r2", "r1", "r5", "r3", "r6", "r4") "ldr r0, [sp, #" place "]\n\tstrb r2, [r7, r0]\n\t"
#define ALL(form)                                                                                             \
    form("ldr r2, [sp, #12]", "80") form("mov r2, r11", "76") form("ldr r2, [sp, #8]", "72") form("mov r2, r10", "68") \
    form("ldr r2, [sp, #4]", "64") form("mov r2, r9", "60") form("ldr r2, [sp]", "56") form("mov r2, r8", "52")

/* assembly pushes 92 bytes */
static void channels(const frame *f)
{
    register const frame *r0 __asm__("r0") = f;
    __asm__ volatile(
        ".syntax unified\n\tpush {r7}\n\tsub sp, #72\n\tmov r1, sp\n\t"
        "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
        "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n\t"
        "ldmia r0!, {r2, r3, r4, r5, r6, r7}\n\tstmia r1!, {r2, r3, r4, r5, r6, r7}\n"
        "1:\n\tldr r0, [sp, #4]\n\tmov r12, r0\n\tldr r7, [sp, #8]\n\tldr r0, [sp, #16]\n\tadds r1, r0, #1\n\tstr r1, [sp, #16]\n\t"
        "subs r0, r0, r7\n\tmov lr, r0\n\tldr r1, [sp, #12]\n\tadds r0, r1, #1\n\tstr r0, [sp, #12]\n\tldr r0, [sp]\n\tsubs r1, r1, r0\n"
        "2:\n\t" FIRST
        "mov r2, lr\n\tldrb r2, [r7, r2]\n\tadd pc, r2\n\tnop\n\t" /* jumps over 12 - length steps of 20 bytes */
        FIVE(NEXT) FIVE(NEXT)
        LAST "stmia r7!, {r3, r4, r5, r6}\n\tcmp r0, r12\n\tbne 2b\n\t"
        "ldr r0, [sp, #8]\n\tmovs r3, #0\n\tmovs r4, #0\n\tmovs r5, #0\n\tmovs r6, #0\n\t"
        "mov r8, r3\n\tmov r9, r3\n\tmov r10, r3\n\tmov r11, r3\n"
        "3:\n\tldmia r0!, {r1, r2}\n\t" CUT("r1", "r8", "r3") CUT("r2", "r9", "r4")
        "ldmia r0!, {r1, r2}\n\t" CUT("r1", "r10", "r5") CUT("r2", "r11", "r6")
        "cmp r0, r7\n\tbne 3b\n\t"
        LOW("r3", "r8") LOW("r4", "r9") LOW("r5", "r10") LOW("r6", "r11") "push {r3, r4, r5, r6}\n\t"
        "ldr r7, [sp, #40]\n\tldr r0, [sp, #36]\n\t" MBN_RECORD "str r0, [sp, #36]\n\tbcs 5f\n\t"
        MBN_SHORT_RECORD("[sp, #48]") ALL(SHORT) "b 6f\n5:\n\t" MBN_LONG_RECORD ALL(LONG)
        "6:\n\tadd sp, #16\n\tadds r7, r7, #1\n\tstr r7, [sp, #24]\n\tldr r0, [sp, #28]\n\tcmp r7, r0\n\tbeq 4f\n\tb 1b\n"
        "4:\n\tadd sp, #72\n\tpop {r7}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}
#else
static void channels(const frame *f)
{
    const int8_t *weights = f->weights;
    const uint8_t *groups = f->groups;
    const int32_t *q = f->requantize;
    for (int8_t *out = f->out; out != f->out_end; out++) {
        uint32_t all[PAIRS] = {0};
        int32_t high[PAIRS] = {0};
        const int8_t *w = weights++;
        const uint8_t *group = groups++;
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, f->rounding);
        for (const int32_t *words = f->words; words != f->words_end;) {
            uint32_t s[PAIRS] = {0};
            for (int32_t n = 12 - *group / 20; n > 0; n--) {
                for (int32_t i = 0; i < PAIRS; i++) {
                    s[i] += (uint32_t)*words++ * (uint32_t)*w;
                }
                w += INTERLEAVE;
            }
            group += INTERLEAVE;
            for (int32_t i = 0; i < PAIRS; i++) {
                all[i] += s[i];
                high[i] += (int32_t)(s[i] + (1u << 15)) >> 16;
            }
        }
        for (int32_t i = PAIRS - 1; i >= 0; i--) {
            const int32_t low = (int32_t)(all[i] - ((uint32_t)high[i] << 16));
            out[f->place[2 * i + 1]] = mbn_requantize_armv6m(high[i], &stairs);
            out[f->place[2 * i]] = mbn_requantize_armv6m(low, &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}
#endif

/* The windows of n pixels, interleaved by pairs; a missing pixel repeats the last one. */
static void pack(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int32_t offset, int32_t n,
                 int32_t *words)
{
    for (int32_t i = 0; i < PAIRS; i++) {
        const int32_t step = 2 * i + 1 < n ? p->step_bytes : 0;
        int32_t *out = words + i;
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *even = rows[r] + offset;
            const int8_t *odd = even + step;
            const int8_t *end = even + p->row_bytes;
            while (end - even >= 4) {
                out[0] = odd[0] * 65536 + even[0];
                out[PAIRS] = odd[1] * 65536 + even[1];
                out[2 * PAIRS] = odd[2] * 65536 + even[2];
                out[3 * PAIRS] = odd[3] * 65536 + even[3];
                out += 4 * PAIRS;
                even += 4;
                odd += 4;
            }
            while (even != end) {
                *out = *odd++ * 65536 + *even++;
                out += PAIRS;
            }
        }
        if (p->inputs != p->kernel_height * p->row_bytes) {
            *out = 0;
        }
        offset += step;
        if (2 * i + 2 < n) {
            offset += p->step_bytes;
        }
    }
}

void mbn_conv2d_lanes_armv6m(const mbn_conv2d_lanes_armv6m_params *p, const int8_t *const *rows, int8_t *out,
                             int32_t count, void *scratch)
{
    int32_t *words = (int32_t *)scratch;
    int32_t *sums = words + p->inputs * PAIRS;
    int32_t offset = 0;
    while (count > 0) {
        const int32_t n = count < PIXELS ? count : PIXELS;
        pack(p, rows, offset, n, words);
        frame f;
        f.words = words;
        f.words_end = sums;
        f.sums = sums;
        f.rounding = p->rounding;
        f.requantize = p->requantize;
        f.unused = 0;
        for (int32_t i = 0; i < PIXELS; i++) {
            f.place[i] = i < n ? i * p->outputs : 0;
        }
        f.weights = p->weights;
        f.groups = p->groups;
        f.out = out;
        const int8_t *const end = out + p->outputs;
        while (f.out != end) {
            const int32_t some = end - f.out < INTERLEAVE ? (int32_t)(end - f.out) : INTERLEAVE;
            f.out_end = f.out + some;
            channels(&f);
            f.requantize += MBN_ARMV6M_WORDS * some;
            f.out += some;
            f.weights += p->inputs * INTERLEAVE;
            f.groups += p->most_groups * INTERLEAVE;
        }
        offset += n * p->step_bytes;
        out += n * p->outputs;
        count -= n;
    }
}
