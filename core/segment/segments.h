/* segments.h - the compiled segments of a set, and how memberships follow a person's changes.
 * Owner: the set is immutable (definitions); memberships live in the store.
 * Flips are internal triggers of the same step: whoever called gets them in order of segment id. */
#ifndef HG_SEGMENT_SEGMENTS_H
#define HG_SEGMENT_SEGMENTS_H

#include "core/expr/expr.h"
#include "core/store/store.h"

struct segment {
    struct slice name, description, text;
    uint16_t id;
    bool live;
    const struct program *when;
    uint32_t expect_min, expect_max;
};

struct segment_set {
    struct segment *list; /* by id; gaps have live == false */
    uint32_t count;       /* highest id + 1 */
    bool calendars;       /* some compare what happened in a calendar window */
    uint16_t *order;      /* live ids, a segment after those it uses */
    uint32_t order_count;
    struct segment_index *index; /* feature -> segments; made by segment_set_index */
};
/* Builds order and the feature index. False: a cycle (its members' ids in cycle, up to *cycle_count). */
bool segment_set_index(struct segment_set *set, struct arena *a, uint16_t *cycle, uint32_t *cycle_count);

/* What an event changed about a person: which features are touched. Collected while it is applied. */
struct history_change { /* one event was added to its type's history */
    uint16_t type;
    uint32_t at;
    uint32_t prop_count;
    const struct value *props; /* of the event, by index; NULL: none */
    struct behaviour_change counts;
};
enum { TOUCHED_MAX = 80 };
struct touched {
    const struct history_change *event; /* NULL: none; history touched otherwise stands in the list */
    const struct zone *zone;            /* the person's, for calendar windows; NULL: UTC */
    uint32_t count;
    bool fresh;      /* a person who was just made: nothing of it was ever evaluated */
    bool everything; /* merge, import, new definitions, wake-up of timed segments: evaluate all */
    struct expr_dependency list[TOUCHED_MAX];
};
static inline void touch(struct touched *t, enum expr_feature feature, uint16_t id)
{
    if (t->count == TOUCHED_MAX)
        t->everything = true;
    else
        t->list[t->count++] = (struct expr_dependency){(uint8_t)feature, id};
}

struct flip {
    uint16_t segment;
    bool entered;
};
/* What must be evaluated anew: a bit per rank, and the history of the event's type where it was looked at. */
enum { SEGMENT_MARK_WORDS = 1024 /* ids are 16 bits */ };
struct segment_marks {
    struct history_view view; /* count 0: not looked at */
    uint16_t type;
    uint32_t
        next; /* when time alone flips what the event concerned without being marked; UINT32_MAX: never */
    uint64_t ranks[SEGMENT_MARK_WORDS]; /* only the words of existing ranks are ever looked at */
};
/* What may have changed by what was touched; false: nothing, there is nothing to update but to wake up at `next`. */
bool segments_mark(const struct segment_set *set, const struct store *s, row_t row,
                   const struct touched *touched, uint32_t now, struct segment_marks *out);
/* Only those whose value depends on time: at a wake-up. */
bool segments_mark_timed(const struct segment_set *set, struct segment_marks *out);
/* Re-evaluates what is marked (the marks are used up), writes memberships, lists the flips; ctx->next_change is lowered to the earliest
 * second a membership of this person may flip by time alone. Returns the number of flips (at most max). */
uint32_t segments_update(const struct segment_set *set, struct store *s, row_t row,
                         struct segment_marks *marks, struct expr_context *ctx, struct flip *flips,
                         uint32_t max);

#endif
