/* SPDX-License-Identifier: 0BSD */
/* A board that is a process: an operating system has set up everything. */
#include "mbn_port.h"

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

int mbn_board_has_cycles(void)
{
    return 0;
}

uint32_t mbn_board_now(void)
{
    return 0;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    (void)since;
    return 0;
}

uint32_t mbn_board_stack_bytes(void)
{
    return 0;
}

uint32_t mbn_board_stack_used_bytes(void)
{
    return 0;
}
