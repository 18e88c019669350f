/* SPDX-License-Identifier: 0BSD */
/* a test: the steps in order. Written by mbn2c 0.1.0.
 *
 * one column = 4 bytes; # a tensor in full, o a ring of rows, s scratch, . free
 * step   0 |............................oooooooooooooooo....................|
 * step   1 |............................ooooooooooooooooooooo...............|
 * step   2 |ooooooooooooooooooooooooooooo..............oooooo...............|
 * step   3 |ooooooooooooooooooooooooooooo..............oooooooooooo.........|
 * step   4 |...........................................oooooooooooo...oooo..|
 * step   5 |...........................................ooooooooo......oooo..|
 * step   6 |#...............................................oooo..sssss.....|
 * step   7 |###.............................................................|
 */
#include "block_stream.h"

#include <string.h>

#include "block_stream_constants.h"
#include "mbn_kernels.h"
#include "mbn_rows.h"
#include "mbn_version.h"

#if MBN_VERSION != 100
#error "block_stream.c is of mbn2c 0.1.0, the kernels are of another: take all files from one build"
#endif

/* step 0 of 8: input
 * arena[    120..    182]  int8 [1, 6, 5, 3] in 3 of 8 rows  scale 0.0313726  zero_point -1 */

/* step 1 of 8: conv2d_0, conv2d 3x3 stride 2 relu6, from step 0
 * arena[    184..    207]  int8 [1, 3, 3, 4] in 2 of 3 rows  scale 0.0235524  zero_point -128 */
static const mbn_conv_params step1_params = {
    3 /* in_channels */, 4 /* out_channels */, 3 /* in_bytes */, 4 /* pixel_stride */, 3 /* kernel_height */, 3 /* kernel_width */,
    2 /* stride */, 1 /* dilation */, 32 /* shift */, -128 /* zero_point */, block_stream_step1_weights /* weights */,
    block_stream_step1_bias /* bias */, block_stream_step1_multiplier /* multiplier */};

/* step 2 of 8: conv2d_1, conv2d relu6, from step 1
 * arena[      0..    119]  int8 [1, 3, 3, 8] in 3 of 5 rows  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step2_params = {
    4 /* in_channels */, 8 /* out_channels */, 4 /* in_bytes */, 8 /* pixel_stride */, 1 /* kernel_height */, 1 /* kernel_width */,
    1 /* stride */, 1 /* dilation */, 32 /* shift */, -128 /* zero_point */, block_stream_step2_weights /* weights */,
    block_stream_step2_bias /* bias */, block_stream_step2_multiplier /* multiplier */};

/* step 3 of 8: depthwise_conv2d_2, depthwise_conv2d 3x3 relu6, from step 2
 * arena[    208..    231]  int8 [1, 3, 3, 8] in 1 of 3 rows  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step3_params = {
    8 /* in_channels */, 8 /* out_channels */, 8 /* in_bytes */, 8 /* pixel_stride */, 3 /* kernel_height */, 3 /* kernel_width */,
    1 /* stride */, 1 /* dilation */, 22 /* shift */, -128 /* zero_point */, block_stream_step3_weights /* weights */,
    block_stream_step3_bias /* bias */, block_stream_step3_multiplier /* multiplier */};

/* step 4 of 8: conv2d_3, conv2d, from step 3
 * arena[    248..    259]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step4_params = {
    8 /* in_channels */, 4 /* out_channels */, 8 /* in_bytes */, 4 /* pixel_stride */, 1 /* kernel_height */, 1 /* kernel_width */,
    1 /* stride */, 1 /* dilation */, 32 /* shift */, -1 /* zero_point */, block_stream_step4_weights /* weights */,
    block_stream_step4_bias /* bias */, block_stream_step4_multiplier /* multiplier */};

/* step 5 of 8: add_4, add, from steps 1 and 4
 * arena[    208..    219]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1 */
static const mbn_add_params step5_params = {
    4 /* channels */, 4 /* pixel_stride */, 3148803 /* multiplier_a */, 4194304 /* multiplier_b */, 405143944 /* offset */,
    22 /* shift */};

