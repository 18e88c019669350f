/* Maps as text: rows of a picture come in over the serial port, and lines of classes go out while they are made. */
#include "mbn_port.h"
#include "shapes.h"

static shapes_t net;
static shapes_arena_t arena __attribute__((section(".arena")));
static shapes_input_t row[SHAPES_INPUT_ROW_BYTES];

/* A character is about twice as high as wide: every other row is shown. */
static void take_row(void *context, int y, const int8_t *classes)
{
    uint8_t line[SHAPES_RECEIVED_ROW_BYTES + 1];
    (void)context;
    if (y % 2 != 0) {
        return;
    }
    for (uint32_t x = 0; x < SHAPES_RECEIVED_ROW_BYTES; x++) {
        line[x] = (uint8_t)(classes[x] == 0 ? '.' : '0' + classes[x]);
    }
    line[SHAPES_RECEIVED_ROW_BYTES] = '\n';
    mbn_port_put(line, (uint32_t)sizeof line);
}

/* Put your camera's rows in place of the serial port's. */
static int look(void)
{
    int error = shapes_begin(&net);
    for (int y = 0; y < SHAPES_INPUT_ROWS && error == SHAPES_OK; y++) {
        for (uint32_t i = 0; i < SHAPES_INPUT_ROW_BYTES; i++) {
            row[i] = (shapes_input_t)mbn_port_get();
        }
        error = shapes_push_rows(&net, row, 1);
    }
    return error == SHAPES_OK ? shapes_finish(&net, 0) : error;
}

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    if (shapes_init(&net, &arena, sizeof arena) != SHAPES_OK || shapes_rows_to(&net, take_row, 0) != SHAPES_OK) {
        return 1;
    }
    while (look() == SHAPES_OK) {
        mbn_port_put((const uint8_t *)"\n", 1);
    }
    return 1;
}
