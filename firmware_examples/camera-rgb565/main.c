/* Rows of a camera -> the class of each frame. Here the camera is the serial port; put your DMA into `read_row`. */
#include "mbn_port.h"
#include "person.h"

static person_t net;
static PERSON_ARENA(arena) __attribute__((section(".arena")));
static person_camera_t camera;
static uint8_t row[PERSON_CAMERA_ROW_BYTES];
static int8_t scores[PERSON_OUTPUT_BYTES];

static void read_row(void)
{
    for (uint32_t i = 0; i < PERSON_CAMERA_ROW_BYTES; i++) {
        row[i] = (uint8_t)mbn_port_get();
    }
}

static int look(void)
{
    int error = person_begin_camera(&net, &camera);
    for (int y = 0; y < PERSON_CAMERA_ROWS && error == PERSON_OK; y++) {
        read_row();
        error = person_push_camera_row(&net, &camera, row);
    }
    return error == PERSON_OK ? person_finish(&net, scores) : error;
}

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    if (person_init(&net, &arena, sizeof arena) != PERSON_OK) {
        return 1;
    }
    while (look() == PERSON_OK) {
        const int found = person_top1(scores);
        const uint8_t text[3] = {(uint8_t)('0' + found / 10), (uint8_t)('0' + found % 10), '\n'};
        mbn_port_put(text, sizeof text);
    }
    return 1;
}
