/* SPDX-License-Identifier: 0BSD */
/* a test: the steps in order. Written by mbn2c 0.1.0.
 *
 * one column = 4 bytes; # a tensor in full, o a ring of rows, s scratch, . free
 * step   0 |.........oooooooooooooooo.......................................|
 * step   1 |#########oooooooooooooooo.......................................|
 * step   2 |#########......################################################.|
 * step   3 |###############################################################.|
 * step   4 |###################################.............................|
 * step   5 |##################........#########.............................|
 * step   6 |ssss#....#########..............................................|
 * step   7 |#..##...........................................................|
 */
#include "block_layers.h"

#include <string.h>

#include "block_layers_constants.h"
#include "mbn_kernels.h"
#include "mbn_rows.h"
#include "mbn_version.h"

#if MBN_VERSION != 100
#error "block_layers.c is of mbn2c 0.1.0, the kernels are of another: take all files from one build"
#endif

static void block_layers_made(block_layers_t *net, int step, const int8_t *row, int32_t bytes)
{
    if (net->observer != NULL) {
        net->observer(net->observer_context, step, row, bytes);
    }
}

/* step 0 of 8: input
 *   out  arena[     40..    102]  int8 [1, 6, 5, 3] in 3 of 8 rows  scale 0.0313726  zero_point -1 */
static void step0(block_layers_t *net, const block_layers_input_t *pixels)
{
    const int32_t row = net->made[0]++;
    int8_t *out = &net->arena[40 + mbn_slot(row, 3, 21846) * 21];
    if (row < 1 || row >= 7) {
        memset(out, -1, 21);
        return;
    }
    memset(out, -1, 3);
    out += 3;
    memset(out + 15, -1, 3);
    memcpy(out, pixels, 15);
    block_layers_made(net, 0, out, 15);
}

/* step 1 of 8: conv2d_0, conv2d 3x3 stride 2 relu6
 *   in   arena[     40..    102]  int8 [1, 6, 5, 3] in 3 of 8 rows  scale 0.0313726  zero_point -1
 *   out  arena[      0..     35]  int8 [1, 3, 3, 4]  scale 0.0235524  zero_point -128 */
static const mbn_conv_params step1_params = {
    3, /* in_channels */
    4, /* out_channels */
    3, /* kernel_height */
    3, /* kernel_width */
    2, /* stride */
    1, /* dilation */
    32, /* shift */
    -128, /* zero_point */
    block_layers_step1_weights, /* weights */
    block_layers_step1_bias, /* bias */
    block_layers_step1_multiplier, /* multiplier */
};

static void step1(block_layers_t *net)
{
    const int32_t row = net->made[1]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[0 + row * 12];
    rows[0] = &net->arena[40 + mbn_slot(row * 2, 3, 21846) * 21];
    rows[1] = &net->arena[40 + mbn_slot(row * 2 + 1, 3, 21846) * 21];
    rows[2] = &net->arena[40 + mbn_slot(row * 2 + 2, 3, 21846) * 21];
    mbn_conv2d_scalar(&step1_params, rows, out, 3, NULL);
    block_layers_made(net, 1, out, 12);
}

/* step 2 of 8: conv2d_1, conv2d relu6
 *   in   arena[      0..     35]  int8 [1, 3, 3, 4]  scale 0.0235524  zero_point -128
 *   out  arena[     64..    263]  int8 [1, 3, 3, 8]  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step2_params = {
    4, /* in_channels */
    8, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    32, /* shift */
    -128, /* zero_point */
    block_layers_step2_weights, /* weights */
    block_layers_step2_bias, /* bias */
    block_layers_step2_multiplier, /* multiplier */
};

static void step2(block_layers_t *net)
{
    const int32_t row = net->made[2]++;
    const int32_t y = mbn_output_row(row, 1, 3);
    const int8_t *rows[1];
    int8_t *out = &net->arena[64 + row * 40];
    if (row != y + 1) {
        memset(out, -128, 40);
        return;
    }
    memset(out, -128, 8);
    out += 8;
    memset(out + 24, -128, 8);
    rows[0] = &net->arena[0 + y * 12];
    mbn_conv2d_scalar(&step2_params, rows, out, 3, NULL);
    block_layers_made(net, 2, out, 24);
}

