/* SPDX-License-Identifier: 0BSD */
/* The best candidates of a level of a detector, in plain C99: a heap whose root is the worst one that is kept. A row
 * costs a comparison for each score, and at most two swaps for each level of the heap where a candidate is kept. */
#include "mbn_ssd.h"

#include "mbn_kernels.h"
#include "mbn_math.h"

/* What lies in scratch; zero before the first row. */
typedef struct {
    int32_t places; /* anchors seen so far */
    int32_t count;  /* candidates in the heap */
    mbn_candidate heap[];
} mbn_ssd_found;

static int mbn_is_better(const mbn_candidate *a, const mbn_candidate *b)
{
    if (a->rank != b->rank) {
        return a->rank > b->rank;
    }
    return a->place != b->place ? a->place < b->place : a->label < b->label;
}

/* Lets a candidate sink from a free place of the heap to where both below it are better. */
static void mbn_sink(mbn_candidate *heap, int32_t count, int32_t at, const mbn_candidate *candidate)
{
    const mbn_candidate sinking = *candidate;
    for (int32_t below = 2 * at + 1; below < count; below = 2 * at + 1) {
        if (below + 1 < count && mbn_is_better(&heap[below], &heap[below + 1])) {
            below++;
        }
        if (!mbn_is_better(&sinking, &heap[below])) {
            break;
        }
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = sinking;
}

static void mbn_keep(mbn_ssd_found *found, int32_t most, const mbn_candidate *candidate)
{
    mbn_candidate *const heap = found->heap;
    if (found->count == most) {
        if (mbn_is_better(candidate, &heap[0])) {
            mbn_sink(heap, most, 0, candidate);
        }
        return;
    }
    int32_t at = found->count++;
    while (at > 0 && mbn_is_better(&heap[(at - 1) / 2], candidate)) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = *candidate;
}

/* Offers a candidate, and returns the least rank that can enter after it: once the list is full, only what beats its
 * worst one, for of equal ranks the earlier place is better. */
static int32_t mbn_offer(mbn_ssd_found *found, const mbn_ssd_candidates_params *p, int32_t rank, int32_t place,
                         int32_t label, const int8_t *offsets)
{
    const mbn_candidate candidate = {(int16_t)rank,
                                     (uint16_t)(found->places + place),
                                     (uint16_t)label,
                                     {offsets[0], offsets[1], offsets[2], offsets[3]}};
    mbn_keep(found, p->most, &candidate);
    return found->count == p->most ? found->heap[0].rank + 1 : p->threshold;
}

/* Offers the classes of an anchor by their shares of a softmax. An anchor costs a comparison for each class, and where one
 * of them is far enough above the background, a table's entry, too; a candidate costs a division. */
static int32_t mbn_offer_shares(mbn_ssd_found *found, const mbn_ssd_candidates_params *p, int32_t least, int32_t place,
                                const int8_t *scores, const int8_t *offsets)
{
    const int32_t classes = p->classes, background = p->background, floor = scores[background] + p->margin;
    int32_t greatest = scores[0], best = -129;
    for (int32_t number = 0; number < classes; number++) {
        const int32_t score = scores[number];
        greatest = score > greatest ? score : greatest;
        best = score > best && number != background ? score : best;
    }
    if (best < floor) {
        return least;
    }
    uint32_t sum = 0;
    for (int32_t number = 0; number < classes; number++) {
        sum += p->powers[greatest - scores[number]];
    }
    for (int32_t number = 0; number < classes; number++) {
        if (number != background && scores[number] >= floor) {
            const uint32_t share = (p->powers[greatest - scores[number]] << 15) / sum;
            const int32_t rank = share < 32767 ? (int32_t)share : 32767;
            if (rank >= least) {
                least = mbn_offer(found, p, rank, place, number > background ? number - 1 : number, offsets);
            }
        }
    }
    return least;
}

/* A share of 32,768 raised to a power: straight lines between 65 powers of 1/2 to 1, times one of 1, 1/2, 1/4 and so on. */
static uint32_t mbn_power_of_share(const uint32_t *tables, uint32_t share)
{
    uint32_t octave = 0;
    share = share < 32767 ? share : 32767;
    if (share == 0) {
        return 0;
    }
    for (; share < 16384; share <<= 1) {
        octave++;
    }
    const uint32_t low = tables[(share - 16384) >> 8], high = tables[((share - 16384) >> 8) + 1];
    return ((low + (((high - low) * (share & 255)) >> 8)) * tables[65 + octave]) >> 15;
}

/* As `mbn_offer_products`, with a class's share of a softmax in place of its sigmoid. */
static int32_t mbn_offer_shared_products(mbn_ssd_found *found, const mbn_ssd_candidates_params *p, int32_t least,
                                         int32_t place, const int8_t *scores, int8_t anchor, const int8_t *offsets)
{
    const uint32_t factor = p->anchor_curve[anchor + 128];
    int32_t greatest = scores[0];
    uint32_t sum = 0;
    if ((int32_t)factor < least) {
        return least;
    }
    for (int32_t number = 1; number < p->classes; number++) {
        greatest = scores[number] > greatest ? scores[number] : greatest;
    }
    for (int32_t number = 0; number < p->classes; number++) {
        sum += p->powers[greatest - scores[number]];
    }
    for (int32_t number = p->skipped; number < p->classes; number++) {
        const uint32_t share = (p->powers[greatest - scores[number]] << 15) / sum;
        const uint32_t product = (factor * mbn_power_of_share(p->class_curve, share)) >> 15;
        const int32_t rank = product < 32767 ? (int32_t)product : 32767;
        if (rank >= least) {
            least = mbn_offer(found, p, rank, place, number - p->skipped, offsets);
        }
    }
    return least;
}

/* Offers the classes of an anchor by the products of their own factor and the anchor's, of which none is more than 1: one
 * comparison where the anchor's alone is too small, else a product for each class. */
static int32_t mbn_offer_products(mbn_ssd_found *found, const mbn_ssd_candidates_params *p, int32_t least,
                                  int32_t place, const int8_t *scores, int8_t anchor, const int8_t *offsets)
{
    const uint32_t factor = p->anchor_curve[anchor + 128];
    for (int32_t number = p->skipped; number < p->classes && (int32_t)factor >= least; number++) {
        const uint32_t product = (factor * p->class_curve[scores[number] + 128]) >> 15;
        const int32_t rank = product < 32767 ? (int32_t)product : 32767;
        if (rank >= least) {
            least = mbn_offer(found, p, rank, place, number - p->skipped, offsets);
        }
    }
    return least;
}

void mbn_ssd_candidates_s8_scalar(const mbn_ssd_candidates_params *p, const int8_t *const *rows, int8_t *out,
                                  int32_t count, void *scratch)
{
    mbn_ssd_found *const found = (mbn_ssd_found *)scratch;
    static const int8_t none[4] = {0, 0, 0, 0};
    const int8_t *scores = rows[0], *const offsets = p->values ? rows[1] : none;
    const int8_t *const last = p->has_greatest || p->class_curve ? rows[p->values ? 2 : 1] : scores, *greatest = last;
    const int32_t anchors = count * p->anchors, classes = p->classes, values = p->values;
    int32_t least = found->count == p->most ? found->heap[0].rank + 1 : p->threshold;
    (void)out;
    if (p->class_curve && p->powers) {
        for (int32_t i = 0; i < anchors; i++, scores += classes) {
            least = mbn_offer_shared_products(found, p, least, i, scores, last[i], offsets + i * values);
        }
    } else if (p->class_curve) {
        for (int32_t i = 0; i < anchors; i++, scores += classes) {
            least = mbn_offer_products(found, p, least, i, scores, last[i], offsets + i * values);
        }
    } else if (p->powers) {
        for (int32_t i = 0; i < anchors; i++, scores += classes) {
            least = mbn_offer_shares(found, p, least, i, scores, offsets + i * values);
        }
    } else if (p->background >= 0) {
        const int32_t background = p->background, object = 1 - background;
        for (int32_t i = 0; i < anchors; i++, scores += 2) {
            const int32_t rank = scores[object] - scores[background];
            if (rank >= least) {
                least = mbn_offer(found, p, rank, i, 0, offsets + i * values);
            }
        }
    } else {
        const int32_t zero_point = p->zero_point, skipped = p->skipped;
        for (int32_t i = 0; i < anchors; i++, scores += classes, greatest += classes) {
            for (int32_t number = skipped; number < classes; number++) {
                const int32_t rank = scores[number] - zero_point;
                if (rank >= least && scores[number] == greatest[number]) {
                    least = mbn_offer(found, p, rank, i, number - skipped, offsets + i * values);
                }
            }
        }
    }
    found->places += anchors;
}

/* Sorts the heap into `out`: the worst goes to the end, and so on. */
void mbn_ssd_candidates_s8_scalar_finish(const mbn_ssd_candidates_params *p, int8_t *out, const void *scratch)
{
    const mbn_ssd_found *const found = (const mbn_ssd_found *)scratch;
    mbn_candidate *const best = (mbn_candidate *)(void *)out;
    for (int32_t i = 0; i < p->most; i++) {
        const mbn_candidate none = {MBN_NO_CANDIDATE, 0, 0, {0, 0, 0, 0}};
        best[i] = i < found->count ? found->heap[i] : none;
    }
    for (int32_t left = found->count - 1; left > 0; left--) {
        const mbn_candidate last = best[left];
        best[left] = best[0];
        mbn_sink(best, left, 0, &last);
    }
}
