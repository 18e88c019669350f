/* SPDX-License-Identifier: 0BSD */
/* Packed input bytes; docs/protocol.md says how they are coded. */
#ifndef MBN_UNPACK_H
#define MBN_UNPACK_H

#include <stdint.h>

#define MBN_MOST_CHANNELS 4u

/* Where the unpacking of one request stands. */
typedef struct {
    const uint8_t *next;
    uint32_t left; /* bytes not looked at yet */
    uint32_t bits; /* looked at; the lowest `held` of them are not used yet */
    uint32_t held;
    uint32_t block_left;               /* codes until the next block begins */
    uint32_t width;                    /* of the block's codes */
    uint32_t change;                   /* the last byte's, against its neighbours */
    uint32_t slope[MBN_MOST_CHANNELS]; /* per channel, the last pixel less the one above it */
} mbn_packed_t;

void mbn_unpack_begin(mbn_packed_t *from, const uint8_t *bytes, uint32_t count);

/* The next `count` bytes, those from `place` on of an input row; `row` still holds the row above, which they replace. Whatever the
 * request holds, as many are made: the checksum of the input tells whether they are the right ones. */
void mbn_unpack(mbn_packed_t *from, uint8_t *row, uint32_t place, uint32_t count, uint32_t channels);

#endif
