/* SPDX-License-Identifier: 0BSD */
/* The UART of Arm's Cortex-M system design kit (MPS2, MPS3).
 * Source: Arm DDI 0479, section 4.3. */
#include "mbn_baud.h"
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint32_t *)(MBN_UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CTRL REGISTER(0x08u)
#define INTERRUPTS REGISTER(0x0Cu) /* write 1 to clear */
#define BAUDDIV REGISTER(0x10u)
#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define CTRL_TX_RX_ENABLE 3u
#define CTRL_RX_INTERRUPT 8u
#define INTERRUPT_RX 2u
#define SMALLEST_DIVIDER 16u
#define LARGEST_DIVIDER 0xFFFFFu
#define BITS_PER_BYTE 10u

int mbn_port_can_baud(uint32_t rate)
{
    return mbn_baud_divider(MBN_UART_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER) != 0;
}

/* No flag tells when the shift register is empty: a byte takes it ten times the divider, in clocks, and a turn of the last
 * loop takes the core no less than one. */
void mbn_port_flush(void)
{
    while ((STATE & STATE_TX_FULL) != 0) {
    }
    for (volatile uint32_t left = BITS_PER_BYTE * BAUDDIV; left > 0; left--) {
    }
}

void mbn_port_set_baud(uint32_t rate)
{
    mbn_port_flush();
    BAUDDIV = mbn_baud_divider(MBN_UART_CLOCK_HZ, rate, SMALLEST_DIVIDER, LARGEST_DIVIDER);
}

void mbn_port_open(void)
{
    mbn_port_set_baud(MBN_BOARD_BAUD);
    CTRL = CTRL_TX_RX_ENABLE | CTRL_RX_INTERRUPT;
    (void)DATA; /* whatever was left there; an emulator looks for input when this is read */
}

int mbn_uart_take(void)
{
    if ((STATE & STATE_RX_FULL) == 0) {
        return MBN_UART_EMPTY;
    }
    INTERRUPTS = INTERRUPT_RX;
    return (int)(DATA & 0xFFu);
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while ((STATE & STATE_TX_FULL) != 0) {
        }
        DATA = bytes[i];
    }
}
