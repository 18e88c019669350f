/* Reads an image file and prints the five likeliest classes: a network on a Linux board, or on any computer.
 *
 *   classify picture.ppm
 *   classify WIDTH HEIGHT [frames.raw]
 *
 * The file is a binary PPM (colour) or PGM (gray) of any size; its middle is cut out and averaged down to the network's input. In the
 * second form it is raw frames one after the other, RGB24 or gray as a camera gives them, of a file or of stdin: a line for each. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "network.h"

#define TOP 5

static network_arena_t arena;
static network_input_t input[NETWORK_INPUT_BYTES];
static int8_t scores[NETWORK_OUTPUT_BYTES];

static int fail(const char *what)
{
    fprintf(stderr, "classify: %s\n", what);
    return EXIT_FAILURE;
}

/* A number of the header, behind blanks and comments; -1 if there is none. */
static long header_number(FILE *file)
{
    long number = -1;
    for (;;) {
        int byte = getc(file);
        if (byte == '#' && number < 0) {
            while (byte != '\n' && byte != EOF) {
                byte = getc(file);
            }
        } else if (byte >= '0' && byte <= '9' && number < 100000) {
            number = (number < 0 ? 0 : number) * 10 + (byte - '0');
        } else if (number >= 0 || (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t')) {
            return number;
        }
    }
}

typedef struct {
    const unsigned char *pixels;
    long width;
    long height;
    long channels;
} picture;

/* The pixels of one channel that one input pixel covers, averaged. */
static network_input_t average(const picture *from, long row, long column, long channel)
{
    const long side = from->width < from->height ? from->width : from->height;
    const long top = (from->height - side) / 2;
    const long left = (from->width - side) / 2;
    const long from_y = top + row * side / NETWORK_INPUT_ROWS;
    const long from_x = left + column * side / NETWORK_INPUT_WIDTH;
    long to_y = top + (row + 1) * side / NETWORK_INPUT_ROWS;
    long to_x = left + (column + 1) * side / NETWORK_INPUT_WIDTH;
    long sum = 0;
    to_y = to_y > from_y ? to_y : from_y + 1;
    to_x = to_x > from_x ? to_x : from_x + 1;
    for (long y = from_y; y < to_y; y++) {
        for (long x = from_x; x < to_x; x++) {
            sum += from->pixels[(y * from->width + x) * from->channels + channel];
        }
    }
    const long count = (to_y - from_y) * (to_x - from_x);
    return (network_input_t)((sum + count / 2) / count);
}

static void fill_input(const picture *from)
{
    network_input_t *next = input;
    for (long row = 0; row < NETWORK_INPUT_ROWS; row++) {
        for (long column = 0; column < NETWORK_INPUT_WIDTH; column++) {
            for (long channel = 0; channel < from->channels; channel++) {
                *next = average(from, row, column, channel);
                next++;
            }
        }
    }
}

static int read_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return fail("cannot open the image");
    }
    const int is_netpbm = getc(file) == 'P';
    const int kind = getc(file);
    const long width = header_number(file);
    const long height = header_number(file);
    const long largest = header_number(file);
    const long channels = kind == '6' ? 3 : 1;
    const int is_known = is_netpbm && (kind == '5' || kind == '6') && width > 0 && height > 0 && largest == 255;
    if (!is_known || channels != NETWORK_INPUT_CHANNELS) {
        (void)fclose(file);
        return fail(NETWORK_INPUT_CHANNELS == 3 ? "not a PPM file (P6, 255)" : "not a PGM file (P5, 255)");
    }
    const size_t count = (size_t)width * (size_t)height * (size_t)channels;
    unsigned char *pixels = malloc(count);
    const int complete = pixels != NULL && fread(pixels, 1, count, file) == count;
    (void)fclose(file);
    if (!complete) {
        free(pixels);
        return fail("the image is not complete");
    }
    const picture from = {pixels, width, height, channels};
    fill_input(&from);
    free(pixels);
    return EXIT_SUCCESS;
}

/* A line for each frame: its likeliest class, and how long the network took. */
static int classify_frames(network_t *net, long width, long height, FILE *file)
{
    const size_t count = (size_t)width * (size_t)height * NETWORK_INPUT_CHANNELS;
    unsigned char *pixels = malloc(count);
    const picture from = {pixels, width, height, NETWORK_INPUT_CHANNELS};
    while (pixels != NULL && fread(pixels, 1, count, file) == count) {
        fill_input(&from);
        const clock_t start = clock();
        if (network_run(net, input, scores) != NETWORK_OK) {
            free(pixels);
            return fail("the network failed");
        }
        const double ms = 1e3 * (double)(clock() - start) / (double)CLOCKS_PER_SEC;
        int best = 0;
        for (int i = 1; i < NETWORK_OUTPUT_BYTES; i++) {
            best = scores[i] > scores[best] ? i : best;
        }
        printf("%-24s %8.3f ms\n", network_labels[best], ms);
        (void)fflush(stdout);
    }
    free(pixels);
    return EXIT_SUCCESS;
}

int main(int count, char **words)
{
    network_t net;
    if (count < 2 || count > 4) {
        return fail("usage: classify picture.ppm, or classify WIDTH HEIGHT [frames.raw]");
    }
    if (network_init(&net, &arena, sizeof arena) != NETWORK_OK) {
        return fail("the network does not start on this processor");
    }
    if (count > 2) {
        const long width = strtol(words[1], NULL, 10);
        const long height = strtol(words[2], NULL, 10);
        FILE *file = count == 4 ? fopen(words[3], "rb") : stdin;
        if (file == NULL || width < 1 || height < 1 || width > 10000 || height > 10000) {
            return fail("no such frames");
        }
        return classify_frames(&net, width, height, file);
    }
    if (read_image(words[1]) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    if (network_run(&net, input, scores) != NETWORK_OK) {
        return fail("the network failed");
    }
    for (int place = 0; place < TOP && place < NETWORK_OUTPUT_BYTES; place++) {
        int best = 0;
        for (int i = 1; i < NETWORK_OUTPUT_BYTES; i++) {
            best = scores[i] > scores[best] ? i : best;
        }
        const double logit = (double)NETWORK_OUTPUT_SCALE * (scores[best] - NETWORK_OUTPUT_ZERO_POINT);
        printf("%-24s %8.4f\n", network_labels[best], logit);
        scores[best] = -128;
    }
    return EXIT_SUCCESS;
}
