/* SPDX-License-Identifier: 0BSD */
/* a test: the steps in order. Written by mbn2c 0.1.0.
 *
 * one column = 4 bytes; # a tensor in full, o a ring of rows, s scratch, . free
 * step   0 |..........................ooooooooooooooo.......................|
 * step   1 |..........................ooooooooooooooooooooo.................|
 * step   2 |ooooooooooooooooooooooooooo.............ooooooo.................|
 * step   3 |ooooooooooooooooooooooooooo.............oooooooooooo............|
 * step   4 |........................................oooooooooooo...ooo......|
 * step   5 |........................................ooooooo........ooooooo..|
 * step   6 |#..................................................sssss..oooo..|
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

static void block_stream_made(block_stream_t *net, int step, const int8_t *row, int32_t bytes)
{
    if (net->observer != NULL) {
        net->observer(net->observer_context, step, row, bytes);
    }
}

/* step 0 of 8: input
 *   out  arena[    120..    182]  int8 [1, 6, 5, 3] in 3 of 8 rows  scale 0.0313726  zero_point -1 */
static void step0(block_stream_t *net, const block_stream_input_t *pixels)
{
    const int32_t row = net->made[0]++;
    int8_t *out = &net->arena[120 + mbn_slot(row, 3, 21846) * 21];
    if (row < 1 || row >= 7) {
        memset(out, -1, 21);
        return;
    }
    memset(out, -1, 3);
    out += 3;
    memset(out + 15, -1, 3);
    for (int32_t i = 0; i < 15; i += 3) {
        for (int32_t c = 0; c < 3; c++) {
            out[i + c] = block_stream_pixels[c * 256 + pixels[i + c]];
        }
    }
    block_stream_made(net, 0, out, 15);
}

/* step 1 of 8: conv2d_0, conv2d 3x3 stride 2 relu6
 *   in   arena[    120..    182]  int8 [1, 6, 5, 3] in 3 of 8 rows  scale 0.0313726  zero_point -1
 *   out  arena[    184..    207]  int8 [1, 3, 3, 4] in 2 of 3 rows  scale 0.0235524  zero_point -128 */
static const mbn_conv_params step1_params = {
    3, /* in_channels */
    4, /* out_channels */
    3, /* kernel_height */
    3, /* kernel_width */
    2, /* stride */
    1, /* dilation */
    32, /* shift */
    -128, /* zero_point */
    block_stream_step1_weights, /* weights */
    block_stream_step1_bias, /* bias */
    block_stream_step1_multiplier, /* multiplier */
};

static void step1(block_stream_t *net)
{
    const int32_t row = net->made[1]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[184 + (row & 1) * 12];
    rows[0] = &net->arena[120 + mbn_slot(row * 2, 3, 21846) * 21];
    rows[1] = &net->arena[120 + mbn_slot(row * 2 + 1, 3, 21846) * 21];
    rows[2] = &net->arena[120 + mbn_slot(row * 2 + 2, 3, 21846) * 21];
    mbn_conv2d_scalar(&step1_params, rows, out, 3, NULL);
    block_stream_made(net, 1, out, 12);
}

/* step 2 of 8: conv2d_1, conv2d relu6
 *   in   arena[    184..    207]  int8 [1, 3, 3, 4] in 2 of 3 rows  scale 0.0235524  zero_point -128
 *   out  arena[      0..    119]  int8 [1, 3, 3, 8] in 3 of 5 rows  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step2_params = {
    4, /* in_channels */
    8, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    32, /* shift */
    -128, /* zero_point */
    block_stream_step2_weights, /* weights */
    block_stream_step2_bias, /* bias */
    block_stream_step2_multiplier, /* multiplier */
};

static void step2(block_stream_t *net)
{
    const int32_t row = net->made[2]++;
    const int32_t y = mbn_output_row(row, 1, 3);
    const int8_t *rows[1];
    int8_t *out = &net->arena[0 + mbn_slot(row, 3, 21846) * 40];
    if (row != y + 1) {
        memset(out, -128, 40);
        return;
    }
    memset(out, -128, 8);
    out += 8;
    memset(out + 24, -128, 8);
    rows[0] = &net->arena[184 + (y & 1) * 12];
    mbn_conv2d_scalar(&step2_params, rows, out, 3, NULL);
    block_stream_made(net, 2, out, 24);
}

/* step 3 of 8: depthwise_conv2d_2, depthwise_conv2d 3x3 relu6
 *   in   arena[      0..    119]  int8 [1, 3, 3, 8] in 3 of 5 rows  scale 0.0235294  zero_point -128
 *   out  arena[    208..    231]  int8 [1, 3, 3, 8] in 1 of 3 rows  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step3_params = {
    8, /* in_channels */
    8, /* out_channels */
    3, /* kernel_height */
    3, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -128, /* zero_point */
    block_stream_step3_weights, /* weights */
    block_stream_step3_bias, /* bias */
    block_stream_step3_multiplier, /* multiplier */
};

static void step3(block_stream_t *net)
{
    const int32_t row = net->made[3]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[208];
    rows[0] = &net->arena[0 + mbn_slot(row, 3, 21846) * 40];
    rows[1] = &net->arena[0 + mbn_slot(row + 1, 3, 21846) * 40];
    rows[2] = &net->arena[0 + mbn_slot(row + 2, 3, 21846) * 40];
    mbn_depthwise_conv2d_scalar(&step3_params, rows, out, 3, NULL);
    block_stream_made(net, 3, out, 24);
}