/* step 6 of 8: average_pool2d_5, average_pool2d 3x3, from step 5
 * arena[      0..      3]  int8 [1, 1, 1, 4]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step6_params = {
    4 /* channels */, 4 /* pixel_stride */, 3 /* kernel_height */, 3 /* kernel_width */, 1 /* stride */, 1 /* dilation */,
    22 /* shift */, -1 /* zero_point */, 9 /* bias */, 466034 /* multiplier */};

/* step 7 of 8: fully_connected_6, fully_connected, from step 6
 * arena[      8..     10]  int8 [1, 1, 1, 3]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step7_params = {
    4 /* in_channels */, 3 /* out_channels */, 4 /* in_bytes */, 3 /* pixel_stride */, 1 /* kernel_height */, 1 /* kernel_width */,
    1 /* stride */, 1 /* dilation */, 22 /* shift */, -1 /* zero_point */, block_stream_step7_weights /* weights */,
    block_stream_step7_bias /* bias */, block_stream_step7_multiplier /* multiplier */};

/* What each step makes, what it reads, and when it runs: see mbn_rows.h. What all have the same is no column. */
static const struct {
    uint16_t reciprocal; int8_t zero_point; uint8_t offset, row_bytes, slots, width, left, channels;
} buffers[8] = {
    /*       reciprocal  zero_point  offset  row_bytes  slots  width  left  channels */
    /* 0 */ {     21846,         -1,    120,        21,     3,     5,    1,        3},
    /* 1 */ {     32768,       -128,    184,        12,     2,     3,    0,        4},
    /* 2 */ {     21846,       -128,      0,        40,     3,     3,    1,        8},
    /* 3 */ {         0,       -128,    208,        24,     1,     3,    0,        8},
    /* 4 */ {         0,         -1,    248,        12,     1,     3,    0,        4},
    /* 5 */ {         0,         -1,    208,        12,     1,     3,    0,        4},
    /* 6 */ {         0,         -1,      0,         4,     1,     1,    0,        4},
    /* 7 */ {         0,         -1,      8,         3,     1,     1,    0,        3},
};

MBN_INLINE mbn_buffer mbn_buffer_of(int number)
{
    const mbn_buffer row = {
        .offset = buffers[number].offset, .row_bytes = buffers[number].row_bytes, .reciprocal = buffers[number].reciprocal,
        .slots = buffers[number].slots, .left = buffers[number].left, .width = buffers[number].width, .right = buffers[number].left,
        .is_planar = 0, .zero_point = buffers[number].zero_point, .channels = buffers[number].channels,
        .pixel_bytes = buffers[number].channels, .strip = -1, .slot_phases = 1,
    };
    return row;
}

