/* SPDX-License-Identifier: 0BSD */
/* A board that is a process: the line is standard input and output. */
#define _POSIX_C_SOURCE 200809L
#include "mbn_port.h"

#include <termios.h>
#include <unistd.h>

static uint8_t waiting[4096];
static ssize_t waiting_count;
static ssize_t waiting_next;
static int closed;

void mbn_port_open(void)
{
}

int mbn_port_get(void)
{
    if (waiting_next == waiting_count) {
        waiting_next = 0;
        waiting_count = closed ? 0 : read(STDIN_FILENO, waiting, sizeof waiting);
        if (waiting_count <= 0) {
            waiting_count = 0;
            return MBN_PORT_CLOSED;
        }
    }
    return waiting[waiting_next++];
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    while (count > 0) {
        const ssize_t written = write(STDOUT_FILENO, bytes, count);
        if (written <= 0) {
            closed = 1;
            return;
        }
        bytes += written;
        count -= (uint32_t)written;
    }
}

void mbn_port_flush(void)
{
    (void)tcdrain(STDOUT_FILENO); /* a pipe has nothing to wait for, and fails */
}