/* step 4 of 8: conv2d_3, conv2d
 *   in   arena[    208..    231]  int8 [1, 3, 3, 8] in 1 of 3 rows  scale 0.0235294  zero_point -128
 *   out  arena[    248..    259]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step4_params = {
    8, /* in_channels */
    4, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    32, /* shift */
    -1, /* zero_point */
    block_stream_step4_weights, /* weights */
    block_stream_step4_bias, /* bias */
    block_stream_step4_multiplier, /* multiplier */
};

static void step4(block_stream_t *net)
{
    const int8_t *rows[1];
    int8_t *out = &net->arena[248];
    rows[0] = &net->arena[208];
    mbn_conv2d_scalar(&step4_params, rows, out, 3, NULL);
    net->made[4]++;
    block_stream_made(net, 4, out, 12);
}

/* step 5 of 8: add_4, add
 *   in   arena[    184..    207]  int8 [1, 3, 3, 4] in 2 of 3 rows  scale 0.0235524  zero_point -128
 *   in   arena[    248..    259]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1
 *   out  arena[    264..    275]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1 */
static const mbn_add_params step5_params = {
    4, /* channels */
    3148803, /* multiplier_a */
    4194304, /* multiplier_b */
    405143944, /* offset */
    22, /* shift */
};

static void step5(block_stream_t *net)
{
    const int32_t row = net->made[5]++;
    const int8_t *rows[2];
    int8_t *out = &net->arena[264];
    rows[0] = &net->arena[184 + (row & 1) * 12];
    rows[1] = &net->arena[248];
    mbn_add_scalar(&step5_params, rows, out, 3, NULL);
    block_stream_made(net, 5, out, 12);
}

/* step 6 of 8: average_pool2d_5, average_pool2d 3x3
 *   in   arena[    264..    275]  int8 [1, 3, 3, 4] in 1 of 3 rows  scale 0.0313726  zero_point -1
 *   out  arena[      0..      3]  int8 [1, 1, 1, 4]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step6_params = {
    4, /* channels */
    3, /* kernel_height */
    3, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    9, /* bias */
    466034, /* multiplier */
};

static void step6(block_stream_t *net)
{
    const int32_t row = net->made[6]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[0];
    void *scratch = &net->arena[232];
    if (row == 0) {
        memset(scratch, 0, 16);
    }
    rows[0] = &net->arena[264];
    mbn_global_average_pool_scalar(&step6_params, rows, out, 3, scratch);
    if (row == 2) {
        mbn_global_average_pool_scalar_finish(&step6_params, out, scratch);
        block_stream_made(net, 6, out, 4);
    }
}

/* step 7 of 8: fully_connected_6, fully_connected
 *   in   arena[      0..      3]  int8 [1, 1, 1, 4]  scale 0.0313726  zero_point -1
 *   out  arena[      8..     10]  int8 [1, 1, 1, 3]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step7_params = {
    4, /* in_channels */
    3, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    block_stream_step7_weights, /* weights */
    block_stream_step7_bias, /* bias */
    block_stream_step7_multiplier, /* multiplier */
};

static void step7(block_stream_t *net)
{
    const int32_t row = net->made[7]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[8 + row * 3];
    rows[0] = &net->arena[0 + row * 4];
    mbn_conv2d_scalar(&step7_params, rows, out, 1, NULL);
    block_stream_made(net, 7, out, 3);
}

/* Steps 0 to 7, row by row: of all steps that can run the last one does. After a step only those that read
 * what it made can have become ready; if they are not, the ones above them may be. */
static void loop0(block_stream_t *net, const block_stream_input_t *pixels)
{
    int step = 0;
    for (;;) {
        switch (step) {
        case 7:
            if (net->made[7] < 1 && net->made[6] >= 3) {
                step7(net);
                step = 7;
                break;
            }
            /* fall through */
        case 6:
            if (net->made[6] < 3 && net->made[5] >= net->made[6] + 1) {
                step6(net);
                step = 7;
                break;
            }
            /* fall through */
        case 5:
            if (net->made[5] < 3 && net->made[1] >= net->made[5] + 1 && net->made[4] >= net->made[5] + 1) {
                step5(net);
                step = 6;
                break;
            }
            /* fall through */
        case 4:
            if (net->made[4] < 3 && net->made[3] >= net->made[4] + 1) {
                step4(net);
                step = 5;
                break;
            }
            /* fall through */
        case 3:
            if (net->made[3] < 3 && net->made[2] >= net->made[3] + 3) {
                step3(net);
                step = 4;
                break;
            }
            /* fall through */
        case 2:
            if (net->made[2] < 5 && net->made[1] >= mbn_output_row(net->made[2], 1, 3) + 1) {
                step2(net);
                step = 3;
                break;
            }
            /* fall through */
        case 1:
            if (net->made[1] < 3 && net->made[0] >= net->made[1] * 2 + 3) {
                step1(net);
                step = 5;
                break;
            }
            /* fall through */
        case 0:
            if (net->made[0] < 1 || (net->made[0] >= 7 && net->made[0] < 8)) {
                step0(net, NULL);
                step = 1;
                break;
            }
            if (pixels != NULL) {
                step0(net, pixels);
                pixels = NULL;
                step = 1;
                break;
            }
            return;
        }
    }
}

int block_stream_init(block_stream_t *net, void *arena, size_t arena_bytes)
{
    if (net == NULL) {
        return BLOCK_STREAM_E_ARGUMENT;
    }
    memset(net, 0, sizeof *net);
    if (arena == NULL) {
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
        loop0(net, rows + (size_t)i * BLOCK_STREAM_INPUT_ROW_BYTES);
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
    memcpy(output + 0, &net->arena[8], 3);
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
