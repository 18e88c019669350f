/* SPDX-License-Identifier: 0BSD */
/* Marks for an instruction counter; see mbn_port.h. */
#include "mbn_port.h"

__attribute__((noinline)) void mbn_count_start(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) void mbn_count_stop(void)
{
    __asm__ volatile("" ::: "memory");
}
