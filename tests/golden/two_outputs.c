/* SPDX-License-Identifier: 0BSD */
/* a test: the steps in order. Written by mbn2c 0.1.0.
 *
 * one column = 6 bytes; # a tensor in full, o a ring of rows, s scratch, . free
 * step   0 |...................oooooooo.....................................|
 * step   1 |####################ooooooo.....................................|
 * step   2 |############################################################....|
 * step   3 |###############################################################.|
 * step   4 |###################ssss#................................#######.|
 * step   5 |####################...#........................................|
 */
#include "two_outputs.h"

#include <string.h>

#include "two_outputs_constants.h"
#include "mbn_kernels.h"
#include "mbn_rows.h"
#include "mbn_version.h"

#if MBN_VERSION != 100
#error "two_outputs.c is of mbn2c 0.1.0, the kernels are of another: take all files from one build"
#endif

/* step 0 of 6: input
 * arena[    120..    167]  int8 [1, 8, 7, 2] in 3 of 10 rows  scale 0.0313726  zero_point -1 */

/* step 1 of 6: conv2d_0, conv2d 3x3 stride (1, 2), from step 0
 * arena[      0..    119]  int8 [1, 8, 3, 5]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step1_params = {
    2 /* in_channels */, 5 /* out_channels */, 2 /* in_bytes */, 5 /* pixel_stride */, 3 /* kernel_height */, 3 /* kernel_width */,
    2 /* stride */, 1 /* dilation */, 32 /* shift */, -1 /* zero_point */, two_outputs_step1_weights /* weights */,
    two_outputs_step1_bias /* bias */, two_outputs_step1_multiplier /* multiplier */};

/* step 2 of 6: clamp_1, lookup relu6, from step 1
 * arena[    120..    369]  int8 [1, 8, 3, 5]  scale 0.0235294  zero_point -128 */
static const mbn_lookup_params step2_params = {
    5 /* channels */, 5 /* pixel_stride */, two_outputs_step2_table /* table */};

/* step 3 of 6: average_pool2d_2, average_pool2d 3x3 stride 2, from step 2
 * arena[    352..    391]  int8 [1, 4, 2, 5]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step3_params = {
    5 /* channels */, 5 /* pixel_stride */, 3 /* kernel_height */, 3 /* kernel_width */, 2 /* stride */, 1 /* dilation */,
    22 /* shift */, -1 /* zero_point */, 1152 /* bias */, 349526 /* multiplier */};

/* step 4 of 6: average_pool2d_3, average_pool2d 4x2, from step 3
 * arena[    144..    148]  int8 [1, 1, 1, 5]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step4_params = {
    5 /* channels */, 5 /* pixel_stride */, 4 /* kernel_height */, 2 /* kernel_width */, 1 /* stride */, 1 /* dilation */,
    22 /* shift */, -1 /* zero_point */, 8 /* bias */, 524289 /* multiplier */};

/* step 5 of 6: fully_connected_4, fully_connected, from step 4
 * arena[    120..    122]  int8 [1, 1, 1, 3]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step5_params = {
    5 /* in_channels */, 3 /* out_channels */, 5 /* in_bytes */, 3 /* pixel_stride */, 1 /* kernel_height */, 1 /* kernel_width */,
    1 /* stride */, 1 /* dilation */, 22 /* shift */, -1 /* zero_point */, two_outputs_step5_weights /* weights */,
    two_outputs_step5_bias /* bias */, two_outputs_step5_multiplier /* multiplier */};

/* What each step makes, what it reads, and when it runs: see mbn_rows.h. What all have the same is no column. */
static const struct {
    uint16_t offset, reciprocal; int8_t zero_point; uint8_t row_bytes, slots, left, width, right, channels;
} buffers[6] = {
    /*       offset  reciprocal  zero_point  row_bytes  slots  left  width  right  channels */
    /* 0 */ {   120,      21846,         -1,        16,     3,    1,     7,     0,        2},
    /* 1 */ {     0,          0,         -1,        15,     8,    0,     3,     0,        5},
    /* 2 */ {   120,          0,       -128,        25,    10,    1,     3,     1,        5},
    /* 3 */ {   352,          0,         -1,        10,     4,    0,     2,     0,        5},
    /* 4 */ {   144,          0,         -1,         5,     1,    0,     1,     0,        5},
    /* 5 */ {   120,          0,         -1,         3,     1,    0,     1,     0,        3},
};

