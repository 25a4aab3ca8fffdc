/* types.h - what a person did of one event type: a record, its newest entries, and days for what folded.
 * Owner: the store; a profile's records stand in its BLOCK_TYPES, sorted by type. Memory: heap blocks, reserved before.
 * The block of entries: times u32[cap] | hashes u32[cap] | cells u64[cap * stride] | with TYPE_OWN: own u32[cap + 1].
 * Entries are in (time, arrival) order. `own` is kept only once a message's own second differed from the time that
 * windows use (skew corrected, clamped); its last place holds the newest own second ever seen. */
#ifndef HG_STORE_TYPES_H
#define HG_STORE_TYPES_H

#include "core/model/history.h"

enum { TYPE_OWN = 0x80, TYPE_LOG2 = 0x1f };

struct type_record {
    uint16_t type;
    uint8_t stride; /* cells per entry */
    uint8_t shape;  /* log2 of cap, TYPE_OWN */
    uint32_t count, first, last;
    uint32_t lost;    /* newest own second among what is no longer an entry; 0: nothing is lost */
    uint32_t entries; /* heap handle */
    uint32_t days;    /* heap handle of struct days, 0: nothing folded */
    uint16_t n, head;
};
_Static_assert(sizeof(struct type_record) == 32, "two to a line");

struct days {             /* buckets by day, ascending; a day beyond 65,535 events has several */
    uint32_t count, sums; /* buckets; number properties per bucket */
    struct day_bucket list[];
};

struct entry {
    uint32_t at, own_s, hash;
    const struct value *props; /* by property index, V_NONE: absent; NULL: none at all */
    uint32_t prop_count;
};

struct type_rules {                  /* of a declared type, or of an undeclared one */
    const struct schema_event *type; /* NULL: undeclared */
    uint32_t keep_s, cap;
    uint8_t stride;
};
struct type_rules type_rules(const struct schema *schema, uint16_t type);

uint32_t entries_bytes(const struct type_record *r); /* of the block */
uint32_t type_own_newest(const struct type_record *r, const struct heap *heap);
uint32_t entry_own(const struct type_record *r, const struct heap *heap, uint32_t i);
uint32_t entry_oldest(const struct type_record *r, const struct heap *heap); /* its time; there is one */
bool entry_exists(const struct type_record *r, const struct heap *heap, uint32_t own_s, uint32_t hash);
/* Sorts one entry in, folding what is over cap and dropping what is over keep; counts and first/last too. */
void type_add(struct type_record *r, const struct type_rules *rules, struct heap *heap, const struct entry *e,
              uint32_t now);
/* The same for the entry that nearly all are: newer than the others, nothing to fold or drop. 560 instructions with
 * the blocks that grow, instead of 690 (definitions shop20). False: it is not such a one, nothing was done. */
bool type_append(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                 const struct entry *e, uint32_t now);
/* The same without lifetime figures: a merged half brings its own. */
void type_sort_in(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                  const struct entry *e);
void type_add_day(struct type_record *r, const struct type_rules *rules, struct heap *heap, uint16_t day,
                  uint32_t count, const int64_t *sums, uint32_t sum_count);
/* The newest own second ever seen is now this; kept apart from `last` only where they differ. */
void type_own_settle(struct type_record *r, struct heap *heap, uint32_t own_s);
void type_view(const struct type_record *r, const struct schema_event *type, const struct heap *heap,
               struct history_view *out);
void type_release(struct type_record *r, const struct schema_event *type, struct heap *heap);
static inline const struct days *type_days(const struct type_record *r, const struct heap *heap)
{
    return r->days ? heap_at(heap, r->days) : NULL;
}

#endif
