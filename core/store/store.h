/* store.h - every person of one shard: index -> hot row -> behaviour record, attribute columns, membership bits.
 * Owner: the shard. Rows are reused through a LIFO free list and never move; blocks move when they grow.
 * Memory: regions (rows, heap, index, columns); asked for by store_reserve before a batch, never inside it.
 * Fails: store_reserve only. Order never depends on addresses: whatever is walked is walked by slot or by key.
 * Cost: a known person's event touches index bucket, row, type record, history tail: four dependent lines, which
 * store_prefetch_* fetch ahead for a whole batch.
 * Layout of a row (64 bytes, one line):
 *   key 16 | next_wake 4 | last_seen 4 | first_seen 4 | block handles 8 x 4 | flags 2 | epoch 1 | zone 1 */
#ifndef HG_STORE_STORE_H
#define HG_STORE_STORE_H

#include "core/base/planted.h"
#include "core/model/event.h"
#include "core/model/history.h"
#include "core/model/state.h"

typedef struct {
    uint32_t v;
} row_t; /* slot of a profile; a small struct, so that the compiler catches a swap */
#define ROW_NONE ((row_t){UINT32_MAX})
static inline bool row_none(row_t r) { return r.v == UINT32_MAX; }

enum block_kind {
    BLOCK_TYPES,    /* type records, behaviour.c only */
    BLOCK_IDS,      /* user id, anonymous ids, folded identity facts: store_ids_* */
    BLOCK_JOURNEYS, /* struct instance ... */
    BLOCK_JSTATS,   /* struct journey_memory */
    BLOCK_SENDS,    /* struct send */
    BLOCK_MEMBERS,  /* struct membership */
    BLOCK_CONSENT,  /* struct consent */
    BLOCK_EXTRA,    /* tagged parts that few people have: lists, attribute history, deferred sends */
    BLOCK_KINDS
};

enum row_flags {
    ROW_USED = 1,
    ROW_KNOWN = 2,   /* has a user id */
    ROW_MERGING = 4, /* waits for the other half: later records of this person are parked */
    ROW_HELD = 8,    /* spare */
};

struct row {
    struct key key;
    uint32_t next_wake; /* earliest second anything about this person can change; 0: never */
    uint32_t last_seen, first_seen;
    uint32_t block[BLOCK_KINDS];
    uint16_t flags;
    uint8_t epoch; /* of the snapshot that already holds this row */
    uint8_t zone;  /* index into the shard's zones, 0: the default */
};
_Static_assert(sizeof(struct row) == 64, "one cache line");

struct store {
    struct row *rows;          /* by slot */
    uint32_t row_limit;        /* highest slot ever used + 1 */
    uint32_t profiles, known;  /* in use */
    struct store_parts *parts; /* index, columns, bits, links, window: store/parts.h, for store/ only */
    const struct schema *schema;
    /* Called before a row's first change since the last snapshot began (row.epoch != epoch): see shard.c. */
    uint8_t epoch;
    void (*before_change)(void *self, row_t row);
    void *before_change_self;
    uint64_t folded;  /* profiles x types whose oldest history was folded */
    struct heap heap; /* the long one stands last: what all look at first is in one line */
};

bool store_create(struct store *s, const struct schema *schema);
void store_destroy(struct store *s);
/* Room for `events` more events of at most `bytes` payload together, whatever they do. */
bool store_reserve(struct store *s, uint32_t events, size_t bytes);
/* And `more` bytes of the heap for what others keep there: one heap is asked for once, as requests do not add up. */
bool store_reserve_more(struct store *s, uint32_t events, size_t bytes, size_t more);
/* New definitions: columns and histories of added attributes and properties; old ones stay readable. */
void store_set_schema(struct store *s, const struct schema *schema);
/* How many segment ids there are, so that store_reserve counts with their pages (256 until this is called). */
void store_set_segments(struct store *s, uint32_t count);
enum {
    HISTORY_ENTRIES_MAX = 1 << 14
}; /* the largest cap of an event type: with 64 properties a block of 8.6 MB */