/* step 3 of 8: depthwise_conv2d_2, depthwise_conv2d 3x3 relu6
 *   in   arena[     64..    263]  int8 [1, 3, 3, 8]  scale 0.0235294  zero_point -128
 *   out  arena[     40..    111]  int8 [1, 3, 3, 8]  scale 0.0235294  zero_point -128 */
static const mbn_conv_params step3_params = {
    8, /* in_channels */
    8, /* out_channels */
    3, /* kernel_height */
    3, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -128, /* zero_point */
    block_layers_step3_weights, /* weights */
    block_layers_step3_bias, /* bias */
    block_layers_step3_multiplier, /* multiplier */
};

static void step3(block_layers_t *net)
{
    const int32_t row = net->made[3]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[40 + row * 24];
    rows[0] = &net->arena[64 + row * 40];
    rows[1] = &net->arena[64 + (row + 1) * 40];
    rows[2] = &net->arena[64 + (row + 2) * 40];
    mbn_depthwise_conv2d_scalar(&step3_params, rows, out, 3, NULL);
    block_layers_made(net, 3, out, 24);
}

/* step 4 of 8: conv2d_3, conv2d
 *   in   arena[     40..    111]  int8 [1, 3, 3, 8]  scale 0.0235294  zero_point -128
 *   out  arena[    112..    147]  int8 [1, 3, 3, 4]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step4_params = {
    8, /* in_channels */
    4, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    32, /* shift */
    -1, /* zero_point */
    block_layers_step4_weights, /* weights */
    block_layers_step4_bias, /* bias */
    block_layers_step4_multiplier, /* multiplier */
};

static void step4(block_layers_t *net)
{
    const int32_t row = net->made[4]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[112 + row * 12];
    rows[0] = &net->arena[40 + row * 24];
    mbn_conv2d_scalar(&step4_params, rows, out, 3, NULL);
    block_layers_made(net, 4, out, 12);
}

/* step 5 of 8: add_4, add
 *   in   arena[      0..     35]  int8 [1, 3, 3, 4]  scale 0.0235524  zero_point -128
 *   in   arena[    112..    147]  int8 [1, 3, 3, 4]  scale 0.0313726  zero_point -1
 *   out  arena[     40..     75]  int8 [1, 3, 3, 4]  scale 0.0313726  zero_point -1 */
static const mbn_add_params step5_params = {
    4, /* channels */
    3148803, /* multiplier_a */
    4194304, /* multiplier_b */
    405143944, /* offset */
    22, /* shift */
};

static void step5(block_layers_t *net)
{
    const int32_t row = net->made[5]++;
    const int8_t *rows[2];
    int8_t *out = &net->arena[40 + row * 12];
    rows[0] = &net->arena[0 + row * 12];
    rows[1] = &net->arena[112 + row * 12];
    mbn_add_scalar(&step5_params, rows, out, 3, NULL);
    block_layers_made(net, 5, out, 12);
}

/* step 6 of 8: average_pool2d_5, average_pool2d 3x3
 *   in   arena[     40..     75]  int8 [1, 3, 3, 4]  scale 0.0313726  zero_point -1
 *   out  arena[     16..     19]  int8 [1, 1, 1, 4]  scale 0.0313726  zero_point -1 */
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

static void step6(block_layers_t *net)
{
    const int32_t row = net->made[6]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[16];
    void *scratch = &net->arena[0];
    if (row == 0) {
        memset(scratch, 0, 16);
    }
    rows[0] = &net->arena[40 + row * 12];
    mbn_global_average_pool_scalar(&step6_params, rows, out, 3, scratch);
    if (row == 2) {
        mbn_global_average_pool_scalar_finish(&step6_params, out, scratch);
        block_layers_made(net, 6, out, 4);
    }
}

/* step 7 of 8: fully_connected_6, fully_connected
 *   in   arena[     16..     19]  int8 [1, 1, 1, 4]  scale 0.0313726  zero_point -1
 *   out  arena[      0..      2]  int8 [1, 1, 1, 3]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step7_params = {
    4, /* in_channels */
    3, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    block_layers_step7_weights, /* weights */
    block_layers_step7_bias, /* bias */
    block_layers_step7_multiplier, /* multiplier */
};

