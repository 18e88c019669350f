/* SPDX-License-Identifier: 0BSD */
/* Rows of tensors in the arena.
 *
 * Rows are counted with padding, so a tensor padded by one row above has its first pixels in row 1. */
#ifndef MBN_ROWS_H
#define MBN_ROWS_H

#include <stdint.h>
#include <string.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_rows.h is of another version of mbn2c: take all files from one build"
#endif

/* A piece of a row, for steps that make their rows a few columns at a time. A strip holds the newest columns of a
 * tensor; older ones lie in their rows.
 *
 *   first   column it starts with, padding not counted
 *   count   columns it has, padding not counted
 *   out     where it is written: a column of its row or of the own strip, padding counted
 *   window  where its window starts in the strip it reads
 *   needs   pieces of that strip's row that must have been made
 *   from    before it is made, the strip's oldest columns move to this column of their row (for the first piece: of
 *           the row above),
 *   moved   so many of them,
 *   kept    and so many stay */
typedef struct {
    uint8_t first, count, out, window, needs, from, moved, kept;
} mbn_piece;

/* The same for rows of more than 255 columns. */
typedef struct {
    uint16_t first, count, out, window, needs, from, moved, kept;
} mbn_wide_piece;

/* row % slots for any row of the ring, where reciprocal is 65536 / slots, rounded up. */
static inline int32_t mbn_slot(int32_t row, int32_t slots, int32_t reciprocal)
{
    return row - ((row * reciprocal) >> 16) * slots;
}

/* Whether `rows` rows have been made, or all but the last one and `pieces` pieces of that. */
static inline int mbn_has(int32_t made_rows, int32_t made_pieces, int32_t rows, int32_t pieces)
{
    return made_rows >= rows || (made_rows == rows - 1 && made_pieces >= pieces);
}

/* The first `moved` bytes of a strip go to `row`, unless that is NULL, and the `kept` bytes behind them to its front. */
static inline void mbn_shift(int8_t *strip, int8_t *row, int32_t moved, int32_t kept)
{
    if (row != NULL) {
        memcpy(row, strip, (size_t)moved);
    }
    if (moved == 0) {
        return;
    }
    if (kept <= moved) {
        memcpy(strip, strip + moved, (size_t)kept);
    } else {
        for (int32_t i = 0; i < kept; i++) {
            strip[i] = strip[i + moved];
        }
    }
}

/* The padding of a planar row: `left` bytes in front of every channel's pixels and `right` bytes behind them. */
static inline void mbn_pad_planar(int8_t *row, int32_t channels, int32_t columns, int32_t left, int32_t right, int8_t zero_point)
{
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t i = 0; i < left; i++) {
            row[i] = zero_point;
        }
        row += columns;
        for (int32_t i = 1; i <= right; i++) {
            row[-i] = zero_point;
        }
    }
}

/* Which output row, padding not counted, the next run makes; a padding row waits for its nearest neighbour. */
static inline int32_t mbn_output_row(int32_t row, int32_t pad_top, int32_t height)
{
    const int32_t y = row - pad_top;
    return y < 0 ? 0 : y >= height ? height - 1 : y;
}

#endif
