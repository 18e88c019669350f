/* SPDX-License-Identifier: 0BSD */
/* Frames on the serial port: COBS and CRC-32, in both directions without a copy. */
#ifndef MBN_LINE_H
#define MBN_LINE_H

#include <stdint.h>

#define MBN_LINE_CLOSED (-1)
#define MBN_LINE_DAMAGED (-2)

/* CRC-32 (zlib) of `count` bytes, continuing `crc`; start with 0. */
uint32_t mbn_crc32(uint32_t crc, const void *bytes, uint32_t count);

/* Waits for a frame; its body without the CRC goes to `body`. Returns the bytes of it, MBN_LINE_CLOSED or MBN_LINE_DAMAGED. */
int32_t mbn_line_receive(uint8_t *body, uint32_t capacity);

uint16_t mbn_get_u16(const uint8_t *bytes);
uint32_t mbn_get_u32(const uint8_t *bytes);

/* A frame goes out field by field. */
void mbn_send_begin(uint32_t code, uint16_t sequence);
void mbn_send_u8(uint32_t value);
void mbn_send_u16(uint32_t value);
void mbn_send_u32(uint32_t value);
void mbn_send_text(const char *text); /* 24 bytes, filled with zeros */
void mbn_send_bytes(const void *bytes, uint32_t count);
/* Pairs of a count and a value that say the same as `count` bytes: how many bytes they are, and the pairs. */
uint32_t mbn_pairs_bytes(const uint8_t *bytes, uint32_t count);
void mbn_send_pairs(const uint8_t *bytes, uint32_t count);
void mbn_send_end(void);

#endif
