/* SPDX-License-Identifier: 0BSD */
/* What this processor, and its operating system, can do. */
#ifndef MBN_X86_CPU_H
#define MBN_X86_CPU_H

#ifdef __cplusplus
extern "C" {
#endif

int mbn_cpu_has_x86_avx512_vnni(void);
int mbn_cpu_has_x86_avx2(void);

#ifdef __cplusplus
}
#endif

#endif
