/* Two networks in one program, one after the other in the same arena: the second looks only where the first says so.
 *
 * The kernels are there once, with what both networks need of them: that is `mbn2c build --beside`. */
#include "detail.h"
#include "mbn_port.h"
#include "wake.h"

#define WAKE_CLASS 1

/* Between two inferences nothing in the arena is needed, so both contexts may hold it as long as only one runs. */
static union {
    wake_arena_t wake;
    detail_arena_t detail;
} arena __attribute__((section(".arena")));
static wake_t wake;
static detail_t detail;
static wake_input_t wake_picture[WAKE_INPUT_BYTES];
static detail_input_t detail_picture[DETAIL_INPUT_BYTES];
static int8_t wake_scores[WAKE_OUTPUT_BYTES];
static int8_t detail_scores[DETAIL_OUTPUT_BYTES];

static int best_class(const int8_t *scores, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}

static void take_picture(void *pixels, uint32_t count)
{
    uint8_t *next = pixels;
    for (uint32_t i = 0; i < count; i++) {
        next[i] = (uint8_t)mbn_port_get();
    }
}

static void say(const char *what, int number)
{
    uint8_t digits[4] = {'0', '0', '0', '\n'};
    for (int place = 2; place >= 0; place--) {
        digits[place] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    while (*what != '\0') {
        mbn_port_put((const uint8_t *)what, 1);
        what++;
    }
    mbn_port_put(digits, sizeof digits);
}

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    if (wake_init(&wake, &arena, sizeof arena) != WAKE_OK || detail_init(&detail, &arena, sizeof arena) != DETAIL_OK) {
        return 1;
    }
    for (;;) {
        take_picture(wake_picture, sizeof wake_picture);
        if (wake_run(&wake, wake_picture, wake_scores) != WAKE_OK) {
            return 1;
        }
        const int class = best_class(wake_scores, WAKE_OUTPUT_BYTES);
        say("wake ", class);
        if (class == WAKE_CLASS) {
            take_picture(detail_picture, sizeof detail_picture);
            if (detail_run(&detail, detail_picture, detail_scores) != DETAIL_OK) {
                return 1;
            }
            say("detail ", best_class(detail_scores, DETAIL_OUTPUT_BYTES));
        }
    }
}
