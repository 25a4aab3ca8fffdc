/* lookup.h - from what an operator types to a person, wherever they live.
 * "42" is a userId, else an anonymousId, else an identifying trait; user:, anon:, and <trait>: make it exact. Links (merged
 * ids, traits) are followed. `visit` runs on the worker that owns the person; it may pack into the request's result.
 * Not found is answered here. */
#ifndef HG_IO_LOOKUP_H
#define HG_IO_LOOKUP_H

#include "io/admin.h"

struct person_at {
    struct worker *worker;
    struct shard *shard;
    row_t row;
};
void lookup_person(struct request *r, struct slice id,
                   enum call_state (*visit)(struct request *r, const struct person_at *p));

void pack_ids(pk_t *pk, const struct store *s, row_t row); /* user_id, anonymous_ids: two pairs of a map */

/* A text that did not compile, with every place that is wrong. */
void request_fail_expression(struct request *r, struct slice text, const struct expr_errors *errors);
/* The segment that a parameter names; ID_NONE: the request was answered. */
uint16_t request_segment(struct request *r, uint32_t index, const char *key);

#endif
