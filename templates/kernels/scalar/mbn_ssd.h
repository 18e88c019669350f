/* SPDX-License-Identifier: 0BSD */
/* What the kernels of a detector hand to each other. */
#ifndef MBN_SSD_H
#define MBN_SSD_H

#include <stdint.h>

/* An anchor that may be an object. `rank` grows with its score; MBN_NO_CANDIDATE in a record that holds none. */
typedef struct {
    int16_t rank;
    uint16_t place; /* (y * width + x) * anchors + anchor */
    uint16_t label;
    int8_t offsets[4];
} mbn_candidate;

#define MBN_NO_CANDIDATE (-32768)

#endif