/* ---- finding people ---------------------------------------------------------------- */
/* A key leads to a row, or to a link: "this id now belongs to that key" (merged anonymous ids, identifying traits). */
enum found { FOUND_NOTHING, FOUND_ROW, FOUND_LINK };
enum found store_find(const struct store *s, struct key key, row_t *row, struct key *target);
row_t store_add(struct store *s, struct key key, uint32_t now); /* key must be free */
void store_remove(struct store *s, row_t row);                  /* and everything it holds, its links too */
void store_link(struct store *s, struct key key, struct key target); /* adds or replaces */
void store_unlink(struct store *s, struct key key);
uint32_t store_links(const struct store *s);
static inline struct row *store_row(const struct store *s, row_t r) { return &s->rows[r.v]; }
/* Call before the first change of a row in a record: takes the pre-image for a running snapshot. */
static inline struct row *store_touch(struct store *s, row_t r)
{
    struct row *row = &s->rows[r.v];
    if (__builtin_expect(row->epoch != s->epoch, 0)) {
        if (s->before_change && !PLANTED(snapshot_misses_changed_row) &&
            !PLANTED(snapshot_takes_row_too_late))
            s->before_change(s->before_change_self, r);
        if (!PLANTED(snapshot_takes_row_too_late)) row->epoch = s->epoch;
    }
    return row;
}
/* The hints of the batch pipeline; each may be skipped, none changes anything. */
void store_prefetch_parts(const struct store *s);
void store_prefetch_directory(const struct store *s, struct key key);
void store_prefetch_bucket(const struct store *s, struct key key);
row_t store_prefetch_row(const struct store *s, struct key key); /* a guess by tag; ROW_NONE if none */
void store_prefetch_types(const struct store *s, row_t row);
void store_prefetch_attribute(const struct store *s, row_t row, uint16_t attribute);
void store_prefetch_tail(const struct store *s, row_t row, uint16_t type);

/* ---- blocks ------------------------------------------------------------------------ */
struct row_block { /* its length, the room behind it, then the bytes, 8-aligned */
    uint32_t bytes, room;
    uint8_t data[];
};
static inline uint8_t *store_block(const struct store *s, row_t row, enum block_kind kind,
                                   uint32_t *bytes) /* NULL, 0 if empty */
{
    uint32_t handle = s->rows[row.v].block[kind];
    struct row_block *b = handle ? (struct row_block *)heap_at(&s->heap, handle) : NULL;
    *bytes = b ? b->bytes : 0;
    return b ? b->data : NULL;
}
/* Changes the length, keeps the content up to the smaller one; new bytes are zero; 0 gives it back. */
uint8_t *store_block_resize(struct store *s, row_t row, enum block_kind kind, uint32_t bytes);

/* ---- behaviour --------------------------------------------------------------------- */
enum seen { SEEN_NEW, SEEN_DUPLICATE, SEEN_UNKNOWABLE /* older than history reaches: ask the window */ };
/* Has this message been applied? own_s: its own time exactly as sent, in seconds. Exact also where windows use
 * another time (skew corrected, clamped): such entries keep both. A repeat is the same own second and the same 32 bits
 * of hash; UNKNOWABLE: not among the entries, and something as old as this has folded or been dropped. */
enum seen behaviour_seen(const struct store *s, row_t row, uint16_t type, uint32_t own_s, uint32_t hash);
struct behaviour_change { /* of one event type, for the segments */
    uint32_t old_count, new_count, old_last, new_last, old_first, new_first;
    uint32_t
        folded_to; /* windows that begin at this second or before may see more than the new entry: something
                           folded or was dropped there, or had been before; 0: nothing ever was */
};
/* Adds one event at second `at` (late ones are sorted in); folds what is over cap, drops what is over keep. Entries
 * that outlive `keep` go with the next event of their type: who walks a view bounds its window itself.
 * own_s: as for behaviour_seen; a message without a time of its own passes `at`. */
void behaviour_add(struct store *s, row_t row, uint16_t type, uint32_t at, uint32_t own_s,
                   const struct event *e, uint32_t now, struct behaviour_change *out);
bool behaviour_view(const struct store *s, row_t row, uint16_t type,
                    struct history_view *out); /* false: never */
/* Its lifetime figures alone; ID_NONE: of all types together, from their records without a look into any history. */
struct lifetime behaviour_lifetime(const struct store *s, row_t row, uint16_t type);
uint32_t behaviour_types(const struct store *s, row_t row, uint16_t *types, uint32_t max); /* ascending ids */

