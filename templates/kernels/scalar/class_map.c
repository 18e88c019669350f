/* SPDX-License-Identifier: 0BSD */
/* class_map in plain C99: the class of each pixel between two rows and two columns of a smaller map.
 *
 * Between two columns every class lies on a line. So a class that is the first of the largest in both of them is it
 * everywhere between; and where two classes differ, only those are asked that are above the one class at the other's
 * column, at both ends: all others are below one of the two all the way. */
#include "mbn_kernels.h"

/* The values of one column between two rows; returns the first of the largest. */
static int32_t blend(const int8_t *a, const int8_t *b, int32_t upper, int32_t lower, int32_t channels, int32_t *values)
{
    int32_t best = 0, largest = INT32_MIN;
    for (int32_t c = 0; c < channels; c++) {
        const int32_t value = upper * a[c] + lower * b[c];
        values[c] = value;
        if (value > largest) {
            largest = value;
            best = c;
        }
    }
    return best;
}

void mbn_class_map_s8_scalar(const mbn_class_map_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch, int32_t y, int32_t x)
{
    const int32_t channels = p->channels, parts = p->column_parts;
    const int32_t lower = p->rows[y], upper = p->row_parts - lower;
    const int8_t *const a = rows[0], *const b = rows[1];
    const int32_t *place = p->columns + 2 * x;
    const int32_t *const end = place + 2 * count;
    int32_t *left = (int32_t *)scratch, *right = left + channels;
    int32_t *const possible = right + channels;
    int32_t column = -1, left_best = 0, right_best = 0, right_column = -1;
    while (place != end) {
        const int32_t next = place[0] + 1 < p->width ? place[0] + 1 : place[0];
        if (place[0] != column) {
            column = place[0];
            if (column == right_column) {
                int32_t *const swap = left;
                left = right;
                right = swap;
                left_best = right_best;
            } else {
                left_best = blend(a + column * channels, b + column * channels, upper, lower, channels, left);
            }
            right_column = next;
            right_best = blend(a + next * channels, b + next * channels, upper, lower, channels, right);
        }
        if (channels == 1) {
            for (; place != end && place[0] == column; place += 2) {
                *out++ = (int8_t)((parts - place[1]) * left[0] + place[1] * right[0] >= p->threshold);
            }
        } else if (left_best == right_best) {
            for (; place != end && place[0] == column; place += 2) {
                *out++ = (int8_t)left_best;
            }
        } else {
            const int32_t right_of_left = right[left_best], left_of_right = left[right_best];
            int32_t others = 0;
            for (int32_t c = 0; c < channels; c++) {
                if (right[c] > right_of_left && left[c] > left_of_right) {
                    possible[others++] = c;
                }
            }
            for (; place != end && place[0] == column; place += 2) {
                const int32_t weight = place[1], rest = parts - weight;
                int32_t best = left_best, largest = rest * left[left_best] + weight * right_of_left;
                const int32_t other = rest * left_of_right + weight * right[right_best];
                if (other > largest || (other == largest && right_best < left_best)) {
                    largest = other;
                    best = right_best;
                }
                for (int32_t i = 0; i < others; i++) {
                    const int32_t c = possible[i], value = rest * left[c] + weight * right[c];
                    if (value > largest || (value == largest && c < best)) {
                        largest = value;
                        best = c;
                    }
                }
                *out++ = (int8_t)best;
            }
        }
    }
}
