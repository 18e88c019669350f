/* SPDX-License-Identifier: 0BSD */
/* a test, as C99 for microcontrollers. Written by mbn2c 0.1.0.
 *
 *   2208 multiply-accumulates, 272 bytes of arena, schedule cuts
 *
 * Whole frame:                              Row by row, the frame never exists:
 *   block_stream_init(&net, &arena, sizeof arena);     block_stream_init(&net, &arena, sizeof arena);
 *   block_stream_run(&net, input, output);             block_stream_begin(&net);
 *                                              block_stream_push_rows(&net, rows, count);  (until all rows are in)
 *                                              block_stream_finish(&net, output);
 *
 * `static block_stream_t net; static BLOCK_STREAM_ARENA(arena);` is all the memory that it takes.
 * Each function returns BLOCK_STREAM_OK or what is wrong.
 * No global state: several networks, or several contexts of one, may run side by side. */
#ifndef BLOCK_STREAM_H
#define BLOCK_STREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BLOCK_STREAM_ARENA_BYTES 272
#define BLOCK_STREAM_STEPS 8
#define BLOCK_STREAM_MACS 2208

/* Input: one image, NHWC: 6 rows from the top, each of 5 pixels from the left, each of 3 channels (red, green, blue).
 * uint8: the bytes of a camera, 0 to 255, as they are; the network does the preprocessing. */
#define BLOCK_STREAM_INPUT_ROWS 6
#define BLOCK_STREAM_INPUT_WIDTH 5
#define BLOCK_STREAM_INPUT_CHANNELS 3
#define BLOCK_STREAM_INPUT_ROW_BYTES 15
#define BLOCK_STREAM_INPUT_BYTES 90
#define BLOCK_STREAM_INPUT_SCALE 0.0313725509f
#define BLOCK_STREAM_INPUT_ZERO_POINT (-1)
typedef uint8_t block_stream_input_t;

/* Output, rows of pixels of channels. real = scale * (value - zero_point). */
#define BLOCK_STREAM_OUTPUT_BYTES 3
/* fully_connected_6_out: [1, 1, 3] */
#define BLOCK_STREAM_OUTPUT_OFFSET 0
#define BLOCK_STREAM_OUTPUT_HEIGHT 1
#define BLOCK_STREAM_OUTPUT_WIDTH 1
#define BLOCK_STREAM_OUTPUT_CHANNELS 3
#define BLOCK_STREAM_OUTPUT_SCALE 0.0313725509f
#define BLOCK_STREAM_OUTPUT_ZERO_POINT (-1)

/* sha256 of the model.int8.onnx this code computes */
#define BLOCK_STREAM_DIGEST { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f }

#define BLOCK_STREAM_LABEL_COUNT 3
extern const char *const block_stream_labels[BLOCK_STREAM_LABEL_COUNT];

#define BLOCK_STREAM_OK 0
#define BLOCK_STREAM_E_ARGUMENT 1 /* a pointer is NULL or a count negative */
#define BLOCK_STREAM_E_ARENA 2    /* the arena is too small or not aligned to 16 bytes */
#define BLOCK_STREAM_E_ORDER 3    /* no init before this, rows without begin, more rows than the input has, or finish before all rows */

/* Called after every row of every step: for checks and measurements, not for normal use. */
typedef void (*block_stream_observer_t)(void *context, int step, const int8_t *row, int32_t bytes);

/* What init wants as its arena; an array of bytes alone need not be aligned to 16, and is refused if it is not. */
#if defined(__GNUC__)
#define BLOCK_STREAM_ALIGNED __attribute__((aligned(16)))
#elif defined(__cplusplus)
#define BLOCK_STREAM_ALIGNED alignas(16)
#else
#define BLOCK_STREAM_ALIGNED _Alignas(16)
#endif
typedef struct {
    BLOCK_STREAM_ALIGNED int8_t bytes[BLOCK_STREAM_ARENA_BYTES];
} block_stream_arena_t;
#define BLOCK_STREAM_ARENA(variable) block_stream_arena_t variable

typedef struct {
    int8_t *arena;
    block_stream_observer_t observer;
    void *observer_context;
    int32_t next_row;              /* input row that is due, from 1; 0 before begin, and in a context that is not prepared */
    uint8_t made[BLOCK_STREAM_STEPS];  /* rows made by each step, padding counted */
} block_stream_t;

/* Prepares a context. The arena belongs to it until the last call; its contents need not be kept between inferences.
 * Before this, and after it has failed, every other call returns BLOCK_STREAM_E_ORDER, if the context is static or set to zero. */
int block_stream_init(block_stream_t *net, void *arena, size_t arena_bytes);

/* One inference. The input is only read. */
int block_stream_run(block_stream_t *net, const block_stream_input_t *input, int8_t *output);

int block_stream_begin(block_stream_t *net);
int block_stream_push_rows(block_stream_t *net, const block_stream_input_t *rows, int count);
int block_stream_finish(block_stream_t *net, int8_t *output);

/* observer may be NULL */
int block_stream_observe(block_stream_t *net, block_stream_observer_t observer, void *context);

/* The class of the image, 0 to 2: that of the greatest score, the first of several. `output` is what
 * block_stream_run and block_stream_finish fill. */
int block_stream_top1(const int8_t *output);

/* softmax of the output, for a model that ends in logits: for the host or for display. `output` is what
 * block_stream_run and block_stream_finish fill; 3 probabilities are written, in the output's order. */
void block_stream_softmax(const int8_t *output, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
