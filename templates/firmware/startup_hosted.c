/* SPDX-License-Identifier: 0BSD */
/* A board that is a process: an operating system has set up everything. */
#define _POSIX_C_SOURCE 200809L
#include "mbn_port.h"

#include <time.h>

int mbn_port_can_baud(uint32_t rate)
{
    return rate != 0;
}

void mbn_port_set_baud(uint32_t rate)
{
    mbn_port_flush();
    (void)rate;
}

void mbn_board_setup(void)
{
}

/* There is nothing to reset; what was said has left all the same. */
void mbn_board_reset(void)
{
    mbn_port_flush();
}

void mbn_board_rearm(void)
{
}

void mbn_board_wait(void)
{
}

/* What is counted are nanoseconds, modulo 2^32. */
int mbn_board_has_cycles(void)
{
    return 1;
}

uint32_t mbn_board_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000000000u + (uint32_t)now.tv_nsec;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    return mbn_board_now() - since;
}

uint32_t mbn_board_stack_bytes(void)
{
    return 0;
}

uint32_t mbn_board_stack_used_bytes(void)
{
    return 0;
}
