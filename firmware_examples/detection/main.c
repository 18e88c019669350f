/* Boxes as text: rows of a picture come in over the serial port, and a line goes out for each object that is found. */
#include "mbn_port.h"
#include "person.h"

#define MOST_BOXES 16

static person_t net;
static person_arena_t arena __attribute__((section(".arena")));
static person_input_t row[PERSON_INPUT_ROW_BYTES];
static int8_t output[PERSON_OUTPUT_BYTES];

/* Put your camera's rows in place of the serial port's. */
static int look(void)
{
    int error = person_begin(&net);
    for (int y = 0; y < PERSON_INPUT_ROWS && error == PERSON_OK; y++) {
        for (uint32_t i = 0; i < PERSON_INPUT_ROW_BYTES; i++) {
            row[i] = (person_input_t)mbn_port_get();
        }
        error = person_push_rows(&net, row, 1);
    }
    return error == PERSON_OK ? person_finish(&net, output) : error;
}

/* A number that is not negative, and what comes behind it. */
static void print(int32_t value, char end)
{
    uint8_t text[12];
    uint32_t place = sizeof text - 1;
    uint32_t rest = (uint32_t)value;
    text[place] = (uint8_t)end;
    do {
        text[--place] = (uint8_t)('0' + rest % 10u);
        rest /= 10u;
    } while (rest != 0);
    mbn_port_put(text + place, (uint32_t)sizeof text - place);
}

int main(void)
{
    person_box_t boxes[MOST_BOXES];
    mbn_board_setup();
    mbn_port_open();
    if (person_init(&net, &arena, sizeof arena) != PERSON_OK) {
        return 1;
    }
    while (look() == PERSON_OK) {
        const int count = person_boxes(&net, boxes, MOST_BOXES);
        for (int i = 0; i < count; i++) {
            /* corners are sixteenths of a pixel, the score is of 32768 */
            print(boxes[i].x0 / 16, ' ');
            print(boxes[i].y0 / 16, ' ');
            print(boxes[i].x1 / 16, ' ');
            print(boxes[i].y1 / 16, ' ');
            print(boxes[i].label, ' ');
            print(boxes[i].score * 100 / 32768, '\n');
        }
        mbn_port_put((const uint8_t *)"\n", 1);
    }
    return 1;
}
