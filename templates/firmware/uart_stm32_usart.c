/* SPDX-License-Identifier: 0BSD */
/* The USART of STM32 F1, F2, F4 and L1. Source: ST RM0090, chapter 30. */
#include "mbn_baud.h"
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint32_t *)(MBN_UART_BASE + (offset)))
#define SR REGISTER(0x00u)
#define DR REGISTER(0x04u)
#define BRR REGISTER(0x08u)
#define CR1 REGISTER(0x0Cu)
#define SR_OVERRUN (1u << 3)
#define SR_RX_NOT_EMPTY (1u << 5)
#define SR_TX_COMPLETE (1u << 6)
#define SR_TX_EMPTY (1u << 7)
#define CR1_RX_ENABLE (1u << 2)
#define CR1_TX_ENABLE (1u << 3)
#define CR1_RX_INTERRUPT (1u << 5)
#define CR1_USART_ENABLE (1u << 13)
#define SMALLEST_DIVIDER 16u
#define LARGEST_DIVIDER 0xFFFFu

int mbn_port_can_baud(uint32_t rate)
{
    return mbn_baud_divider(MBN_UART_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER) != 0;
}

/* SR_TX_EMPTY only says that the last byte has begun to leave. */
void mbn_port_flush(void)
{
    while ((SR & SR_TX_COMPLETE) == 0) {
    }
}

void mbn_port_set_baud(uint32_t rate)
{
    mbn_port_flush();
    BRR = mbn_baud_divider(MBN_UART_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER);
}

void mbn_port_open(void)
{
    BRR = mbn_baud_divider(MBN_UART_CLOCK_HZ, MBN_BOARD_BAUD, SMALLEST_DIVIDER, LARGEST_DIVIDER);
    CR1 = CR1_USART_ENABLE | CR1_TX_ENABLE | CR1_RX_ENABLE | CR1_RX_INTERRUPT;
}

int mbn_uart_take(void)
{
    /* An overrun interrupts, too, until the data has been read. */
    return (SR & (SR_RX_NOT_EMPTY | SR_OVERRUN)) == 0 ? MBN_UART_EMPTY : (int)(DR & 0xFFu);
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while ((SR & SR_TX_EMPTY) == 0) {
        }
        DR = bytes[i];
    }
}
