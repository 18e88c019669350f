/* SPDX-License-Identifier: 0BSD */
/* The intrinsics. portable/mbn_neon.h has those that the kernels use in plain C. */
#ifndef MBN_NEON_H
#define MBN_NEON_H

#include <arm_neon.h>

/* The four bytes of a lane, at any address. */
#define mbn_store_four(to, values, lane) vst1q_lane_s32((int32_t *)(void *)(to), values, lane)

#endif
