/* SPDX-License-Identifier: 0BSD */
/* A board that is a process: the line is a TCP connection, one at a time.
 * The port is MBN_TCP_PORT, or the environment's (0: any free one). Whoever connects can run the network: use it in a network you trust. */
#define _POSIX_C_SOURCE 200809L
#include "mbn_board.h"
#include "mbn_port.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener = -1;
static int peer = -1;
static uint8_t waiting[4096];
static ssize_t waiting_count;
static ssize_t waiting_next;

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

void mbn_port_open(void)
{
    const char *given = getenv("MBN_TCP_PORT");
    const long number = given != NULL ? strtol(given, NULL, 10) : MBN_TCP_PORT;
    const int on = 1;
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    address.sin_port = htons((uint16_t)number);
    (void)signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        stop("socket");
    }
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) != 0) {
        stop("cannot listen");
    }
    (void)printf("listening on port %u\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout);
}

static void hang_up(void)
{
    if (peer >= 0) {
        (void)close(peer);
    }
    peer = -1;
}

int mbn_port_get(void)
{
    while (waiting_next == waiting_count) {
        const int on = 1;
        while (peer < 0) {
            peer = accept(listener, NULL, NULL);
            if (peer >= 0) {
                (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            }
        }
        waiting_next = 0;
        waiting_count = read(peer, waiting, sizeof waiting);
        if (waiting_count <= 0) {
            waiting_count = 0;
            hang_up();
        }
    }
    return waiting[waiting_next++];
}

void mbn_port_put(const uint8_t *bytes, uint32_t count)
{
    while (count > 0 && peer >= 0) {
        const ssize_t written = write(peer, bytes, count);
        if (written <= 0) {
            hang_up();
            return;
        }
        bytes += written;
        count -= (uint32_t)written;
    }
}

/* The operating system sends what it was given, also after this program. */
void mbn_port_flush(void)
{
}
