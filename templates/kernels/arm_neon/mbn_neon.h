/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_neon.h has those that the kernels use in plain C. */
#ifndef MBN_NEON_H
#define MBN_NEON_H

#include <arm_neon.h>

#endif
