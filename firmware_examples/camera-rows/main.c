/* Rows go into the network as the camera delivers them: no frame is ever in memory, only the two rows of a double buffer.
 *
 * A camera's DMA would fill one row while the network works on the other. Here the camera is the serial port, so a row is
 * simply read; put your DMA into `start_row` and `wait_for_row`. */
#include "mbn_port.h"
#include "person.h"

static person_t net;
static person_arena_t arena __attribute__((section(".arena")));
static person_input_t rows[2][PERSON_INPUT_ROW_BYTES];
static int8_t scores[PERSON_OUTPUT_BYTES];
static person_input_t *under_way;

/* Tell the camera where the next row goes; it may arrive from now on. */
static void start_row(person_input_t *row)
{
    under_way = row;
}

static void wait_for_row(void)
{
    for (uint32_t i = 0; i < PERSON_INPUT_ROW_BYTES; i++) {
        under_way[i] = (person_input_t)mbn_port_get();
    }
}

static int look(void)
{
    int error = person_begin(&net);
    start_row(rows[0]);
    for (int row = 0; row < PERSON_INPUT_ROWS && error == PERSON_OK; row++) {
        wait_for_row();
        if (row + 1 < PERSON_INPUT_ROWS) {
            start_row(rows[(row + 1) % 2]);
        }
        error = person_push_rows(&net, rows[row % 2], 1);
    }
    return error == PERSON_OK ? person_finish(&net, scores) : error;
}

static void print_number(int32_t value)
{
    uint8_t text[12];
    uint32_t place = sizeof text;
    uint32_t rest = (uint32_t)(value < 0 ? -value : value);
    do {
        text[--place] = (uint8_t)('0' + rest % 10u);
        rest /= 10u;
    } while (rest != 0);
    if (value < 0) {
        text[--place] = '-';
    }
    mbn_port_put(text + place, (uint32_t)sizeof text - place);
}

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    if (person_init(&net, &arena, sizeof arena) != PERSON_OK) {
        return 1;
    }
    while (look() == PERSON_OK) {
        for (int i = 0; i < PERSON_OUTPUT_BYTES; i++) {
            print_number(scores[i]);
            mbn_port_put((const uint8_t *)(i + 1 < PERSON_OUTPUT_BYTES ? " " : "\n"), 1);
        }
    }
    return 1;
}
