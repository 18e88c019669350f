/* SPDX-License-Identifier: 0BSD */
/* Frames on the serial port; see mbn_line.h. */
#include "mbn_line.h"

#include "mbn_port.h"
#include "mbn_wire.h"

#define TEXT_BYTES 24u
#define LONGEST_BLOCK 0xFFu
#define MOST_EQUAL 0xFFu

/* COBS sends blocks of up to 254 bytes behind their length; block[0] is that length. */
static uint8_t block[LONGEST_BLOCK];
static uint32_t filled;
static uint32_t sent_crc;

uint32_t mbn_crc32(uint32_t crc, const void *bytes, uint32_t count)
{
    static const uint32_t nibbles[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *next = bytes;
    crc = ~crc;
    for (uint32_t i = 0; i < count; i++) {
        crc ^= next[i];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
    }
    return ~crc;
}

uint16_t mbn_get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | ((uint32_t)bytes[1] << 8));
}

uint32_t mbn_get_u32(const uint8_t *bytes)
{
    return bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) | ((uint32_t)bytes[3] << 24);
}

int32_t mbn_line_receive(uint8_t *body, uint32_t capacity)
{
    uint32_t length = 0;
    uint32_t code = LONGEST_BLOCK; /* length byte of the block being read; the longest has no zero behind it */
    uint32_t left = 0;
    uint32_t received = 0;
    for (;;) {
        int byte = mbn_port_get();
        if (byte < 0) {
            return MBN_LINE_CLOSED;
        }
        if (byte == 0) {
            if (received == 0) {
                continue;
            }
            if (left != 0 || length < MBN_WIRE_HEAD_BYTES + MBN_WIRE_CRC_BYTES) {
                return MBN_LINE_DAMAGED;
            }
            length -= MBN_WIRE_CRC_BYTES;
            return mbn_get_u32(body + length) == mbn_crc32(0, body, length) ? (int32_t)length : MBN_LINE_DAMAGED;
        }
        received = 1;
        if (left == 0) {
            const int zero_behind_block = code != LONGEST_BLOCK;
            code = (uint32_t)byte;
            left = code - 1u;
            if (!zero_behind_block) {
                continue;
            }
            byte = 0;
        } else {
            left--;
        }
        if (length == capacity) {
            return MBN_LINE_DAMAGED; /* two frames whose delimiter was lost, or noise */
        }
        body[length] = (uint8_t)byte;
        length++;
    }
}

static void flush_block(void)
{
    block[0] = (uint8_t)filled;
    mbn_port_put(block, filled);
    filled = 1;
}

static void stuff(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            block[filled] = bytes[i];
            filled++;
        }
        if (bytes[i] == 0 || filled == LONGEST_BLOCK) {
            flush_block();
        }
    }
}

void mbn_send_bytes(const void *bytes, uint32_t count)
{
    sent_crc = mbn_crc32(sent_crc, bytes, count);
    stuff(bytes, count);
}

/* How many bytes are equal to the first one, as far as a pair can say. */
static uint32_t equal_bytes(const uint8_t *bytes, uint32_t count)
{
    uint32_t equal = 1;
    while (equal < count && equal < MOST_EQUAL && bytes[equal] == bytes[0]) {
        equal++;
    }
    return equal;
}

uint32_t mbn_pairs_bytes(const uint8_t *bytes, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i += equal_bytes(bytes + i, count - i)) {
        sum += 2;
    }
    return sum;
}

void mbn_send_pairs(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count;) {
        const uint32_t equal = equal_bytes(bytes + i, count - i);
        const uint8_t pair[2] = {(uint8_t)equal, bytes[i]};
        mbn_send_bytes(pair, sizeof pair);
        i += equal;
    }
}

void mbn_send_u8(uint32_t value)
{
    const uint8_t bytes[1] = {(uint8_t)value};
    mbn_send_bytes(bytes, 1);
}

void mbn_send_u16(uint32_t value)
{
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    mbn_send_bytes(bytes, 2);
}

void mbn_send_u32(uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    mbn_send_bytes(bytes, 4);
}

void mbn_send_text(const char *text)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < TEXT_BYTES; i++) {
        ended |= text[ended ? 0u : i] == '\0' ? 1u : 0u;
        mbn_send_u8(ended ? 0u : (uint8_t)text[i]);
    }
}

void mbn_send_begin(uint32_t code, uint16_t sequence)
{
    filled = 1;
    sent_crc = 0;
    mbn_send_u8(code);
    mbn_send_u16(sequence);
}

void mbn_send_end(void)
{
    static const uint8_t delimiter[1] = {0};
    const uint32_t crc = sent_crc;
    mbn_send_u32(crc);
    flush_block();
    mbn_port_put(delimiter, 1);
}
