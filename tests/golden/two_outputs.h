/* SPDX-License-Identifier: 0BSD */
/* a test, as C99 for microcontrollers. Written by mbn2c 0.1.0.
 *
 *   2175 multiply-accumulates, 400 bytes of arena, schedule layerwise
 *
 * Whole frame:                              Row by row, the frame never exists:
 *   two_outputs_init(&net, &arena, sizeof arena);     two_outputs_init(&net, &arena, sizeof arena);
 *   two_outputs_run(&net, input, output);             two_outputs_begin(&net);
 *                                              two_outputs_push_rows(&net, rows, count);  (until all rows are in)
 *                                              two_outputs_finish(&net, output);
 *
 * `static two_outputs_t net; static TWO_OUTPUTS_ARENA(arena);` is all the memory that it takes.
 * Each function returns TWO_OUTPUTS_OK or what is wrong.
 * No global state: several networks, or several contexts of one, may run side by side. */
#ifndef TWO_OUTPUTS_H
#define TWO_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWO_OUTPUTS_ARENA_BYTES 400
#define TWO_OUTPUTS_STEPS 6
#define TWO_OUTPUTS_MACS 2175

/* Input: one image, NHWC: 8 rows from the top, each of 7 pixels from the left, each of 2 channels, in the order of the
 * model. int8: real = scale * (value - zero_point), which reaches from -3.984 to 4.016; two_outputs_quantize_row makes a
 * row of real numbers, those that the model itself takes. */
#define TWO_OUTPUTS_INPUT_ROWS 8
#define TWO_OUTPUTS_INPUT_WIDTH 7
#define TWO_OUTPUTS_INPUT_CHANNELS 2
#define TWO_OUTPUTS_INPUT_ROW_BYTES 14
#define TWO_OUTPUTS_INPUT_BYTES 112
#define TWO_OUTPUTS_INPUT_SCALE 0.0313725509f
#define TWO_OUTPUTS_INPUT_ZERO_POINT (-1)
typedef int8_t two_outputs_input_t;

/* Outputs, one after the other, rows of pixels of channels. real = scale * (value - zero_point). */
#define TWO_OUTPUTS_OUTPUT_BYTES 123
/* conv2d_0_out: [8, 3, 5] */
#define TWO_OUTPUTS_OUTPUT0_OFFSET 0
#define TWO_OUTPUTS_OUTPUT0_HEIGHT 8
#define TWO_OUTPUTS_OUTPUT0_WIDTH 3
#define TWO_OUTPUTS_OUTPUT0_CHANNELS 5
#define TWO_OUTPUTS_OUTPUT0_SCALE 0.0313725509f
#define TWO_OUTPUTS_OUTPUT0_ZERO_POINT (-1)
/* fully_connected_4_out: [1, 1, 3] */
#define TWO_OUTPUTS_OUTPUT1_OFFSET 120
#define TWO_OUTPUTS_OUTPUT1_HEIGHT 1
#define TWO_OUTPUTS_OUTPUT1_WIDTH 1
#define TWO_OUTPUTS_OUTPUT1_CHANNELS 3
#define TWO_OUTPUTS_OUTPUT1_SCALE 0.0313725509f
#define TWO_OUTPUTS_OUTPUT1_ZERO_POINT (-1)

/* sha256 of the model.int8.onnx this code computes */
#define TWO_OUTPUTS_DIGEST { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f }

#define TWO_OUTPUTS_LABEL_COUNT 3
extern const char *const two_outputs_labels[TWO_OUTPUTS_LABEL_COUNT];

#define TWO_OUTPUTS_OK 0
#define TWO_OUTPUTS_E_ARGUMENT 1 /* a pointer is NULL or a count negative */
#define TWO_OUTPUTS_E_ARENA 2    /* the arena is too small or not aligned to 16 bytes */
#define TWO_OUTPUTS_E_ORDER 3    /* no init before this, rows without begin, more rows than the input has, or finish before all rows */

/* Called after every row of every step: for checks and measurements, not for normal use. */
typedef void (*two_outputs_observer_t)(void *context, int step, const int8_t *row, int32_t bytes);

/* What init wants as its arena; an array of bytes alone need not be aligned to 16, and is refused if it is not. */
#if defined(__GNUC__)
#define TWO_OUTPUTS_ALIGNED __attribute__((aligned(16)))
#elif defined(__cplusplus)
#define TWO_OUTPUTS_ALIGNED alignas(16)
#else
#define TWO_OUTPUTS_ALIGNED _Alignas(16)
#endif
typedef struct {
    TWO_OUTPUTS_ALIGNED int8_t bytes[TWO_OUTPUTS_ARENA_BYTES];
} two_outputs_arena_t;
#define TWO_OUTPUTS_ARENA(variable) two_outputs_arena_t variable

typedef struct {
    int8_t *arena;
    two_outputs_observer_t observer;
    void *observer_context;
    int32_t next_row;              /* input row that is due, from 1; 0 before begin, and in a context that is not prepared */
    uint8_t made[TWO_OUTPUTS_STEPS];  /* rows made by each step, padding counted */
} two_outputs_t;

/* Prepares a context. The arena belongs to it until the last call; its contents need not be kept between inferences.
 * Before this, and after it has failed, every other call returns TWO_OUTPUTS_E_ORDER, if the context is static or set to zero. */
int two_outputs_init(two_outputs_t *net, void *arena, size_t arena_bytes);

/* One inference. The input is only read. */
int two_outputs_run(two_outputs_t *net, const two_outputs_input_t *input, int8_t *output);

int two_outputs_begin(two_outputs_t *net);
int two_outputs_push_rows(two_outputs_t *net, const two_outputs_input_t *rows, int count);
int two_outputs_finish(two_outputs_t *net, int8_t *output);

/* observer may be NULL */
int two_outputs_observe(two_outputs_t *net, two_outputs_observer_t observer, void *context);

/* TWO_OUTPUTS_INPUT_ROW_BYTES of real numbers, those that the model itself takes ->
 * as many int8, a row for two_outputs_push_rows. */
void two_outputs_quantize_row(const float *real, int8_t *row);

/* The class of the image, 0 to 2: that of the greatest score, the first of several. `output` is what
 * two_outputs_run and two_outputs_finish fill. */
int two_outputs_top1(const int8_t *output);

/* softmax of fully_connected_4_out, for a model that ends in logits: for the host or for display. `output` is what
 * two_outputs_run and two_outputs_finish fill; 3 probabilities are written, in the output's order. */
void two_outputs_softmax1(const int8_t *output, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
