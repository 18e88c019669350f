/* SPDX-License-Identifier: 0BSD */
/* Candidates of all levels of a detector -> boxes, in plain C99. Lengths have 16 bits behind the point and are pixels of
 * the input, corners of boxes have 4. Each candidate is decoded and compared with at most `boxes` others, or, where
 * neighbours are one box, with each other. */
#include "mbn_ssd.h"

#include <stddef.h>

#include "mbn_kernels.h"
#include "mbn_math.h"

#define MBN_MOST_LEVELS 8
#define MBN_LEVEL_FACTS 7
#define MBN_LONGEST ((int32_t)1 << 29)
/* What offsets move, if not a centre and the sizes themselves. */
#define MBN_CORNERS 0
#define MBN_CENTRES 1

/* A found object, as it lies in the output. */
typedef struct {
    int16_t corners[4];
    int16_t label;
    int16_t score;
} mbn_box;

/* 2 ** (exponent / 65536) is this, with 15 bits behind the point, times 2 ** (exponent >> 16). */
static int32_t mbn_mantissa(const int32_t *powers, int32_t exponent)
{
    const int32_t fraction = exponent & 0xFFFF, low = powers[fraction >> 10], high = powers[(fraction >> 10) + 1];
    return low + (((high - low) * (fraction & 1023)) >> 10);
}

static int32_t mbn_times_power_of_2(const int32_t *powers, int32_t length, int32_t exponent)
{
    const int32_t right = 15 - (exponent >> 16);
    if (right <= 0) {
        return MBN_LONGEST;
    }
    const int64_t product = ((int64_t)length * mbn_mantissa(powers, exponent)) >> (right < 62 ? right : 62);
    return product < MBN_LONGEST ? (int32_t)product : MBN_LONGEST;
}

static int16_t mbn_clamped(int32_t score)
{
    return (int16_t)(score < 1 ? 1 : score > 32767 ? 32767 : score);
}

/* 1 / (1 + 2 ** -(odds / 65536)) of 32768 */
static int16_t mbn_score(const int32_t *powers, int32_t odds)
{
    const int32_t exponent = odds < 0 ? odds : -odds, right = -(exponent >> 16);
    const uint32_t below = 32768u + (uint32_t)(mbn_mantissa(powers, exponent) >> (right < 31 ? right : 31));
    int32_t score = (int32_t)(((1u << 30) + (below >> 1)) / below);
    score = odds < 0 ? 32768 - score : score;
    return mbn_clamped(score);
}

static void mbn_decode(const mbn_ssd_boxes_params *p, int32_t level, const int32_t *anchors,
                       const mbn_candidate *candidate, int16_t *corners)
{
    const int32_t *const facts = p->level_facts + MBN_LEVEL_FACTS * level;
    const int32_t *const curves = p->curves ? p->curves + 2 * 256 * level : NULL;
    const int32_t width = facts[1], count = facts[2], zero_point = facts[5];
    const int32_t pixel = candidate->place / count;
    const int32_t *const anchor = anchors + 8 * (candidate->place % count);
    const int32_t shift[2] = {pixel % width * facts[3], pixel / width * facts[4]};
    int32_t at[4];
    for (int i = 0; i < 4; i++) {
        const int32_t code = candidate->offsets[p->order[i]];
        at[i] = curves ? (int32_t)(((int64_t)curves[256 * (i >> 1) + code + 128] * anchor[4 + i]) >> 16)
                       : (code - zero_point) * anchor[4 + i];
    }
    if (p->coder != MBN_CORNERS) {
        for (int i = 0; i < 2; i++) {
            const int32_t centre = anchor[i] + shift[i] + at[i];
            const int32_t size = p->coder == MBN_CENTRES ? mbn_times_power_of_2(p->powers, anchor[2 + i], at[2 + i])
                                                         : anchor[2 + i] + at[2 + i];
            const int32_t half = size >> 1;
            at[i] = centre - half;
            at[2 + i] = centre + half;
        }
    } else {
        for (int i = 0; i < 4; i++) {
            at[i] += anchor[i] + shift[i & 1];
        }
    }
    for (int i = 0; i < 4; i++) {
        const int32_t end = (i & 1 ? p->height : p->width) << 4, rounded = (at[i] + (1 << 11)) >> 12;
        corners[i] = (int16_t)(rounded < 0 ? 0 : rounded > end ? end : rounded);
    }
}

static uint32_t mbn_area(const int16_t *corners)
{
    return (uint32_t)(corners[2] - corners[0]) * (uint32_t)(corners[3] - corners[1]);
}

/* Whether intersection over union is more than threshold / 65536. */
static int mbn_overlaps(const int16_t *a, const int16_t *b, int32_t threshold)
{
    const int32_t width = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]);
    const int32_t height = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]);
    if (width <= 0 || height <= 0) {
        return 0;
    }
    const uint32_t shared = (uint32_t)width * (uint32_t)height;
    return ((uint64_t)shared << 16) > (uint64_t)(uint32_t)threshold * (mbn_area(a) + mbn_area(b) - shared);
}

