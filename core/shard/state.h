/* state.h - the inside of a shard, for the files of core/shard only. See core/shard.h for what it promises. */
#ifndef HG_SHARD_STATE_H
#define HG_SHARD_STATE_H

#include "core/base/check.h"
#include "core/base/region.h"
#include "core/shard.h"
#include "core/time/wheel.h"

struct ready_entry { /* due already: waits in a heap ordered by (due, key) */
    uint32_t due, slot;
    uint64_t key_hi;
};

struct out_message { /* heap block: this head, then the body */
    uint64_t sequence;
    uint32_t bytes;
    uint16_t kind;
    uint8_t to, spare;
    uint32_t next; /* handle; 0: last */
};

struct
    parked { /* a record of a person whose other half is on its way; heap block: this head, then the payload */
    uint64_t cookie;
    uint64_t lsn;
    uint32_t bytes;
    uint32_t next;
    uint8_t kind, spare[7];
};

struct pending_merge {
    struct key user, other;
    uint32_t first, last, count; /* parked records, heap handles */
    uint32_t spare;
};

struct undeclared_name {
    uint32_t text; /* heap handle */
    uint32_t bytes;
    uint64_t count;
};

struct reject_kept { /* heap block: the first bytes of the record */
    uint32_t handle, bytes;
    uint32_t at;
    uint32_t reason;
};

struct snapshot_run {
    bool active;
    struct snapshot_sink sink;
    uint32_t next_slot, limit;
    struct buf frame;
};

/* What each record touches stands first, large tables last: a thread hosts many shards, so these lines are far away when
 * an event comes, and fetching them ahead is only worth it while they are few. */
struct shard {
    const struct defset *set;
    struct effects *effects;
    struct outbox *outbox;
    struct wheel *wheel;
    uint64_t lsn;
    uint64_t cookie;
    uint64_t *event_counts; /* by declared type id */
    uint32_t event_count;
    uint32_t now;

    row_t created; /* a person the record at hand made */
    uint32_t ready_count;
    struct journey_counters *journeys;
    uint32_t journey_count;
    uint32_t undeclared_count;
    uint64_t outbox_limit;
    bool strangers_refused;        /* of the moment: not part of the state */
    uint32_t live_records, credit; /* shards_reserve: of this batch; what is still paid for */
    size_t live_bytes, credit_bytes;

    struct store store;
    struct shard_counters counters;
    struct shard_config config;
    struct region ready;                                         /* struct ready_entry[], a binary heap */
    struct undeclared_name undeclared[UNDECLARED_NAMES_MAX + 1]; /* the last one: all further names */
    struct reject_kept rejects[REJECTS_KEPT];
    uint64_t rejects_ever;

    uint64_t sent[LOGICAL_SHARDS], acked[LOGICAL_SHARDS], received[LOGICAL_SHARDS]; /* message sequences */
    uint32_t out_first[LOGICAL_SHARDS],
        out_last[LOGICAL_SHARDS]; /* unacknowledged, by target: heap handles */
    struct region merges;         /* struct pending_merge[] */
    uint32_t merge_count;
    struct snapshot_run snapshot;

    /* Of the record at hand. */
    bool forward_parked; /* the forwarded event waits: its cookie does too */
    struct key joined;   /* a pair just answered with "conflict": not asked again in this record */
};

/* shard.c: what the record at hand does to one person. */
struct turn {
    row_t row;
    const struct event *event; /* NULL: none */
    uint32_t event_at;
    bool late;    /* starts nothing */
    bool silent;  /* import, backfill: no journey starts, nothing is sent */
    bool merged;  /* two halves were just joined */
    bool due;     /* a wake-up, armed for `armed` */
    bool marked;  /* its segments are marked already */
    bool command; /* an operator's, about `command_journey` */
    uint16_t command_kind, command_journey;
    const struct test_send *test; /* an operator's message: nothing else happens */
    uint32_t armed;
    const struct attribute_change *changes;
    uint32_t change_count;
    struct touched touched;
};
bool shard_use_definitions(struct shard *s,
                           const struct defset *set);  /* schema, columns, counters; not the people */
void shard_settle(struct shard *s, struct turn *turn); /* segments, journeys, next wake-up */
void shard_apply_person(struct shard *s, row_t row, const struct event *event, const struct record *record);
void shard_apply_record(struct shard *s, struct batch_item *item);
/* True: it is done; false: it was parked, its cookie is kept. */
bool shard_apply_event(struct shard *s, const struct event *event, const struct record *record);
void shard_done(struct shard *s, uint64_t cookie);
void shard_count_reject(struct shard *s, enum reject reason, struct slice raw);
enum reject shard_decode(struct shard *s, const struct record *r, struct arena *scratch, struct event *out);

/* batch.c */
struct effect *shard_effect(struct shard *s, enum effect_kind kind);
bool shard_reserve_walks(struct shard *s, uint32_t count, uint32_t walks, size_t bytes);

/* time.c */
void shard_arm(struct shard *s, row_t row, uint32_t due); /* earlier wins; later touches nothing */
void shard_run_wake(struct shard *s, row_t row);
bool shard_reserve_ready(struct shard *s, uint32_t more);
void shard_rebuild_wheel(struct shard *s);

/* identity.c */
void shard_send(struct shard *s, uint8_t to, enum message_kind kind, struct slice body);
void shard_queue_message(struct shard *s, uint8_t to, uint32_t handle);
bool shard_receive(struct shard *s, const struct record *r); /* false: malformed, our own bug */
/* An event that names a user and an anonymous id not yet known to belong together. True: the record is parked. */
bool shard_pair(struct shard *s, row_t row, const struct event *event, const struct record *record);
void shard_park(struct shard *s, row_t row, const struct record *record, struct slice payload);
void shard_link_trait(struct shard *s, row_t row, uint16_t attribute, struct slice text);
struct pending_merge *shard_pending(struct shard *s, struct key user);
uint32_t shard_parked_for(struct shard *s,
                          const struct record *answer); /* records that this message will release */

/* snapshot.c */
void shard_before_change(void *self, row_t row);

#endif
