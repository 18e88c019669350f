/* SPDX-License-Identifier: 0BSD */
/* The USART and the low-power UART of STM32 F0, F3, F7, G0, G4, H7, L0, L4, U5, which differ in their baud rate divider. Before
 * this is included stand CLOCKS_PER_DIVIDER, SMALLEST_DIVIDER and LARGEST_DIVIDER.
 * Source: ST RM0433, chapters 48 and 49; RM0432, chapter 50 and RM0456 agree. */
#ifndef MBN_STM32_USART_V2_H
#define MBN_STM32_USART_V2_H

#include "mbn_baud.h"
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint32_t *)(MBN_UART_BASE + (offset)))
#define CR1 REGISTER(0x00u)
#define CR3 REGISTER(0x08u)
#define BRR REGISTER(0x0Cu)
#define ISR REGISTER(0x1Cu)
#define RDR REGISTER(0x24u)
#define TDR REGISTER(0x28u)
#define CR1_ENABLE 1u
#define CR1_RX_ENABLE (1u << 2)
#define CR1_TX_ENABLE (1u << 3)
#define CR1_RX_INTERRUPT (1u << 5)
#define CR3_NO_OVERRUN (1u << 12) /* a lost byte is the host's business; an overrun flag would stop reception */
#define ISR_RX_NOT_EMPTY (1u << 5)
#define ISR_TX_COMPLETE (1u << 6)
#define ISR_TX_EMPTY (1u << 7)
#define DIVIDER_CLOCK_HZ (MBN_UART_CLOCK_HZ * CLOCKS_PER_DIVIDER)

int mbn_port_can_baud(uint32_t rate)
{
    return mbn_baud_divider(DIVIDER_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER) != 0;
}

static void start(uint32_t rate)
{
    CR1 = 0; /* the divider can only be written while the port is off */
    BRR = mbn_baud_divider(DIVIDER_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER);
    CR3 = CR3_NO_OVERRUN;
    CR1 = CR1_ENABLE | CR1_TX_ENABLE | CR1_RX_ENABLE | CR1_RX_INTERRUPT;
}

/* ISR_TX_EMPTY only says that the last byte has begun to leave. */
void mbn_port_flush(void)
{
    while ((ISR & ISR_TX_COMPLETE) == 0) {
    }
}

void mbn_port_set_baud(uint32_t rate)
{
    mbn_port_flush();
    start(rate);
}

void mbn_port_open(void)
{
    start(MBN_BOARD_BAUD);
}

int mbn_uart_take(void)
{
    return (ISR & ISR_RX_NOT_EMPTY) == 0 ? MBN_UART_EMPTY : (int)(RDR & 0xFFu);
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while ((ISR & ISR_TX_EMPTY) == 0) {
        }
        TDR = bytes[i];
    }
}

#endif
