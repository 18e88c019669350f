/* SPDX-License-Identifier: 0BSD */
/* The 16550 UART with byte registers. Source: National Semiconductor PC16550D. */
#include "mbn_baud.h"
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint8_t *)(MBN_UART_BASE + (offset)))
#define DATA REGISTER(0u)      /* low byte of the divider while LINE_CONTROL_DIVIDER is set */
#define INTERRUPT REGISTER(1u) /* high byte of the divider likewise */
#define FIFO_CONTROL REGISTER(2u)
#define LINE_CONTROL REGISTER(3u)
#define LINE_STATUS REGISTER(5u)
#define INTERRUPT_RX 0x01u
#define FIFO_ENABLE_CLEAR 0x07u
#define LINE_CONTROL_8N1 0x03u
#define LINE_CONTROL_DIVIDER 0x80u
#define LINE_STATUS_RX_READY 0x01u
#define LINE_STATUS_TX_ROOM 0x20u
#define LINE_STATUS_TX_IDLE 0x40u
#define CLOCKS_PER_BIT 16u
#define SMALLEST_DIVIDER 1u
#define LARGEST_DIVIDER 0xFFFFu

static uint32_t divider_of(uint32_t rate)
{
    return mbn_baud_divider(MBN_UART_CLOCK_HZ / CLOCKS_PER_BIT, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER);
}

int mbn_port_can_baud(uint32_t rate)
{
    return divider_of(rate) != 0;
}

void mbn_port_flush(void)
{
    while ((LINE_STATUS & LINE_STATUS_TX_IDLE) == 0) {
    }
}

void mbn_port_set_baud(uint32_t rate)
{
    const uint32_t divider = divider_of(rate);
    mbn_port_flush();
    LINE_CONTROL = LINE_CONTROL_8N1 | LINE_CONTROL_DIVIDER;
    DATA = (uint8_t)divider;
    INTERRUPT = (uint8_t)(divider >> 8);
    LINE_CONTROL = LINE_CONTROL_8N1;
}

void mbn_port_open(void)
{
    mbn_port_set_baud(MBN_BOARD_BAUD);
    INTERRUPT = INTERRUPT_RX;
    FIFO_CONTROL = FIFO_ENABLE_CLEAR;
    (void)DATA; /* whatever was left there; an emulator looks for input when this is read */
}

int mbn_uart_take(void)
{
    return (LINE_STATUS & LINE_STATUS_RX_READY) == 0 ? MBN_UART_EMPTY : DATA;
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while ((LINE_STATUS & LINE_STATUS_TX_ROOM) == 0) {
        }
        DATA = bytes[i];
    }
}
