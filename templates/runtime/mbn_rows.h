/* SPDX-License-Identifier: 0BSD */
/* Runs the steps of a network row by row.
 *
 * Each step makes the rows of one tensor. Three const tables of model.c say where that lies in the arena, what is read
 * for it and when; `mbn_next_row` turns them into addresses. It is made to be inlined: where the number of the step is a
 * constant the compiler reads the tables, and nothing of them remains. Where one copy of it serves all steps
 * (MBN_ONE_BODY) they stay, and what is the same for all steps is a constant, so that nothing remains of what none needs.
 *
 * Rows are counted with padding, so a tensor padded by one row above has its first pixels in row 1. */
#ifndef MBN_ROWS_H
#define MBN_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_rows.h is of another version of mbn2c: take all files from one build"
#endif

/* Where a sanitizer watches, or nothing is optimized, nothing is gained from inlining, and much time is lost. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MBN_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MBN_SANITIZED
#endif

#if defined(__GNUC__) && defined(__OPTIMIZE__) && !defined(MBN_SANITIZED)
#define MBN_INLINE static inline __attribute__((always_inline))
#else
#define MBN_INLINE static inline
#endif

/* What each step would only repeat: knowing the step makes it no shorter. */
#if defined(__GNUC__)
#define MBN_SHARED static __attribute__((noinline, unused))
#else
#define MBN_SHARED static inline
#endif

#if !defined(MBN_ONE_BODY)
#define MBN_BODY MBN_INLINE
#elif defined(__GNUC__)
#define MBN_BODY static __attribute__((noinline, cold)) /* small, rather than fast */
#else
#define MBN_BODY static
#endif

#if defined(__GNUC__) && !defined(__clang__) && !defined(MBN_SANITIZED) && !defined(MBN_ONE_BODY)
#define MBN_UNROLLED _Pragma("GCC unroll 64")
#else
#define MBN_UNROLLED
#endif

/* The tensor that a step makes, in the arena. Row r lies in slot r % slots; of a tensor with a strip the newest
 * columns lie there and older ones in their rows. */
typedef struct {
    int32_t offset;      /* of slot 0, bytes */
    int32_t row_bytes;   /* of one slot */
    uint32_t reciprocal; /* 65536 / slots, rounded up, so that no core need divide; 0: one slot, or one for each row */
    uint16_t slots;
    uint16_t left; /* columns of padding */
    int32_t width; /* columns between them */
    uint16_t right;
    uint8_t is_planar; /* a row is [channel][column], else [column][channel] */
    int8_t zero_point;
    int32_t channels; /* bytes of a pixel */
    int32_t
        pixel_bytes; /* from one pixel to the next: more in a slice of a wider tensor's channels, where offset starts */
    int32_t strip;   /* its offset; -1: none */
    uint8_t slot_phases; /* the order of its rows in the slots, as in mbn_step */
} mbn_buffer;

/* What a step reads of a tensor to make its row y, padding not counted: rows
 * floor((first + y * stride) / denominator) + k * dilation, k < rows. */
typedef struct {
    uint16_t step; /* the one that makes the tensor */
    uint16_t rows;
    uint16_t stride;
    uint16_t denominator;
    uint16_t dilation;
    int16_t first;
    uint16_t needed;    /* rows that must have been made for y = 0 */
    int32_t start;      /* bytes from the start of a row to the first column that output column 0 needs */
    int32_t column;     /* and on for each output column */
    uint8_t from_strip; /* the last row lies in the strip */
    uint8_t to_nearest; /* a row outside the tensor is replaced by the nearest inside */
} mbn_read;

/* A column, or so many of them; model.c says uint8_t if all of its pieces have numbers that small. */
#ifndef MBN_COLUMN
#define MBN_COLUMN uint16_t
#endif

