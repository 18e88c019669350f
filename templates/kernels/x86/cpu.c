/* SPDX-License-Identifier: 0BSD */
/* What this processor, and its operating system, can do: CPUID and XGETBV, as GCC and clang ask them. */
#include "mbn_x86_cpu.h"

int mbn_cpu_has_x86_avx512_vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

int mbn_cpu_has_x86_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}
