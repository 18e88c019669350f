/* SPDX-License-Identifier: 0BSD */
/* conv2d and fully_connected for Cortex-M0+, without scratch.
 *
 * Four pixels share every weight; pixels that are left over are made one by one, and then four outputs share every input.
 */
#include "mbn_armv6m.h"

/* Four sums of products of `many` with `one`; the pointers point behind the values. The offsets are in the assembly. */
typedef struct {
    int32_t sum[4];        /*  0 */
    const int8_t *many[4]; /* 16 */
    const int8_t *one;     /* 32 */
    int32_t left;          /* 36: minus the number of values */
} dots;

#if defined(__ARM_ARCH_6M__)
/* r7 may be the frame pointer of the caller, so it is saved here and not named as clobbered.
 * r0 values left; r1..r4 many; r5 one; r6, r7 values; r8..r11 sums; r12 dots. */
#define LOAD(place, sum) "ldr r7, [r0, #" place "]\n\tmov " sum ", r7\n\t"
#define SAVE(place, sum) "mov r7, " sum "\n\tstr r7, [r0, #" place "]\n\t"
#define PRODUCT(many, sum) "ldrsb r7, [" many ", r0]\n\tmuls r7, r6, r7\n\tadd " sum ", r7\n\t"
#define STEP                                                                                             \
    "ldrsb r6, [r5, r0]\n\t" PRODUCT("r1", "r8") PRODUCT("r2", "r9") PRODUCT("r3", "r10") PRODUCT("r4", "r11") \
    "adds r0, r0, #1\n\t"

/* assembly pushes 4 bytes */
static void add_products(dots *d)
{
    register dots *r0 __asm__("r0") = d;
    __asm__ volatile(
        ".syntax unified\n\tpush {r7}\n\tmov r12, r0\n\t" LOAD("0", "r8") LOAD("4", "r9") LOAD("8", "r10") LOAD("12", "r11")
        "ldr r6, [r0, #36]\n\tldr r5, [r0, #32]\n\tadds r0, r0, #16\n\tldmia r0!, {r1, r2, r3, r4}\n\tmov r0, r6\n"
        "1:\n\tlsls r6, r0, #30\n\tbeq 2f\n\t" STEP "b 1b\n"
        "2:\n\tcmp r0, #0\n\tbeq 4f\n"
        "3:\n\t" STEP STEP STEP STEP "bne 3b\n"
        "4:\n\tmov r0, r12\n\t" SAVE("0", "r8") SAVE("4", "r9") SAVE("8", "r10") SAVE("12", "r11") "pop {r7}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
}
#else
static void add_products(dots *d)
{
    for (int32_t k = d->left; k < 0; k++) {
        for (int32_t i = 0; i < 4; i++) {
            d->sum[i] += d->many[i][k] * d->one[k];
        }
    }
}
#endif

static void clear(dots *d)
{
    for (int32_t i = 0; i < 4; i++) {
        d->sum[i] = 0;
    }
}

static void four_pixels(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int8_t *out, dots *d)
{
    const int8_t *w = p->weights;
    const int32_t *q = p->requantize;
    for (int32_t o = 0; o < p->outputs; o++) {
        const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, p->rounding);
        clear(d);
        for (int32_t r = 0; r < p->kernel_height; r++) {
            const int8_t *x = rows[r] + offset + p->row_bytes;
            for (int32_t i = 0; i < 4; i++) {
                d->many[i] = x;
                x += p->step_bytes;
            }
            w += p->row_bytes;
            d->one = w;
            add_products(d);
        }
        for (int32_t i = 0; i < 4; i++) {
            out[i * p->outputs + o] = mbn_requantize_armv6m(d->sum[i], &stairs);
        }
        q += MBN_ARMV6M_WORDS;
    }
}

static void one_pixel(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int32_t offset, int8_t *out, dots *d)
{
    for (int32_t o = 0; o < p->outputs; o += 4) {
        const int32_t some = p->outputs - o < 4 ? p->outputs - o : 4;
        const int8_t *w = p->weights + o * p->inputs;
        clear(d);
        for (int32_t r = 0; r < p->kernel_height; r++) {
            w += p->row_bytes;
            for (int32_t i = 0; i < 4; i++) {
                d->many[i] = w + (i < some ? i : 0) * p->inputs;
            }
            d->one = rows[r] + offset + p->row_bytes;
            add_products(d);
        }
        for (int32_t i = 0; i < some; i++) {
            const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(p->requantize + (o + i) * MBN_ARMV6M_WORDS, p->rounding);
            out[o + i] = mbn_requantize_armv6m(d->sum[i], &stairs);
        }
    }
}

void mbn_conv2d_direct_armv6m(const mbn_conv2d_armv6m_params *p, const int8_t *const *rows, int8_t *out, int32_t count, void *scratch)
{
    int32_t offset = 0;
    dots d;
    (void)scratch;
    d.left = -(int32_t)p->row_bytes;
    for (; count >= 4; count -= 4) {
        four_pixels(p, rows, offset, out, &d);
        offset += 4 * p->step_bytes;
        out += 4 * p->outputs;
    }
    for (; count > 0; count--) {
        one_pixel(p, rows, offset, out, &d);
        offset += p->step_bytes;
        out += p->outputs;
    }
}
