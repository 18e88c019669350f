/* SPDX-License-Identifier: 0BSD */
/* Which pixels of a run are a thread's, and when it waits for the others.
 *
 * Every thread goes through all rows of all steps in the same order (mbn_rows.h) with counters of its own, makes its share of
 * each, and only counts the rest: nobody tells another what to do. A share is a stretch of pixels, the same one in steps that
 * follow each other pixel by pixel: these are one round, at whose end threads meet. Small steps are the first thread's alone,
 * and it does not wait between them. */
#ifndef MBN_SHARES_H
#define MBN_SHARES_H

#include <stdint.h>

#include "mbn_rows.h"
#include "mbn_threads.h"
#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_shares.h is of another version of mbn2c: take all files from one build"
#endif

/* How a step is shared. */
typedef struct {
    uint16_t
        after; /* it joins a round of its own runs, or of steps up to the one before it, that began with this step or a later one */
    uint8_t is_small; /* by itself it is one thread's */
    uint8_t is_whole; /* rows are not split */
} mbn_sharing;

/* A thread's share of the run that is made. */
typedef struct {
    mbn_pool *pool;
    const mbn_sharing *steps;
    int thread;
    int is_alone;       /* the round is the first thread's */
    int first, last;    /* steps of the round */
    int32_t y, rows;    /* of the run */
    int32_t start, end; /* pixels of the run, counted from its first row on */
} mbn_share;

/* The first of a thread's pixels. Kernels make four pixels or more at once: a row is split at a multiple of four. */
static inline int32_t mbn_share_start(int32_t rows, int32_t width, int thread, int count, int is_whole)
{
    const int32_t pixel = (int32_t)((int64_t)rows * width * thread / count), row = pixel / width, x = pixel % width;
    const int32_t near = is_whole ? (2 * x >= width ? width : 0) : (x + 2) / 4 * 4;
    return row * width + (near < width ? near : width);
}

/* Before a run of a step, or a row of padding (rows: 0). */
static inline void mbn_enter(mbn_share *share, int number, int32_t y, int32_t rows, int32_t width)
{
    const mbn_sharing *const how = &share->steps[number];
    const int is_padding = rows == 0;
    const int is_same_run = y == share->y && rows == share->rows;
    const int goes_on = number == share->last && (is_padding || number == share->first);
    const int follows = number == share->last + 1 && (is_padding || is_same_run);
    if (!share->is_alone && share->first >= how->after && (goes_on || follows)) {
        share->last = is_padding ? share->last : number;
    } else {
        const int stays_alone = share->is_alone && (how->is_small || is_padding);
        if (!stays_alone) {
            mbn_meet(share->pool);
        }
        share->is_alone = stays_alone || (how->is_small && !is_padding);
        share->first = share->last = number;
    }
    if (!is_padding) {
        const int count = share->is_alone ? 1 : share->pool->count;
        share->y = y;
        share->rows = rows;
        share->start = share->end = rows * width;
        if (share->thread < count) {
            share->start = mbn_share_start(rows, width, share->thread, count, how->is_whole);
            share->end = mbn_share_start(rows, width, share->thread + 1, count, how->is_whole);
        }
    }
}

/* As mbn_next_row, but row->in, out, count and x are those of the thread's pixels; 0 if there are none. */
static inline int mbn_next_part(mbn_row *row, mbn_share *share, int number)
{
    const mbn_step step = mbn_step_of(number);
    const int32_t made = row->made[number], y = made - step.top;
    row->is_last = 0;
    if (!mbn_is_ready(row, number, made, made)) {
        row->step = step.above;
        return 0;
    }
    if (step.run == 0) {
        return mbn_make_row(row, number, made, made, MBN_COUNTS);
    }
    if (y < 0 || y >= step.height) {
        mbn_enter(share, number, y, 0, 0);
        return mbn_make_row(row, number, made, made, share->thread == 0 ? MBN_WRITES : MBN_COUNTS);
    }
    if (y % step.run == 0) {
        const int32_t left = step.height - y;
        mbn_enter(share, number, y, left < step.run ? left : step.run, step.count);
    }
    const int32_t row_start = (y - share->y) * step.count, start = share->start - row_start,
                  end = share->end - row_start;
    const int32_t x = start > 0 ? start : 0, stop = end < step.count ? end : step.count;
    if (x >= stop) {
        return mbn_make_row(row, number, made, made, MBN_COUNTS);
    }
    if (!mbn_make_row(row, number, made, made, x == 0 ? MBN_WRITES : MBN_FINDS)) {
        return 0;
    }
    if (x > 0) {
        const int8_t **in = row->in;
        const int32_t column = mbn_column_bytes(mbn_buffer_of(number));
        for (int i = 0; i < step.reads; i++) {
            const mbn_read read = mbn_read_at(step.first_read + i);
            for (int k = 0; k < read.rows; k++) {
                *in++ += x * read.column;
            }
        }
        if (step.reads == 0) {
            *in += x * column;
        }
        row->out += x * column;
    }
    row->x = x;
    row->count = stop - x;
    return 1;
}

#endif
