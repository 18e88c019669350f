/* SPDX-License-Identifier: 0BSD */
/* memcpy and memset by words, for C libraries that only go by bytes. */
#include <stddef.h>
#include <stdint.h>

/* GCC must not turn these loops into calls of themselves. */
#define PLAIN_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns"), used))
#define WORD sizeof(uint32_t)

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memset(void *to, int value, size_t count);

PLAIN_LOOPS void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)out ^ (uintptr_t)in) % WORD) == 0) {
        while (count > 0 && (uintptr_t)out % WORD != 0) {
            *out++ = *in++;
            count--;
        }
        for (; count >= WORD; count -= WORD) {
            *(word *)(void *)out = *(const word *)(const void *)in;
            out += WORD;
            in += WORD;
        }
    }
    while (count > 0) {
        *out++ = *in++;
        count--;
    }
    return to;
}

PLAIN_LOOPS void *memset(void *to, int value, size_t count)
{
    uint8_t *out = to;
    const uint8_t byte = (uint8_t)value;
    const word all = byte * 0x01010101u;
    while (count > 0 && (uintptr_t)out % WORD != 0) {
        *out++ = byte;
        count--;
    }
    for (; count >= WORD; count -= WORD) {
        *(word *)(void *)out = all;
        out += WORD;
    }
    while (count > 0) {
        *out++ = byte;
        count--;
    }
    return to;
}
