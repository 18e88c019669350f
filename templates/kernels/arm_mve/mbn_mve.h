/* SPDX-License-Identifier: 0BSD */
/* 16 bytes from anywhere to anywhere: one vector load and store on Helium, memcpy elsewhere (host build, sanitizers). */
#ifndef MBN_MVE_H
#define MBN_MVE_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE

#include <arm_mve.h>

static inline void mbn_copy16(int8_t *to, const int8_t *from)
{
    vstrbq_s8(to, vldrbq_s8(from));
}

#else

static inline void mbn_copy16(int8_t *to, const int8_t *from)
{
    memcpy(to, from, 16);
}

#endif

#endif
