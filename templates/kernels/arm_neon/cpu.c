/* SPDX-License-Identifier: 0BSD */
/* What this processor can do: Linux says it at a program's start. */
#include "mbn_arm_cpu.h"

#include <sys/auxv.h>

int mbn_cpu_has_arm_dotprod(void)
{
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
}
