/* SPDX-License-Identifier: 0BSD */
/* What is in plain C runs on every processor. */
#include "mbn_arm_cpu.h"

int mbn_cpu_has_arm_dotprod(void)
{
    return 1;
}
