/* SPDX-License-Identifier: 0BSD */
/* What RP2350's boot ROM looks for in the first 4 KiB of flash: the definition of an image.
 * Source: RP2350 datasheet, section 5.9 (metadata blocks) and 5.9.5 (minimum viable image). */
#include <stdint.h>

#define BLOCK_START 0xFFFFDED3u
#define ITEM_IMAGE_TYPE \
    0x10210142u /* 1 word: executable, secure, Arm, RP2350; it is entered through the vector table at its start */
#define ITEM_LAST 0x000001FFu /* after 1 word of items */
#define NO_NEXT_BLOCK 0u
#define BLOCK_END 0xAB123579u

__attribute__((section(".image_def"), used)) static const uint32_t image_def[] = {
    BLOCK_START, ITEM_IMAGE_TYPE, ITEM_LAST, NO_NEXT_BLOCK, BLOCK_END,
};