MBN_INLINE mbn_buffer mbn_buffer_of(int number)
{
    const mbn_buffer row = {
        .offset = buffers[number].offset, .row_bytes = buffers[number].row_bytes, .reciprocal = buffers[number].reciprocal,
        .slots = buffers[number].slots, .left = buffers[number].left, .width = buffers[number].width, .right = buffers[number].right,
        .is_planar = 0, .zero_point = buffers[number].zero_point, .channels = buffers[number].channels,
        .pixel_bytes = buffers[number].channels, .strip = -1, .slot_phases = 1,
    };
    return row;
}

static const struct {
    uint8_t step, rows, stride, needed, column;
} reads[5] = {
    /*       step  rows  stride  needed  column */
    /* 1 */ {   0,    3,      1,      3,      4},
    /* 2 */ {   1,    1,      1,      1,      5},
    /* 3 */ {   2,    3,      2,      3,     10},
    /* 4 */ {   3,    1,      1,      1,      5},
    /* 5 */ {   4,    1,      1,      4,      5},
};

MBN_INLINE mbn_read mbn_read_at(int index)
{
    const mbn_read row = {
        .step = reads[index].step, .rows = reads[index].rows, .stride = reads[index].stride, .denominator = 1, .dilation = 1, .first = 0,
        .needed = reads[index].needed, .start = 0, .column = reads[index].column, .from_strip = 0, .to_nearest = 0,
    };
    return row;
}

static const struct {
    int8_t above, scratch; uint8_t rows, top, height, first_read, reads, next, count, sum_bytes;
} steps[6] = {
    /*       above  scratch  rows  top  height  first_read  reads  next  count  sum_bytes */
    /* 0 */ {   -1,      -1,   10,   0,      8,          0,     0,    1,     7,         0},
    /* 1 */ {    0,      -1,    8,   0,      8,          0,     1,    1,     3,         0},
    /* 2 */ {   -1,      -1,   10,   1,      8,          1,     1,    2,     3,         0},
    /* 3 */ {   -1,      -1,    4,   0,      4,          2,     1,    3,     2,         0},
    /* 4 */ {   -1,     120,    4,   0,      4,          3,     1,    4,     2,        20},
    /* 5 */ {   -1,      -1,    1,   0,      1,          4,     1,    5,     1,         0},
};

MBN_INLINE mbn_step mbn_step_of(int number)
{
    const mbn_step row = {
        .rows = steps[number].rows, .phases = 1, .top = steps[number].top, .height = steps[number].height, .run = 1,
        .first_read = steps[number].first_read, .reads = steps[number].reads, .next = steps[number].next, .above = steps[number].above,
        .demand = 0, .count = steps[number].count, .scratch = steps[number].scratch, .sum_bytes = steps[number].sum_bytes, .first_piece = 0,
        .pieces = 0,
    };
    return row;
}

MBN_INLINE mbn_piece mbn_piece_at(int index)
{
    const mbn_piece none = {0, 0, 0, 0, 0, 0, 0, 0};
    (void)index;
    return none;
}

