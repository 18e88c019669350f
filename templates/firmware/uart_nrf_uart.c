/* SPDX-License-Identifier: 0BSD */
/* The UART of Nordic's nRF51, and of nRF52 in its compatible form.
 * Source: nRF51 reference manual 3.0.1, chapter 29; nRF52840 product specification 1.7, section 6.33. */
#include "mbn_board.h"
#include "mbn_port.h"

#define REGISTER(offset) (*(volatile uint32_t *)(MBN_UART_BASE + (offset)))
#define TASK_START_RX REGISTER(0x000u)
#define TASK_START_TX REGISTER(0x008u)
#define EVENT_RX_READY REGISTER(0x108u)
#define EVENT_TX_READY REGISTER(0x11Cu)
#define INTERRUPT_SET REGISTER(0x304u)
#define ENABLE REGISTER(0x500u)
#define RX_DATA REGISTER(0x518u)
#define TX_DATA REGISTER(0x51Cu)
#define BAUD_RATE REGISTER(0x524u)
#define ENABLED 4u
#define INTERRUPT_RX_READY (1u << 2)
#define RATES 9

static const struct {
    uint32_t rate;
    uint32_t value;
} rates[RATES] = {
    {9600u, 0x00275000u},   {38400u, 0x009D5000u},  {57600u, 0x00EBF000u},
    {115200u, 0x01D7E000u}, {230400u, 0x03AFB000u}, {250000u, 0x04000000u},
    {460800u, 0x075F7000u}, {921600u, 0x0EBED000u}, {1000000u, 0x10000000u},
};

int mbn_port_can_baud(uint32_t rate)
{
    int possible = 0;
    for (int i = 0; i < RATES; i++) {
        possible |= rates[i].rate == rate;
    }
    return possible;
}

/* mbn_port_put has waited for each byte: the event comes when it has been transmitted. */
void mbn_port_flush(void)
{
}

void mbn_port_set_baud(uint32_t rate)
{
    for (int i = 0; i < RATES; i++) {
        if (rates[i].rate == rate) {
            BAUD_RATE = rates[i].value;
        }
    }
}

void mbn_port_open(void)
{
    mbn_port_set_baud(MBN_BOARD_BAUD);
    ENABLE = ENABLED;
    INTERRUPT_SET = INTERRUPT_RX_READY;
    TASK_START_TX = 1;
    TASK_START_RX = 1;
}

int mbn_uart_take(void)
{
    if (EVENT_RX_READY == 0) {
        return MBN_UART_EMPTY;
    }
    EVENT_RX_READY = 0;
    return (int)(RX_DATA & 0xFFu);
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        EVENT_TX_READY = 0;
        TX_DATA = bytes[i];
        while (EVENT_TX_READY == 0) {
        }
    }
}