/* ---- attributes -------------------------------------------------------------------- */
struct value attribute_get(const struct store *s, row_t row, uint16_t attribute);
uint32_t attribute_time(const struct store *s, row_t row,
                        uint16_t attribute); /* of the newest value, 0: none */
/* Newest wins, ties by arrival; of a keep_first attribute the oldest wins. V_NULL removes, and its time stays, so that
 * an older value does not come back. True if the value changed; old (may be NULL) gets the former one, good until the
 * next change of an attribute. */
bool attribute_set(struct store *s, row_t row, uint16_t attribute, struct value v, uint32_t at,
                   struct value *old);

/* ---- segment membership ------------------------------------------------------------ */
bool member_get(const struct store *s, row_t row, uint16_t segment);
bool member_set(struct store *s, row_t row, uint16_t segment, bool member,
                uint32_t at); /* true: it changed */
/* The same in two steps, so that the pages of many segments, which are far away, are fetched at the same time: first the
 * person's own list, then, where it changed, the segment's page. */
bool member_note(struct store *s, row_t row, uint16_t segment, bool member, uint32_t at);
void member_page_set(struct store *s, row_t row, uint16_t segment, bool member);
void member_times(const struct store *s, row_t row, uint16_t segment, uint32_t *entered, uint32_t *left);
uint32_t member_count(const struct store *s, uint16_t segment); /* O(1) */
/* The 4096-row page of a segment as 64-bit words, NULL: nobody. */
const uint64_t *member_page(const struct store *s, uint16_t segment, uint32_t block);

/* ---- ids --------------------------------------------------------------------------- */
struct slice ids_user(const struct store *s, row_t row); /* empty: anonymous */
uint32_t ids_anonymous(const struct store *s, row_t row, struct slice *out, uint32_t max);
void ids_set_user(struct store *s, row_t row, struct slice user_id);
bool ids_has_anonymous(const struct store *s, row_t row, struct slice anonymous_id);
/* Adds; beyond ALIASES_MAX the oldest goes: then *dropped gets its text (in scratch) and true is returned. */
bool ids_add_anonymous(struct store *s, row_t row, struct slice anonymous_id, struct slice *dropped,
                       struct arena *scratch);

/* ---- messages without a usable time: the durable window ----------------------------- */
/* After SEEN_UNKNOWABLE: for a day the window remembers what histories gave up. Still UNKNOWABLE: too late to say. */
enum seen behaviour_seen_lost(struct store *s, uint16_t type, uint32_t own_s, uint32_t hash, uint32_t now);
enum seen window_seen(struct store *s, uint64_t hash, uint32_t own_s,
                      uint32_t now); /* and remembers it when new */

/* ---- a whole profile as bytes: snapshot, merge, state hash, inspection --------------- */
/* Everything about the row but its slot, in an order that depends on content only. */
void profile_encode(const struct store *s, row_t row, struct buf *out);
/* Into an empty row of that key; false: malformed (nothing was changed). Reserve with the bytes beforehand. */
bool profile_decode(struct store *s, row_t row, struct slice bytes);
/* Counters add, first = min, last = max, histories merge sorted, attributes newest wins, ids and sends join; instances
 * of journeys the survivor is not in move over. Membership is for the caller to evaluate anew. BLOCK_EXTRA moves over
 * when the survivor has none. False: malformed, nothing was changed. */
bool profile_merge(struct store *s, row_t survivor, struct slice other_half);

/* ---- the rest of a snapshot: links, window, dictionaries are derived from these ------ */
void store_encode_rest(const struct store *s, struct buf *out); /* links, window, free list, row_limit */
bool store_decode_rest(struct store *s, struct slice bytes);    /* first, into an empty store */
row_t store_restore_row(struct store *s, uint32_t slot,
                        struct key key);    /* a slot of the snapshot, below its row_limit */
uint64_t store_hash(const struct store *s); /* sum over profiles and links: does not depend on slots */

struct store_memory {
    uint64_t rows, heap, index, columns, members, links, window;
};
void store_memory(const struct store *s, struct store_memory *out);

#endif
