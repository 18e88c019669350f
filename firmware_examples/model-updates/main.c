/* A fixed program whose network comes in a blob: two slots, of which the newer one that is whole runs.
 *
 *   updates update NEW.blob [BYTES]    overwrites the slot that is not in use; stops after so many bytes, as if the power failed
 *   updates run                        says which slot runs, and what the network makes of a gray picture
 *
 * The slots are files here. On a device they are ranges of flash, and nothing else changes: `slots` holds their addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"

#define SLOTS 2
#define SLOT_BYTES NETWORK_BLOB_BYTES
#define ERASED 0xff

typedef struct {
    NETWORK_ALIGNED unsigned char bytes[SLOT_BYTES];
} slot;

static const char *const files[SLOTS] = {"slot0.bin", "slot1.bin"};
static slot flash[SLOTS];
static const void *const slots[SLOTS] = {&flash[0], &flash[1]};
static network_t net;
static NETWORK_ARENA(arena);
static network_input_t input[NETWORK_INPUT_BYTES];
static int8_t output[NETWORK_OUTPUT_BYTES];

static int fail(const char *what)
{
    fprintf(stderr, "updates: %s\n", what);
    return EXIT_FAILURE;
}

static void read_slots(void)
{
    for (int i = 0; i < SLOTS; i++) {
        memset(&flash[i], ERASED, sizeof flash[i]);
        FILE *file = fopen(files[i], "rb");
        if (file != NULL) {
            (void)fread(&flash[i], 1, sizeof flash[i], file);
            fclose(file);
        }
    }
}

static int write_slot(int number)
{
    FILE *file = fopen(files[number], "wb");
    const int is_written = file != NULL && fwrite(&flash[number], 1, sizeof flash[number], file) == sizeof flash[number];
    return (file == NULL || fclose(file) == 0) && is_written;
}

static int update(const char *name, size_t most)
{
    const int other = network_newest_blob(slots, SLOTS, SLOT_BYTES) == slots[0] ? 1 : 0;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return fail("cannot open the blob");
    }
    memset(&flash[other], ERASED, sizeof flash[other]);
    (void)fread(&flash[other], 1, most < SLOT_BYTES ? most : SLOT_BYTES, file);
    fclose(file);
    if (!write_slot(other)) {
        return fail("cannot write the slot");
    }
    const int error = network_check_blob(slots[other], SLOT_BYTES);
    printf("slot %d: %s\n", other, error == NETWORK_OK ? "whole" : "not whole");
    return EXIT_SUCCESS;
}

static int run(void)
{
    const unsigned char *const newest = network_newest_blob(slots, SLOTS, SLOT_BYTES);
    if (newest == NULL) {
        return fail("no slot has a network");
    }
    if (network_init_blob(&net, newest, SLOT_BYTES, &arena, sizeof arena) != NETWORK_OK ||
        network_run(&net, input, output) != NETWORK_OK) {
        return fail("the network does not run");
    }
    const unsigned char *const version = newest + 20; /* 12 bits, 12 bits, 8 bits, the least first */
    printf("slot %d, version %u.%u.%u:", newest == slots[0] ? 0 : 1, (unsigned)version[3],
           (unsigned)(version[2] << 4 | version[1] >> 4), (unsigned)((version[1] & 15) << 8 | version[0]));
    for (int i = 0; i < NETWORK_OUTPUT_BYTES; i++) {
        printf(" %d", output[i]);
    }
    printf("\n");
    return EXIT_SUCCESS;
}

int main(int count, char **words)
{
    read_slots();
    if (count >= 3 && strcmp(words[1], "update") == 0) {
        return update(words[2], count > 3 ? (size_t)strtoul(words[3], NULL, 10) : SLOT_BYTES);
    }
    if (count == 2 && strcmp(words[1], "run") == 0) {
        return run();
    }
    return fail("update NEW.blob [BYTES], or run");
}
