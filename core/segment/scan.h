/* scan.h - one expression over everybody of a store, a step at a time: counts and new segments.
 * Owner: whoever walks; plans are shared, a scan is not. Memory: the arena it is made in, which must outlive it.
 * Between two steps the store may change: each row is seen as it is when the scan passes it, at one second for all.
 * Cost: columns cost what reading them costs (about 1 ns a row for five); rows that need history the program's time, so
 * a step that may ask rows takes 64 of them, another a whole block. */
#ifndef HG_SEGMENT_SCAN_H
#define HG_SEGMENT_SCAN_H

#include "core/expr/block.h"
#include "core/store/store.h"

/* How the program finds the person of a row: ctx with everything set, and `turn` to bring it to a row. */
struct scan_person {
    struct expr_context *ctx;
    void *self;
    void (*turn)(void *self, row_t row);
};

struct scan;
struct scan *scan_begin(const struct store *s, const struct block_plan *plan, const struct kernels *kernels,
                        const struct scan_person *person, struct arena *a);

struct scan_step {
    uint32_t block, first, words; /* what was passed; 0 words: texts were learnt, or there was nobody */
    const struct truth *truth;
    const uint64_t *used; /* of the block: who was asked */
};
bool scan_next(struct scan *s, struct scan_step *out); /* false: that was all */

struct scan_count {
    uint64_t of, yes, errors;
};
bool scan_count(struct scan *s, struct scan_count *sum); /* one step, added; false: that was all */

/* Members of both, of a and not of b: from their pages alone. */
struct overlap {
    uint64_t both, only_a, only_b;
};
struct overlap segments_overlap(const struct store *s, const struct kernels *kernels, uint16_t a, uint16_t b);

#endif
