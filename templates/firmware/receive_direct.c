/* SPDX-License-Identifier: 0BSD */
/* Bytes are taken from the UART when they are asked for. */
#include "mbn_port.h"

int mbn_port_get(void)
{
    int byte = mbn_uart_take();
    mbn_board_release();
    while (byte == MBN_UART_EMPTY) {
        mbn_board_rearm();
        byte = mbn_uart_take();
        if (byte == MBN_UART_EMPTY) {
            mbn_board_wait();
            byte = mbn_uart_take();
        }
    }
    return byte;
}
