/* Is there a person in the picture? Then the LED is on. Visual wake words on a whole frame.
 *
 * The "camera" is the serial port: it sends raw pixels, row by row, top to bottom. Put your camera's driver into `take_picture`
 * and your board's LED into `set_led`. Try it first on the emulated board, as README.md says. */
#include "mbn_port.h"
#include "person.h"

#define PERSON_CLASS 1

/* The user LEDs of Arm's MPS2 boards: FPGAIO, Arm DAI 0500, section 4.6. */
#define LEDS (*(volatile uint32_t *)0x40028000u)

static person_t net;
static person_arena_t arena __attribute__((section(".arena")));
static person_input_t picture[PERSON_INPUT_BYTES];
static int8_t scores[PERSON_OUTPUT_BYTES];

static void set_led(int on)
{
    LEDS = on ? 1u : 0u;
}

static void take_picture(void)
{
    for (uint32_t i = 0; i < sizeof picture; i++) {
        picture[i] = (person_input_t)mbn_port_get();
    }
}

static int best_class(void)
{
    int best = 0;
    for (int i = 1; i < PERSON_OUTPUT_BYTES; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}

int main(void)
{
    static const uint8_t lines[2][10] = {"LED off\r\n", "LED on \r\n"};
    mbn_board_setup();
    mbn_port_open();
    if (person_init(&net, &arena, sizeof arena) != PERSON_OK) {
        return 1;
    }
    for (;;) {
        take_picture();
        if (person_run(&net, picture, scores) == PERSON_OK) {
            const int on = best_class() == PERSON_CLASS;
            set_led(on);
            mbn_port_put(lines[on], sizeof lines[on] - 1u);
        }
    }
}
