/* SPDX-License-Identifier: 0BSD */
/* Arm's PrimeCell UART, PL011 (RP2040, RP2350). Source: Arm DDI 0183, chapter 3. */
#include "mbn_baud.h"
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint32_t *)(MBN_UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define FLAGS REGISTER(0x18u)
#define BAUD_WHOLE REGISTER(0x24u)
#define BAUD_FRACTION REGISTER(0x28u) /* of 64 */
#define LINE_CONTROL REGISTER(0x2Cu)
#define CONTROL REGISTER(0x30u)
#define INTERRUPT_MASK REGISTER(0x38u)
#define FLAG_BUSY (1u << 3)
#define FLAG_RX_EMPTY (1u << 4)
#define FLAG_TX_FULL (1u << 5)
#define LINE_8N1_FIFO ((3u << 5) | (1u << 4))
#define INTERRUPT_RX_AND_TIMEOUT ((1u << 4) | (1u << 6)) /* the FIFO is filling; or bytes lie in it and no more come */
#define CONTROL_ENABLE_RX_TX ((1u << 9) | (1u << 8) | 1u)
/* One bit takes 16 clocks, and the divider counts in 64ths. */
#define DIVIDER_CLOCK_HZ (MBN_UART_CLOCK_HZ * 4u)
#define SMALLEST_DIVIDER 64u
#define LARGEST_DIVIDER (0xFFFFu * 64u)

int mbn_port_can_baud(uint32_t rate)
{
    return mbn_baud_divider(DIVIDER_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER) != 0;
}

static void start(uint32_t rate)
{
    const uint32_t divider = mbn_baud_divider(DIVIDER_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER);
    CONTROL = 0;
    BAUD_WHOLE = divider / 64u;
    BAUD_FRACTION = divider % 64u;
    LINE_CONTROL = LINE_8N1_FIFO; /* takes the divider over, too */
    INTERRUPT_MASK = INTERRUPT_RX_AND_TIMEOUT;
    CONTROL = CONTROL_ENABLE_RX_TX;
}

void mbn_port_flush(void)
{
    while ((FLAGS & FLAG_BUSY) != 0) {
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
    return (FLAGS & FLAG_RX_EMPTY) != 0 ? MBN_UART_EMPTY : (int)(DATA & 0xFFu);
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while ((FLAGS & FLAG_TX_FULL) != 0) {
        }
        DATA = bytes[i];
    }
}
