/* SPDX-License-Identifier: 0BSD */
/* What this processor can do. */
#ifndef MBN_ARM_CPU_H
#define MBN_ARM_CPU_H

#ifdef __cplusplus
extern "C" {
#endif

int mbn_cpu_has_arm_dotprod(void);

#ifdef __cplusplus
}
#endif

#endif