/* A piece of a row, for steps that make their rows a few columns at a time.
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
    MBN_COLUMN first, count, out, window, needs, from, moved, kept;
} mbn_piece;

/* When a step runs, and how much it makes at a time. */
typedef struct {
    uint16_t rows;   /* to make, padding counted; a step that sums rows up counts those it reads */
    uint16_t phases; /* their order: so many rows apart, rows 0, phases, 2 * phases ... first, then 1, 1 + phases ... */
    uint16_t top;    /* so many are padding above */
    uint16_t height; /* and so many come of the kernel, */
    uint16_t run;    /* so many of them at once; 0: what it reads lies in its own rows, and it only counts them */
    uint16_t first_read;
    uint16_t reads;    /* 0: its rows come from outside */
    uint16_t next;     /* to try after it: the deepest step of its loop that reads the tensor, else itself */
    int16_t above;     /* to try if it cannot run: the step before it in its loop; -1: none */
    uint16_t demand;   /* 0, or 1 + the read of step `next` that must lack rows before this one runs */
    int32_t count;     /* pixels of a row, for each of which the kernel makes one */
    int32_t scratch;   /* offset of its working memory; -1: none */
    int32_t sum_bytes; /* so many of that are zero before the first row, if the step sums rows up */
    uint16_t first_piece;
    uint16_t pieces; /* of a row; 0: made at once */
} mbn_step;

/* What the tables of model.c say: of a step, and of reads and pieces, which are counted through all steps. */
MBN_INLINE mbn_buffer mbn_buffer_of(int number);
MBN_INLINE mbn_read mbn_read_at(int index);
MBN_INLINE mbn_piece mbn_piece_at(int index);
MBN_INLINE mbn_step mbn_step_of(int number);

/* Rows of a step are counted in these; model.c says uint16_t if they are many. */
#ifndef MBN_ROW_COUNT
#define MBN_ROW_COUNT uint8_t
#endif

/* How far an inference is, and the row that is made. */
typedef struct {
    int8_t *arena;
    MBN_ROW_COUNT *made;  /* rows made by each step */
    uint8_t *piece;       /* pieces made of the next row of each step, up to the last one that has several */
    const int8_t *pixels; /* the input row that is due; NULL: none */
    int step;             /* to try next; -1: none can run */
    const int8_t **in;    /* what the kernel gets: all rows that it reads, */
    int8_t *out;          /* the first pixel that it makes, */
    int32_t count;        /* how many, */
    void *scratch;        /* its working memory or NULL, */
    int32_t y, x;         /* and which row it is, from which column on, padding not counted */
    int is_last;          /* of a step that sums rows up: no more rows follow */
    int seen_step;        /* what an observer sees when that is done: */
    const int8_t *seen;
    int32_t seen_bytes; /* 0: nothing */
} mbn_row;

/* --- where ------------------------------------------------------------------------------------ */

/* Phases are counted from the first row below the padding. Rows of one: */
MBN_INLINE int32_t mbn_rows_of_phase(mbn_step step, int32_t phases, int32_t phase)
{
    const int32_t shift = (phases - step.top % phases) % phases;
    return (step.rows + shift - phase + phases - 1) / phases - (phase < shift);
}

/* How many rows come before a row in the order of so many phases, and the row that so many come before. */
MBN_INLINE int32_t mbn_place(mbn_step step, int32_t phases, int32_t row)
{
    if (phases == 1) {
        return row;
    }
    const int32_t shift = (phases - step.top % phases) % phases, phase = (row + shift) % phases;
    int32_t place = (row + shift) / phases - (phase < shift);
    for (int32_t i = 0; i < phase; i++) {
        place += mbn_rows_of_phase(step, phases, i);
    }
    return place;
}

MBN_INLINE int32_t mbn_row_at(mbn_step step, int32_t phases, int32_t place)
{
    if (phases == 1) {
        return place;
    }
    const int32_t shift = (phases - step.top % phases) % phases;
    int32_t phase = 0;
    while (phase < phases && place >= mbn_rows_of_phase(step, phases, phase)) {
        place -= mbn_rows_of_phase(step, phases, phase);
        phase++;
    }
    return (place + (phase < shift)) * phases + phase - shift;
}

/* Offset of a row of what step `number` makes; row % slots without a division. */
MBN_INLINE int32_t mbn_row_offset(int number, int32_t row)
{
    const mbn_buffer buffer = mbn_buffer_of(number);
    row = mbn_place(mbn_step_of(number), buffer.slot_phases, row);
    int32_t slot = row;
    if (buffer.slots == 1) {
        slot = 0;
#ifndef MBN_ONE_BODY
    } else if (buffer.reciprocal != 0 && (buffer.slots & (buffer.slots - 1)) == 0) {
        slot = row & (buffer.slots - 1);
#endif
    } else if (buffer.reciprocal != 0) {
        slot = row - (int32_t)(((uint32_t)row * buffer.reciprocal) >> 16) * buffer.slots;
    }
    return buffer.offset + slot * buffer.row_bytes;
}

