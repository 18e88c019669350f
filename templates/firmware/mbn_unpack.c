/* SPDX-License-Identifier: 0BSD */
/* Packed input bytes; see mbn_unpack.h. */
#include "mbn_unpack.h"

#define BLOCK_CODES 16u
#define HEAD_BITS 3u
#define WHOLE_BYTES 7u /* the width that stands for codes of eight bits */

static uint32_t next_bits(mbn_packed_t *from, uint32_t count)
{
    while (from->held < count) {
        uint32_t byte = 0xFFu; /* behind the end: ones, which end every code */
        if (from->left > 0) {
            byte = *from->next++;
            from->left--;
        }
        from->bits = (from->bits << 8) | byte;
        from->held += 8;
    }
    from->held -= count;
    return (from->bits >> from->held) & ((1u << count) - 1u);
}

static uint32_t next_code(mbn_packed_t *from)
{
    uint32_t high = 0;
    if (from->block_left == 0) {
        from->width = next_bits(from, HEAD_BITS);
        from->block_left = BLOCK_CODES;
    }
    from->block_left--;
    if (from->width == WHOLE_BYTES) {
        return next_bits(from, 8);
    }
    while (next_bits(from, 1) == 0) {
        high++;
    }
    return (high << from->width) | next_bits(from, from->width);
}

void mbn_unpack_begin(mbn_packed_t *from, const uint8_t *bytes, uint32_t count)
{
    from->next = bytes;
    from->left = count;
    from->bits = 0;
    from->held = 0;
    from->block_left = 0;
    from->change = 0;
    for (uint32_t i = 0; i < MBN_MOST_CHANNELS; i++) {
        from->slope[i] = 0;
    }
}

void mbn_unpack(mbn_packed_t *from, uint8_t *row, uint32_t place, uint32_t count, uint32_t channels)
{
    uint32_t channel = place % channels;
    if (place == 0) {
        for (uint32_t i = 0; i < MBN_MOST_CHANNELS; i++) {
            from->slope[i] = 0;
        }
    }
    for (uint32_t i = place; i < place + count; i++) {
        const uint32_t code = next_code(from);
        if (channel == 0) {
            from->change = 0;
        }
        from->change += (code >> 1) ^ (0u - (code & 1u));
        from->slope[channel] += from->change;
        row[i] = (uint8_t)(row[i] + from->slope[channel]);
        channel = channel + 1u == channels ? 0u : channel + 1u;
    }
}
