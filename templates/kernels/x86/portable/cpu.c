/* SPDX-License-Identifier: 0BSD */
/* What is in plain C runs on every processor. */
#include "mbn_x86_cpu.h"

int mbn_cpu_has_x86_avx512_vnni(void)
{
    return 1;
}

int mbn_cpu_has_x86_avx2(void)
{
    return 1;
}