static int mbn_is_dropped(const mbn_ssd_boxes_params *p, const mbn_box *kept, int32_t count, const mbn_box *box)
{
    for (int32_t i = 0; i < count; i++) {
        if ((kept[i].label == box->label || !p->per_class) &&
            mbn_overlaps(box->corners, kept[i].corners, p->iou_threshold)) {
            return 1;
        }
    }
    return 0;
}

static int mbn_is_empty(const int16_t *corners)
{
    return corners[0] >= corners[2] || corners[1] >= corners[3];
}

/* Fills what is left with records of no box. */
static void mbn_end_boxes(const mbn_ssd_boxes_params *p, mbn_box *kept, int32_t found)
{
    for (; found < p->boxes; found++) {
        const mbn_box none = {{0, 0, 0, 0}, 0, 0};
        kept[found] = none;
    }
}

/* Whether two candidates of one label are neighbours in a grid of so many columns, or the same. */
static int mbn_is_beside(const mbn_candidate *a, const mbn_candidate *b, int32_t width)
{
    const int32_t x = a->place % width - b->place % width, y = a->place / width - b->place / width;
    return a->label == b->label && x >= -1 && x <= 1 && y >= -1 && y <= 1;
}

/* Neighbours are one box, with the score of the best of them. A group is called after its best candidate; candidates are
 * compared in pairs, and each time that two groups become one all are looked through. */
static void mbn_connect(const mbn_ssd_boxes_params *p, const mbn_candidate *candidates, mbn_box *kept, int16_t *group)
{
    const int32_t *const facts = p->level_facts;
    int32_t count = 0, found = 0;
    for (; count < facts[0] && candidates[count].rank != MBN_NO_CANDIDATE; count++) {
        group[count] = (int16_t)count;
        for (int32_t i = 0; i < count; i++) {
            if (group[i] != group[count] && mbn_is_beside(&candidates[i], &candidates[count], facts[1])) {
                const int16_t low = group[i] < group[count] ? group[i] : group[count];
                const int16_t high = group[i] < group[count] ? group[count] : group[i];
                for (int32_t j = 0; j <= count; j++) {
                    group[j] = group[j] == high ? low : group[j];
                }
            }
        }
    }
    for (int32_t first = 0, groups = 0; first < count && groups < p->boxes; first++) {
        if (group[first] != first) {
            continue;
        }
        groups++;
        mbn_box box = {{0, 0, 0, 0}, 0, 0};
        for (int32_t i = first; i < count; i++) {
            int16_t corners[4];
            if (group[i] == first) {
                mbn_decode(p, 0, p->anchors, &candidates[i], corners);
                if (mbn_is_empty(corners)) {
                    continue;
                }
                if (box.score == 0) {
                    const int32_t grade = candidates[i].rank * facts[6];
                    const mbn_box best = {{corners[0], corners[1], corners[2], corners[3]},
                                          (int16_t)candidates[i].label,
                                          p->is_linear ? mbn_clamped(grade >> 16) : mbn_score(p->powers, grade)};
                    box = best;
                }
                for (int k = 0; k < 2; k++) {
                    box.corners[k] = corners[k] < box.corners[k] ? corners[k] : box.corners[k];
                    box.corners[2 + k] = corners[2 + k] > box.corners[2 + k] ? corners[2 + k] : box.corners[2 + k];
                }
            }
        }
        if (box.score != 0) {
            kept[found++] = box;
        }
    }
    mbn_end_boxes(p, kept, found);
}

void mbn_ssd_boxes_s8_scalar(const mbn_ssd_boxes_params *p, const int8_t *const *rows, int8_t *out, int32_t count,
                             void *scratch)
{
    mbn_box *const kept = (mbn_box *)(void *)out;
    int32_t next[MBN_MOST_LEVELS] = {0}, found = 0;
    (void)count;
    if (p->connected) {
        mbn_connect(p, (const mbn_candidate *)(const void *)rows[0], kept, (int16_t *)scratch);
        return;
    }
    while (found < p->boxes) {
        /* the best candidate that is left, of the first of several levels */
        const int32_t *best_anchors = NULL, *anchors = p->anchors;
        const mbn_candidate *best = NULL;
        int32_t best_odds = 0, best_level = 0;
        for (int32_t level = 0; level < p->levels; level++) {
            const int32_t *const facts = p->level_facts + MBN_LEVEL_FACTS * level;
            const mbn_candidate *const one = (const mbn_candidate *)(const void *)rows[level] + next[level];
            if (next[level] < facts[0] && one->rank != MBN_NO_CANDIDATE) {
                const int32_t odds = one->rank * facts[6];
                if (best == NULL || odds > best_odds) {
                    best = one;
                    best_odds = odds;
                    best_level = level;
                    best_anchors = anchors;
                }
            }
            anchors += 8 * facts[2];
        }
        if (best == NULL) {
            break;
        }
        next[best_level]++;
        mbn_box box;
        mbn_decode(p, best_level, best_anchors, best, box.corners);
        box.label = (int16_t)best->label;
        box.score = p->is_linear ? mbn_clamped(best_odds >> 16) : mbn_score(p->powers, best_odds);
        if (!mbn_is_empty(box.corners) && !mbn_is_dropped(p, kept, found, &box)) {
            kept[found++] = box;
        }
    }
    mbn_end_boxes(p, kept, found);
}