/* Runs the loop of a step until none of its steps can make another row: always the deepest one that can. */
static void two_outputs_forward(two_outputs_t *net, int step, const two_outputs_input_t *pixels)
{
    const int8_t *in[3];
    mbn_row row = mbn_first(in, net->arena, net->made, NULL, step, (const int8_t *)pixels);
    while (row.step >= 0) {
        switch (row.step) {
        case 0: if (mbn_next_row(&row, 0)) memcpy(row.out, row.in[0], (size_t)row.count * 2); break;
        case 1: if (mbn_next_row(&row, 1)) mbn_conv2d_s8_scalar(&step1_params, row.in, row.out, row.count, row.scratch); break;
        case 2: if (mbn_next_row(&row, 2)) mbn_lookup_s8_scalar(&step2_params, row.in, row.out, row.count, row.scratch); break;
        case 3: if (mbn_next_row(&row, 3)) mbn_average_pool2d_s8_scalar(&step3_params, row.in, row.out, row.count, row.scratch); break;
        case 4:
            if (mbn_next_row(&row, 4)) mbn_global_average_pool_s8_scalar(&step4_params, row.in, row.out, row.count, row.scratch);
            if (row.is_last) mbn_global_average_pool_s8_scalar_finish(&step4_params, row.out, row.scratch);
            break;
        case 5: if (mbn_next_row(&row, 5)) mbn_conv2d_s8_scalar(&step5_params, row.in, row.out, row.count, row.scratch); break;
        }
        if (row.seen_bytes > 0 && net->observer != NULL) {
            net->observer(net->observer_context, row.seen_step, row.seen, row.seen_bytes);
        }
    }
}

int two_outputs_init(two_outputs_t *net, void *arena, size_t arena_bytes)
{
    if (net != NULL) {
        memset(net, 0, sizeof *net);
    }
    if (net == NULL || arena == NULL) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    if (arena_bytes < TWO_OUTPUTS_ARENA_BYTES || (uintptr_t)arena % 16 != 0) {
        return TWO_OUTPUTS_E_ARENA;
    }
    net->arena = (int8_t *)arena;
    return TWO_OUTPUTS_OK;
}

int two_outputs_observe(two_outputs_t *net, two_outputs_observer_t observer, void *context)
{
    if (net == NULL) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return TWO_OUTPUTS_E_ORDER;
    }
    net->observer = observer;
    net->observer_context = context;
    return TWO_OUTPUTS_OK;
}

int two_outputs_begin(two_outputs_t *net)
{
    if (net == NULL) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return TWO_OUTPUTS_E_ORDER;
    }
    memset(net->made, 0, sizeof net->made);
    net->next_row = 1;
    return TWO_OUTPUTS_OK;
}

int two_outputs_push_rows(two_outputs_t *net, const two_outputs_input_t *rows, int count)
{
    if (net == NULL || rows == NULL || count < 0) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    if (net->next_row == 0 || count > TWO_OUTPUTS_INPUT_ROWS + 1 - net->next_row) {
        return TWO_OUTPUTS_E_ORDER;
    }
    for (int i = 0; i < count; i++) {
        two_outputs_forward(net, 0, rows + (size_t)i * TWO_OUTPUTS_INPUT_ROW_BYTES);
        net->next_row++;
    }
    return TWO_OUTPUTS_OK;
}

int two_outputs_finish(two_outputs_t *net, int8_t *output)
{
    if (net == NULL || output == NULL) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    if (net->next_row != TWO_OUTPUTS_INPUT_ROWS + 1) {
        return TWO_OUTPUTS_E_ORDER;
    }
    net->next_row = 0;
    /* the last step of each loop that is left */
    static const uint16_t last[4] = {2, 3, 4, 5};
    for (int i = 0; i < 4; i++) {
        two_outputs_forward(net, last[i], NULL);
    }
    mbn_copy_rows(net->arena, 1, output);
    mbn_copy_rows(net->arena, 5, output + 120);
    return TWO_OUTPUTS_OK;
}

int two_outputs_run(two_outputs_t *net, const two_outputs_input_t *input, int8_t *output)
{
    int error = two_outputs_begin(net);
    if (error == TWO_OUTPUTS_OK) {
        error = two_outputs_push_rows(net, input, TWO_OUTPUTS_INPUT_ROWS);
    }
    return error == TWO_OUTPUTS_OK ? two_outputs_finish(net, output) : error;
}
