/* SPDX-License-Identifier: 0BSD */
/* What the firmware needs of a board, implemented once per UART, startup and counter. */
#ifndef MBN_PORT_H
#define MBN_PORT_H

#include <stdint.h>

#define MBN_PORT_CLOSED (-1)
#define MBN_UART_EMPTY (-1)

/* The serial port: 8 data bits, no parity, 1 stop bit. */
void mbn_port_open(void);
int mbn_port_get(void); /* waits; a byte, or MBN_PORT_CLOSED when there is no line any more */
void mbn_port_put(const uint8_t *bytes, uint32_t count);
void mbn_port_flush(void);             /* waits until the last bit of all that was put has left */
int mbn_port_can_baud(uint32_t rate);  /* within 2.5 % */
void mbn_port_set_baud(uint32_t rate); /* after the last byte has left; only a rate that can be had */
int mbn_uart_take(void);               /* a byte that has come, or MBN_UART_EMPTY; bare boards only */
void mbn_port_interrupt(void);         /* taken when a byte has come, while interrupts are not held back */

/* The board. */
void mbn_board_setup(void);  /* clocks, pins, cycle counter */
void mbn_board_clocks(void); /* what the board's TOML says of clocks and pins */
void mbn_board_reset(void);  /* when all that was said has left */
void mbn_board_rearm(void);  /* forget the console's interrupt; look for a byte once more after this */
void mbn_board_wait(void);   /* sleep until it comes; returns at once on a board whose console is polled */
void mbn_board_hold(void);   /* hold interrupts back: they wake the core, but are not taken */
void mbn_board_release(void);
int mbn_board_has_cycles(void);
uint32_t mbn_board_cycles(uint32_t since); /* cycles since an earlier `mbn_board_now` */
uint32_t mbn_board_now(void);
uint32_t mbn_board_stack_bytes(void); /* 0: not measured */
uint32_t mbn_board_stack_used_bytes(void);

/* Empty functions around the network's work, for an instruction counter that watches their addresses. */
void mbn_count_start(void);
void mbn_count_stop(void);

#endif
