/* SPDX-License-Identifier: 0BSD */
/* Bytes that come while the network works wait in a ring. */
#include "mbn_board.h"
#include "mbn_port.h"

/* The host keeps no more than the window unanswered, or one frame; the rest is for a request that it sends again. */
#define RING_BYTES \
    ((MBN_BOARD_WINDOW_BYTES > MBN_BOARD_LINE_BYTES ? MBN_BOARD_WINDOW_BYTES : MBN_BOARD_LINE_BYTES) + 64u)

static volatile uint8_t ring[RING_BYTES];
static volatile uint32_t next_in;
static volatile uint32_t next_out; /* equal to next_in: empty */

/* A byte for which there is no room is lost, as it would be in the UART: the frame's CRC tells. */
void mbn_port_interrupt(void)
{
    int byte = mbn_uart_take();
    while (byte != MBN_UART_EMPTY) {
        const uint32_t after = next_in + 1u == RING_BYTES ? 0u : next_in + 1u;
        if (after != next_out) {
            ring[next_in] = (uint8_t)byte;
            next_in = after;
        }
        byte = mbn_uart_take();
    }
}

int mbn_port_get(void)
{
    while (next_in == next_out) {
        mbn_board_hold();
        mbn_port_interrupt();
        if (next_in == next_out) {
            mbn_board_rearm();
            mbn_port_interrupt();
        }
        if (next_in == next_out) {
            mbn_board_wait();
        }
        mbn_board_release();
    }
    const int byte = ring[next_out];
    next_out = next_out + 1u == RING_BYTES ? 0u : next_out + 1u;
    return byte;
}