static void step7(block_layers_t *net)
{
    const int32_t row = net->made[7]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[0 + row * 3];
    rows[0] = &net->arena[16 + row * 4];
    mbn_conv2d_scalar(&step7_params, rows, out, 1, NULL);
    block_layers_made(net, 7, out, 3);
}

/* Steps 0 to 1, row by row: of all steps that can run the last one does. After a step only those that read
 * what it made can have become ready; if they are not, the ones above them may be. */
static void loop0(block_layers_t *net, const block_layers_input_t *pixels)
{
    int step = 0;
    for (;;) {
        switch (step) {
        case 1:
            if (net->made[1] < 3 && net->made[0] >= net->made[1] * 2 + 3) {
                step1(net);
                step = 1;
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

/* Step 2, all rows. */
static void loop1(block_layers_t *net)
{
    while (net->made[2] < 5) {
        step2(net);
    }
}

/* Step 3, all rows. */
static void loop2(block_layers_t *net)
{
    while (net->made[3] < 3) {
        step3(net);
    }
}

/* Step 4, all rows. */
static void loop3(block_layers_t *net)
{
    while (net->made[4] < 3) {
        step4(net);
    }
}

/* Step 5, all rows. */
static void loop4(block_layers_t *net)
{
    while (net->made[5] < 3) {
        step5(net);
    }
}

/* Step 6, all rows. */
static void loop5(block_layers_t *net)
{
    while (net->made[6] < 3) {
        step6(net);
    }
}

/* Step 7, all rows. */
static void loop6(block_layers_t *net)
{
    while (net->made[7] < 1) {
        step7(net);
    }
}

int block_layers_init(block_layers_t *net, void *arena, size_t arena_bytes)
{
    if (net == NULL) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    memset(net, 0, sizeof *net);
    if (arena == NULL) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    if (arena_bytes < BLOCK_LAYERS_ARENA_BYTES || (uintptr_t)arena % 16 != 0) {
        return BLOCK_LAYERS_E_ARENA;
    }
    net->arena = (int8_t *)arena;
    return BLOCK_LAYERS_OK;
}

int block_layers_observe(block_layers_t *net, block_layers_observer_t observer, void *context)
{
    if (net == NULL) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return BLOCK_LAYERS_E_ORDER;
    }
    net->observer = observer;
    net->observer_context = context;
    return BLOCK_LAYERS_OK;
}

int block_layers_begin(block_layers_t *net)
{
    if (net == NULL) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    if (net->arena == NULL) {
        return BLOCK_LAYERS_E_ORDER;
    }
    memset(net->made, 0, sizeof net->made);
    net->next_row = 1;
    return BLOCK_LAYERS_OK;
}

int block_layers_push_rows(block_layers_t *net, const block_layers_input_t *rows, int count)
{
    if (net == NULL || rows == NULL || count < 0) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    if (net->next_row == 0 || count > BLOCK_LAYERS_INPUT_ROWS + 1 - net->next_row) {
        return BLOCK_LAYERS_E_ORDER;
    }
    for (int i = 0; i < count; i++) {
        loop0(net, rows + (size_t)i * BLOCK_LAYERS_INPUT_ROW_BYTES);
        net->next_row++;
    }
    return BLOCK_LAYERS_OK;
}

int block_layers_finish(block_layers_t *net, int8_t *output)
{
    if (net == NULL || output == NULL) {
        return BLOCK_LAYERS_E_ARGUMENT;
    }
    if (net->next_row != BLOCK_LAYERS_INPUT_ROWS + 1) {
        return BLOCK_LAYERS_E_ORDER;
    }
    net->next_row = 0;
    loop1(net);
    loop2(net);
    loop3(net);
    loop4(net);
    loop5(net);
    loop6(net);
    memcpy(output + 0, &net->arena[0], 3);
    return BLOCK_LAYERS_OK;
}

int block_layers_run(block_layers_t *net, const block_layers_input_t *input, int8_t *output)
{
    int error = block_layers_begin(net);
    if (error == BLOCK_LAYERS_OK) {
        error = block_layers_push_rows(net, input, BLOCK_LAYERS_INPUT_ROWS);
    }
    return error == BLOCK_LAYERS_OK ? block_layers_finish(net, output) : error;
}