/* Bytes from a column to the next one. */
MBN_INLINE int32_t mbn_column_bytes(mbn_buffer buffer)
{
    return buffer.is_planar ? 1 : buffer.pixel_bytes;
}

/* --- when ------------------------------------------------------------------------------------- */

/* Row k of those that output row y needs. */
MBN_INLINE int32_t mbn_input_row(mbn_read read, int32_t y, int32_t k)
{
    int32_t r = y * read.stride + read.first;
    if (read.denominator > 1) {
        r = r >= 0 ? r / read.denominator : -((read.denominator - 1 - r) / read.denominator);
    }
    r += k * read.dilation;
    if (read.to_nearest) {
        const mbn_step maker = mbn_step_of(read.step);
        const int32_t last = maker.top + maker.height - 1;
        r = r < maker.top ? maker.top : r > last ? last : r;
    }
    return r;
}

/* Whether all rows are there that output row y needs, or all but one and `pieces` pieces of that. */
MBN_INLINE int mbn_can_read(const mbn_row *row, mbn_read read, int32_t y, int32_t pieces)
{
    const int32_t made = row->made[read.step];
    const int is_window = read.denominator == 1 && !read.to_nearest;
    const mbn_step maker = mbn_step_of(read.step);
    int32_t needed = is_window ? y * read.stride + read.needed : mbn_input_row(read, y, read.rows - 1) + 1;
    if (maker.phases > 1 && maker.sum_bytes == 0) {
        needed = 0;
        for (int32_t k = 0; k < read.rows; k++) {
            const int32_t place = mbn_place(maker, maker.phases, mbn_input_row(read, y, k));
            needed = place >= needed ? place + 1 : needed;
        }
    }
    return made >= needed || (read.from_strip && made == needed - 1 && row->piece[read.step] >= pieces);
}

/* The row, padding not counted, whose input row r of a step waits for: one of padding has its nearest neighbour's. */
MBN_INLINE int32_t mbn_waits_as(mbn_step step, int32_t r)
{
    if (step.run == 0) {
        return r;
    }
    return r < step.top ? 0 : r < step.top + step.height ? r - step.top : step.height - 1;
}

/* Whether the step that reads what step `number` makes lacks rows of it, or is over. */
MBN_INLINE int mbn_is_wanted(const mbn_row *row, int number)
{
    const mbn_step step = mbn_step_of(number), reader = mbn_step_of(step.next);
    const int32_t made = row->made[step.next];
    const int32_t y = mbn_waits_as(reader, mbn_row_at(reader, reader.phases, made));
    return made >= reader.rows || !mbn_can_read(row, mbn_read_at(step.demand - 1), y, 0);
}

/* Whether step `number`, which has made so many rows, can make row r, or a piece of it; of padding above, if the first
 * piece of its nearest neighbour could be made. */
MBN_INLINE int mbn_is_ready(const mbn_row *row, int number, int32_t made, int32_t r)
{
    const mbn_step step = mbn_step_of(number);
    int32_t y = mbn_waits_as(step, r);
    int32_t pieces = 0;
    if (made >= step.rows || (step.demand > 0 && !mbn_is_wanted(row, number))) {
        return 0;
    }
    if (step.run > 1 && r >= step.top && r < step.top + step.height) {
        if (y % step.run != 0) {
            return 1;
        }
        y = y + step.run <= step.height ? y + step.run - 1 : step.height - 1;
    }
    if (step.reads == 0) {
        return row->pixels != NULL || r < step.top || r >= step.top + step.height;
    }
    if (step.pieces > 0) {
        const int32_t index = r < step.top || step.pieces == 1 ? 0 : row->piece[number];
        pieces = mbn_piece_at(step.first_piece + index).needs;
    }
    MBN_UNROLLED for (int i = 0; i < step.reads; i++)
    {
        if (!mbn_can_read(row, mbn_read_at(step.first_read + i), y, pieces)) {
            return 0;
        }
    }
    return 1;
}

/* --- padding and strips ----------------------------------------------------------------------- */

/* The padding of a planar row: `left` bytes in front of every channel's pixels and `right` bytes behind them. */
static inline void mbn_pad_planar(int8_t *row, int32_t channels, int32_t columns, int32_t left, int32_t right,
                                  int8_t zero_point)
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

