/* SPDX-License-Identifier: 0BSD */
/* Baud rate dividers. */
#ifndef MBN_BAUD_H
#define MBN_BAUD_H

#include <stdint.h>

/* The divider that brings `clock_hz` nearest to `rate`; 0 if it is out of range or more than 2.5 % off. */
static inline uint32_t mbn_baud_divider(uint32_t clock_hz, uint32_t rate, uint32_t smallest, uint32_t largest)
{
    const uint32_t divider = rate == 0 ? 0 : (clock_hz + rate / 2u) / rate;
    if (divider < smallest || divider > largest || divider == 0) {
        return 0;
    }
    const uint32_t actual = clock_hz / divider;
    const uint32_t error = actual > rate ? actual - rate : rate - actual;
    return error > rate / 40u ? 0 : divider;
}

#endif
