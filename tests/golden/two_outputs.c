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

static void two_outputs_made(two_outputs_t *net, int step, const int8_t *row, int32_t bytes)
{
    if (net->observer != NULL) {
        net->observer(net->observer_context, step, row, bytes);
    }
}

/* step 0 of 6: input
 *   out  arena[    120..    167]  int8 [1, 8, 7, 2] in 3 of 10 rows  scale 0.0313726  zero_point -1 */
static void step0(two_outputs_t *net, const two_outputs_input_t *pixels)
{
    const int32_t row = net->made[0]++;
    int8_t *out = &net->arena[120 + mbn_slot(row, 3, 21846) * 16];
    if (row < 0 || row >= 8) {
        memset(out, -1, 16);
        return;
    }
    memset(out, -1, 2);
    out += 2;
    memcpy(out, pixels, 14);
    two_outputs_made(net, 0, out, 14);
}

/* step 1 of 6: conv2d_0, conv2d 3x3 stride (1, 2)
 *   in   arena[    120..    167]  int8 [1, 8, 7, 2] in 3 of 10 rows  scale 0.0313726  zero_point -1
 *   out  arena[      0..    119]  int8 [1, 8, 3, 5]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step1_params = {
    2, /* in_channels */
    5, /* out_channels */
    3, /* kernel_height */
    3, /* kernel_width */
    2, /* stride */
    1, /* dilation */
    32, /* shift */
    -1, /* zero_point */
    two_outputs_step1_weights, /* weights */
    two_outputs_step1_bias, /* bias */
    two_outputs_step1_multiplier, /* multiplier */
};

static void step1(two_outputs_t *net)
{
    const int32_t row = net->made[1]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[0 + row * 15];
    rows[0] = &net->arena[120 + mbn_slot(row, 3, 21846) * 16];
    rows[1] = &net->arena[120 + mbn_slot(row + 1, 3, 21846) * 16];
    rows[2] = &net->arena[120 + mbn_slot(row + 2, 3, 21846) * 16];
    mbn_conv2d_scalar(&step1_params, rows, out, 3, NULL);
    two_outputs_made(net, 1, out, 15);
}

/* step 2 of 6: clamp_1, lookup relu6
 *   in   arena[      0..    119]  int8 [1, 8, 3, 5]  scale 0.0313726  zero_point -1
 *   out  arena[    120..    369]  int8 [1, 8, 3, 5]  scale 0.0235294  zero_point -128 */
static const mbn_lookup_params step2_params = {
    5, /* channels */
    two_outputs_step2_table, /* table */
};

static void step2(two_outputs_t *net)
{
    const int32_t row = net->made[2]++;
    const int32_t y = mbn_output_row(row, 1, 8);
    const int8_t *rows[1];
    int8_t *out = &net->arena[120 + row * 25];
    if (row != y + 1) {
        memset(out, -128, 25);
        return;
    }
    memset(out, -128, 5);
    out += 5;
    memset(out + 15, -128, 5);
    rows[0] = &net->arena[0 + y * 15];
    mbn_lookup_scalar(&step2_params, rows, out, 3, NULL);
    two_outputs_made(net, 2, out, 15);
}

/* step 3 of 6: average_pool2d_2, average_pool2d 3x3 stride 2
 *   in   arena[    120..    369]  int8 [1, 8, 3, 5]  scale 0.0235294  zero_point -128
 *   out  arena[    352..    391]  int8 [1, 4, 2, 5]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step3_params = {
    5, /* channels */
    3, /* kernel_height */
    3, /* kernel_width */
    2, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    1152, /* bias */
    349526, /* multiplier */
};

static void step3(two_outputs_t *net)
{
    const int32_t row = net->made[3]++;
    const int8_t *rows[3];
    int8_t *out = &net->arena[352 + row * 10];
    rows[0] = &net->arena[120 + (row * 2) * 25];
    rows[1] = &net->arena[120 + (row * 2 + 1) * 25];
    rows[2] = &net->arena[120 + (row * 2 + 2) * 25];
    mbn_average_pool2d_scalar(&step3_params, rows, out, 2, NULL);
    two_outputs_made(net, 3, out, 10);
}