/* Pixels of padding, in interleaved rows. */
MBN_INLINE void mbn_pad(mbn_buffer buffer, int8_t *out, int32_t pixels)
{
    if (buffer.pixel_bytes == buffer.channels) {
        memset(out, buffer.zero_point, (size_t)(pixels * buffer.channels));
        return;
    }
    for (int32_t i = 0; i < pixels; i++) {
        memset(out + i * buffer.pixel_bytes, buffer.zero_point, (size_t)buffer.channels);
    }
}

/* The first `moved` bytes of a strip go to `row`, unless that is NULL, and the `kept` bytes behind them to its front. */
MBN_SHARED void mbn_shift(int8_t *strip, int8_t *row, int32_t moved, int32_t kept)
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

/* --- one row ---------------------------------------------------------------------------------- */

/* Puts the addresses of all rows that output row y needs into `in`. */
MBN_INLINE void mbn_find_rows(const mbn_row *row, int number, int32_t y, mbn_piece piece)
{
    const mbn_step step = mbn_step_of(number);
    const int8_t **in = row->in;
    MBN_UNROLLED for (int i = 0; i < step.reads; i++)
    {
        const mbn_read read = mbn_read_at(step.first_read + i);
        const mbn_buffer buffer = mbn_buffer_of(read.step);
        const int32_t start = read.start + piece.first * read.column;
        MBN_UNROLLED for (int k = 0; k < read.rows; k++)
        {
            if (read.from_strip && k == read.rows - 1) {
                *in++ = row->arena + buffer.strip + piece.window * buffer.channels;
            } else {
                const int32_t r = mbn_input_row(read, y, k);
                *in++ = row->arena + mbn_row_offset(read.step, r) + start;
            }
        }
    }
}

/* Before the first row. */
MBN_INLINE mbn_row mbn_first(const int8_t **in, int8_t *arena, MBN_ROW_COUNT *made, uint8_t *piece, int step,
                             const int8_t *pixels)
{
    const mbn_row row = {arena, made, piece, pixels, step, in, NULL, 0, NULL, 0, 0, 0, 0, NULL, 0};
    return row;
}

/* What is done with a row: only counted, its addresses found too, its padding written too. */
enum { MBN_COUNTS, MBN_FINDS, MBN_WRITES };