static const struct {
    uint8_t step, rows, stride, needed, column;
} reads[8] = {
    /*         step  rows  stride  needed  column */
    /*   1 */ {   0,    3,      2,      3,      6},
    /*   2 */ {   1,    1,      1,      1,      4},
    /*   3 */ {   2,    3,      1,      3,      8},
    /*   4 */ {   3,    1,      1,      1,      8},
    /* 5.0 */ {   1,    1,      1,      1,      4},
    /* 5.1 */ {   4,    1,      1,      1,      4},
    /*   6 */ {   5,    1,      1,      1,      4},
    /*   7 */ {   6,    1,      1,      3,      4},
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
    int16_t scratch; int8_t above; uint8_t rows, top, height, first_read, reads, next, count, sum_bytes;
} steps[8] = {
    /*       scratch  above  rows  top  height  first_read  reads  next  count  sum_bytes */
    /* 0 */ {     -1,    -1,    8,   1,      6,          0,     0,    1,     5,         0},
    /* 1 */ {     -1,     0,    3,   0,      3,          0,     1,    5,     3,         0},
    /* 2 */ {     -1,     1,    5,   1,      3,          1,     1,    3,     3,         0},
    /* 3 */ {     -1,     2,    3,   0,      3,          2,     1,    4,     3,         0},
    /* 4 */ {     -1,     3,    3,   0,      3,          3,     1,    5,     3,         0},
    /* 5 */ {     -1,     4,    3,   0,      3,          4,     2,    6,     3,         0},
    /* 6 */ {    232,     5,    3,   0,      3,          6,     1,    7,     3,        16},
    /* 7 */ {     -1,     6,    1,   0,      1,          7,     1,    7,     1,         0},
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
static void block_stream_forward(block_stream_t *net, int step, const block_stream_input_t *pixels)
{
    const int8_t *in[3];
    mbn_row row = mbn_first(in, net->arena, net->made, NULL, step, (const int8_t *)pixels);
    while (row.step >= 0) {
        switch (row.step) {
        case 0: if (mbn_next_row(&row, 0)) mbn_convert_pixels(block_stream_pixels, 3, row.in[0], row.out, row.count); break;
        case 1: if (mbn_next_row(&row, 1)) mbn_conv2d_s8_scalar(&step1_params, row.in, row.out, row.count, row.scratch); break;
        case 2: if (mbn_next_row(&row, 2)) mbn_conv2d_s8_scalar(&step2_params, row.in, row.out, row.count, row.scratch); break;
        case 3: if (mbn_next_row(&row, 3)) mbn_depthwise_conv2d_s8_scalar(&step3_params, row.in, row.out, row.count, row.scratch); break;
        case 4: if (mbn_next_row(&row, 4)) mbn_conv2d_s8_scalar(&step4_params, row.in, row.out, row.count, row.scratch); break;
        case 5: if (mbn_next_row(&row, 5)) mbn_add_s8_scalar(&step5_params, row.in, row.out, row.count, row.scratch); break;
        case 6:
            if (mbn_next_row(&row, 6)) mbn_global_average_pool_s8_scalar(&step6_params, row.in, row.out, row.count, row.scratch);
            if (row.is_last) mbn_global_average_pool_s8_scalar_finish(&step6_params, row.out, row.scratch);
            break;
        case 7: if (mbn_next_row(&row, 7)) mbn_conv2d_s8_scalar(&step7_params, row.in, row.out, row.count, row.scratch); break;
        }
        if (row.seen_bytes > 0 && net->observer != NULL) {
            net->observer(net->observer_context, row.seen_step, row.seen, row.seen_bytes);
        }
    }
}

int block_stream_init(block_stream_t *net, void *arena, size_t arena_bytes)
{
    if (net != NULL) {
        memset(net, 0, sizeof *net);
    }
    if (net == NULL || arena == NULL) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    if (arena_bytes < BLOCK_STREAM_ARENA_BYTES || (uintptr_t)arena % 16 != 0) {
        return BLOCK_STREAM_E_ARENA;
    }
    net->arena = (int8_t *)arena;
    return BLOCK_STREAM_OK;
}

int block_stream_observe(block_stream_t *net, block_stream_observer_t observer, void *context)
{
    if (net == NULL) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return BLOCK_STREAM_E_ORDER;
    }
    net->observer = observer;
    net->observer_context = context;
    return BLOCK_STREAM_OK;
}

int block_stream_begin(block_stream_t *net)
{
    if (net == NULL) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return BLOCK_STREAM_E_ORDER;
    }
    memset(net->made, 0, sizeof net->made);
    net->next_row = 1;
    return BLOCK_STREAM_OK;
}

int block_stream_push_rows(block_stream_t *net, const block_stream_input_t *rows, int count)
{
    if (net == NULL || rows == NULL || count < 0) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    if (net->next_row == 0 || count > BLOCK_STREAM_INPUT_ROWS + 1 - net->next_row) {
        return BLOCK_STREAM_E_ORDER;
    }
    for (int i = 0; i < count; i++) {
        block_stream_forward(net, 0, rows + (size_t)i * BLOCK_STREAM_INPUT_ROW_BYTES);
        net->next_row++;
    }
    return BLOCK_STREAM_OK;
}

int block_stream_finish(block_stream_t *net, int8_t *output)
{
    if (net == NULL || output == NULL) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    if (net->next_row != BLOCK_STREAM_INPUT_ROWS + 1) {
        return BLOCK_STREAM_E_ORDER;
    }
    net->next_row = 0;
    mbn_copy_rows(net->arena, 7, output);
    return BLOCK_STREAM_OK;
}

int block_stream_run(block_stream_t *net, const block_stream_input_t *input, int8_t *output)
{
    int error = block_stream_begin(net);
    if (error == BLOCK_STREAM_OK) {
        error = block_stream_push_rows(net, input, BLOCK_STREAM_INPUT_ROWS);
    }
    return error == BLOCK_STREAM_OK ? block_stream_finish(net, output) : error;
}