/* step 4 of 6: average_pool2d_3, average_pool2d 4x2
 *   in   arena[    352..    391]  int8 [1, 4, 2, 5]  scale 0.0313726  zero_point -1
 *   out  arena[    144..    148]  int8 [1, 1, 1, 5]  scale 0.0313726  zero_point -1 */
static const mbn_pool_params step4_params = {
    5, /* channels */
    4, /* kernel_height */
    2, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    8, /* bias */
    524289, /* multiplier */
};

static void step4(two_outputs_t *net)
{
    const int32_t row = net->made[4]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[144];
    void *scratch = &net->arena[120];
    if (row == 0) {
        memset(scratch, 0, 20);
    }
    rows[0] = &net->arena[352 + row * 10];
    mbn_global_average_pool_scalar(&step4_params, rows, out, 2, scratch);
    if (row == 3) {
        mbn_global_average_pool_scalar_finish(&step4_params, out, scratch);
        two_outputs_made(net, 4, out, 5);
    }
}

/* step 5 of 6: fully_connected_4, fully_connected
 *   in   arena[    144..    148]  int8 [1, 1, 1, 5]  scale 0.0313726  zero_point -1
 *   out  arena[    120..    122]  int8 [1, 1, 1, 3]  scale 0.0313726  zero_point -1 */
static const mbn_conv_params step5_params = {
    5, /* in_channels */
    3, /* out_channels */
    1, /* kernel_height */
    1, /* kernel_width */
    1, /* stride */
    1, /* dilation */
    22, /* shift */
    -1, /* zero_point */
    two_outputs_step5_weights, /* weights */
    two_outputs_step5_bias, /* bias */
    two_outputs_step5_multiplier, /* multiplier */
};

static void step5(two_outputs_t *net)
{
    const int32_t row = net->made[5]++;
    const int8_t *rows[1];
    int8_t *out = &net->arena[120 + row * 3];
    rows[0] = &net->arena[144 + row * 5];
    mbn_conv2d_scalar(&step5_params, rows, out, 1, NULL);
    two_outputs_made(net, 5, out, 3);
}

/* Steps 0 to 1, row by row: of all steps that can run the last one does. After a step only those that read
 * what it made can have become ready; if they are not, the ones above them may be. */
static void loop0(two_outputs_t *net, const two_outputs_input_t *pixels)
{
    int step = 0;
    for (;;) {
        switch (step) {
        case 1:
            if (net->made[1] < 8 && net->made[0] >= net->made[1] + 3) {
                step1(net);
                step = 1;
                break;
            }
            /* fall through */
        case 0:
            if (net->made[0] >= 8 && net->made[0] < 10) {
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
static void loop1(two_outputs_t *net)
{
    while (net->made[2] < 10) {
        step2(net);
    }
}

/* Step 3, all rows. */
static void loop2(two_outputs_t *net)
{
    while (net->made[3] < 4) {
        step3(net);
    }
}

/* Step 4, all rows. */
static void loop3(two_outputs_t *net)
{
    while (net->made[4] < 4) {
        step4(net);
    }
}

/* Step 5, all rows. */
static void loop4(two_outputs_t *net)
{
    while (net->made[5] < 1) {
        step5(net);
    }
}

int two_outputs_init(two_outputs_t *net, void *arena, size_t arena_bytes)
{
    if (net == NULL) {
        return TWO_OUTPUTS_E_ARGUMENT;
    }
    memset(net, 0, sizeof *net);
    if (arena == NULL) {
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
        loop0(net, rows + (size_t)i * TWO_OUTPUTS_INPUT_ROW_BYTES);
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
    loop1(net);
    loop2(net);
    loop3(net);
    loop4(net);
    for (int32_t y = 0; y < 8; y++) {
        memcpy(output + 0 + y * 15, &net->arena[0 + (y + 0) * 15], 15);
    }
    memcpy(output + 120, &net->arena[120], 3);
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