/* Row r of step `number`, which has made so many rows and can make this one: 1 if the kernel has something to do. */
MBN_INLINE int mbn_make_row(mbn_row *row, int number, int32_t made, int32_t r, int what)
{
    const mbn_step step = mbn_step_of(number);
    const mbn_buffer buffer = mbn_buffer_of(number);
    row->step = step.next;

    int8_t *const start = row->arena + mbn_row_offset(number, step.sum_bytes > 0 ? 0 : r);
    const int32_t column = mbn_column_bytes(buffer);
    mbn_piece piece = {0, 0, 0, 0, 0, 0, 0, 0};
    int32_t index = 0;
    int8_t *out = start + buffer.left * column;
    int32_t count = step.count;
    if (step.pieces > 0) {
        index = step.pieces > 1 ? row->piece[number] : 0;
        piece = mbn_piece_at(step.first_piece + index);
        count = piece.count;
        out = start + piece.out * column;
    }
    const int32_t y = r - step.top;
    const int is_inner = y >= 0 && y < step.height;
    if (step.run == 0) {
        row->made[number] = (MBN_ROW_COUNT)(made + 1);
        row->seen_step = number;
        row->seen = out;
        row->seen_bytes = is_inner && buffer.pixel_bytes == buffer.channels ? count * buffer.channels : 0;
        return 0;
    }
    if (step.run > 1 && is_inner && y + 1 < step.height && (y + 1) % step.run != 0) {
        row->step = number;
    }
    const int is_first = index == 0;
    const int is_last = step.pieces == 0 || index == step.pieces - 1;
    if (buffer.strip >= 0) {
        int8_t *const strip = row->arena + buffer.strip;
        out = strip + piece.out * column;
        if (!is_first || (made > 0 && buffer.slots > 0)) {
            const int32_t newest = is_first ? mbn_row_at(step, step.phases, made - 1) : r;
            int8_t *old = buffer.slots > 0 ? row->arena + mbn_row_offset(number, newest) + piece.from * column : NULL;
            mbn_shift(strip, old, piece.moved * column, piece.kept * column);
        }
    }
    if (step.pieces > 1) {
        row->piece[number] = is_last ? 0 : (uint8_t)(index + 1);
    }
    if (is_last) {
        row->made[number] = (MBN_ROW_COUNT)(made + 1);
    }
    if (what == MBN_COUNTS) {
        row->pixels = step.reads == 0 && is_inner ? NULL : row->pixels;
        return 0;
    }

    const int32_t bytes = buffer.pixel_bytes == buffer.channels ? count * buffer.channels : 0;
    if (!is_inner) {
        if (buffer.is_planar || step.pieces == 0) {
            if (buffer.is_planar) {
                memset(start, buffer.zero_point, (size_t)buffer.row_bytes);
            } else {
                mbn_pad(buffer, start, buffer.left + buffer.width + buffer.right);
            }
            return 0;
        }
    }
    if (what != MBN_WRITES) {
        /* another thread writes the padding */
    } else if (buffer.is_planar) {
        if (is_first && made < buffer.slots && buffer.left + buffer.right > 0) {
            mbn_pad_planar(start, buffer.channels, buffer.left + buffer.width + buffer.right, buffer.left, buffer.right,
                           buffer.zero_point);
        }
    } else {
        if (is_first && buffer.left > 0) {
            mbn_pad(buffer, out - buffer.left * column, buffer.left);
        }
        if (is_last && buffer.right > 0) {
            mbn_pad(buffer, out + count * column, buffer.right);
        }
    }
    if (!is_inner) {
        mbn_pad(buffer, out, count);
        return 0;
    }

    if (step.reads > 0) {
        mbn_find_rows(row, number, y, piece);
    } else {
        row->in[0] = row->pixels + piece.first * column;
        if (is_last) {
            row->pixels = NULL;
        }
    }
    row->out = out;
    row->count = count;
    row->y = y;
    row->x = piece.first;
    row->scratch = step.scratch < 0 ? NULL : row->arena + step.scratch;
    row->seen_step = number;
    row->seen = buffer.is_planar ? start : out;
    if (step.sum_bytes > 0) {
        if (is_first && made == 0) {
            memset(row->scratch, 0, (size_t)step.sum_bytes);
        }
        row->is_last = is_last && made == step.rows - 1;
        row->seen_bytes = row->is_last && buffer.pixel_bytes == buffer.channels ? buffer.channels : 0;
    } else if (buffer.is_planar) {
        row->seen_bytes = is_last ? buffer.row_bytes : 0;
    } else {
        row->seen_bytes = bytes;
    }
    return 1;
}

/* The next row, or piece of one, that step `number` makes: its padding is written, its input rows are found and it is
 * counted. Returns 0 if there is nothing for the kernel to do: the row is padding, or the step cannot run yet. The step
 * to try next is the deepest of those that read the row; if it cannot run, the ones above it may. */
MBN_BODY int mbn_next_row(mbn_row *row, int number)
{
    const mbn_step step = mbn_step_of(number);
    const int32_t made = row->made[number], r = mbn_row_at(step, step.phases, made);
    row->is_last = 0;
    row->seen_bytes = 0;
    if (!mbn_is_ready(row, number, made, r)) {
        row->step = step.above;
        return 0;
    }
    return mbn_make_row(row, number, made, r, MBN_WRITES);
}

/* --- in and out ------------------------------------------------------------------------------- */

/* Raw pixels -> int8: `tables` has the 256 results of each channel. */
static inline void mbn_convert_pixels(const int8_t *tables, int32_t channels, const int8_t *pixels, int8_t *out,
                                      int32_t count)
{
    const uint8_t *pixel = (const uint8_t *)pixels;
    for (int32_t i = 0; i < count * channels; i += channels) {
        for (int32_t c = 0; c < channels; c++) {
            out[i + c] = tables[c * 256 + pixel[i + c]];
        }
    }
}

/* Copies a tensor that is kept in full, without its padding. */
MBN_INLINE void mbn_copy_rows(const int8_t *arena, int number, int8_t *to)
{
    const mbn_step step = mbn_step_of(number);
    const mbn_buffer buffer = mbn_buffer_of(number);
    const int32_t bytes = buffer.width * buffer.channels;
    const int8_t *row = arena + mbn_row_offset(number, step.top) + buffer.left * buffer.channels;
    for (int32_t y = 0; y < (step.sum_bytes > 0 ? 1 : step.height); y++) {
        memcpy(to + y * bytes, row + y * buffer.row_bytes, (size_t)bytes);
    }
}

#endif
