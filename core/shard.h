/* shard.h - the state machine: one record in, effects out. The heart; one file to read.
 * A logical shard consumes a totally ordered sequence of records (model/record.h) and nothing else: no clock, no
 * socket, no file, no thread, no random number, and no allocator once a batch has begun. Therefore recovery is
 * snapshot + replay, and `simulate`, `test` and the simulator run this same code.
 * Owner: one worker thread. Memory: reserved by shards_reserve before a batch. Fails: shards_reserve only.
 * Time is the shard's `now`: it moves by TICK records only. */
#ifndef HG_SHARD_H
#define HG_SHARD_H

#include "core/define/define.h"
#include "core/journey/walk.h"
#include "core/model/record.h"

#define CORE_VERSION 1 /* raised with any change of meaning: a log tail of another one is not replayed */

struct shard;

struct shard_config {
    uint8_t index;
    const struct hash_secret *secret;
    uint64_t
        outbox_limit; /* pending bytes at which sends are deferred; 0: none; a log says it by ADMIN_LIMITS */
    bool no_holdout;
    /* The set of a RECORD_DEFINITIONS; NULL makes the record fail loudly: the host loads it beforehand. */
    const struct defset *(*definitions)(void *host, uint32_t version, struct key hash);
    void *host;
};
struct shard *shard_create(const struct shard_config *config); /* NULL: no memory */
void shard_destroy(struct shard *s);
/* From now on new anonymous people are refused, or taken in again. After recovery only: replay must not ask. */
void shard_refuse_strangers(struct shard *s, bool refuse);

/* ---- effects: what the world may see once the record that caused it is durable ------- */

enum effect_kind {
    EFFECT_MESSAGE,    /* to another shard: `message` */
    EFFECT_DONE,       /* the record with this cookie has been applied (at once, or when its merge was) */
    EFFECT_ACTION,     /* a new action in the outbox */
    EFFECT_TRANSITION, /* for tail and timelines */
    EFFECT_EVENT,      /* how a record ended, for tail: applied, duplicate, late, rejected */
};
enum event_outcome { OUTCOME_APPLIED, OUTCOME_DUPLICATE, OUTCOME_LATE, OUTCOME_REJECTED };

struct effect {
    uint8_t kind;
    uint8_t shard; /* whose record caused it */
    uint64_t lsn;
    uint64_t cookie;
    union {
        struct {
            uint8_t to;
            uint16_t message_kind;
            uint64_t sequence;
            struct slice body;
        } message; /* body: until effects_reset */
        struct action action;
        struct transition transition;
        struct {
            uint8_t outcome, reject;
            uint16_t type;
            struct key person;
        } event;
    };
};
struct effects {
    struct effect *list;
    uint32_t count, capacity;
    struct arena scratch;               /* bodies; emptied by effects_reset */
    struct arena work;                  /* of one record; emptied before the next */
    struct buf half;                    /* a person on the way to another shard */
    bool want_transitions, want_events; /* only while somebody tails */
    bool stop_at_message;               /* the host delivers a message before it goes on */
    bool message_sent;                  /* since effects_reset */
};
void effects_init(struct effects *e);
void effects_reset(struct effects *e);
void effects_free(struct effects *e);

/* ---- applying ------------------------------------------------------------------------ */

struct batch_item {
    struct shard *shard;
    struct record record;
    struct event event; /* EVENT, IMPORT: decoded by batch_decode, or before routing */
    enum reject reject;
    bool decoded;
};
/* Room for this batch on every shard it names, and in effects. Returns for how many of its first items there is room: fewer
 * than `count` if each may release many parked records, 0 when memory is out. Nothing was changed. */
uint32_t shards_reserve(struct batch_item *items, uint32_t count, struct effects *out);
/* Applies in order and returns how many: all, or with `stop_at_message` no more than the first that sends one.
 * Sets record.lsn and replaces a record by what is to be logged in its place where the moment decided
 * (an event of a new person refused for memory becomes a RECORD_REJECT), so log each item after this call. Decodes what is not decoded yet into `scratch`, prefetches across the batch. */
uint32_t shards_apply(struct batch_item *items, uint32_t count, struct arena *scratch, struct effects *out);

/* Which shard a raw event belongs to, decoding it on the way (shape: event.h, may be NULL); undecodable ones have a home too (by their bytes). */
uint8_t event_route(struct batch_item *item, const struct schema *schema, const struct hash_secret *secret,
                    struct event_shape *shape, struct arena *scratch);

/* The same for an event that was decoded before, into `event`. */
uint8_t event_route_decoded(struct batch_item *item, const struct event *event);

/* Moves time and runs wake-ups that are due, at most `quota`; returns how many ran. The caller logs
 * TICK {now, ran} when it ran any or when `now` moved. Needs shard_reserve_tick. */
bool shard_reserve_tick(struct shard *s, uint32_t quota, struct effects *out);
uint32_t shard_tick(struct shard *s, uint32_t now, uint32_t quota, struct effects *out);
uint32_t shard_now(const struct shard *s);
uint32_t
shard_next_due(const struct shard *s); /* lower bound of the next second with something to do; UINT32_MAX */
bool shard_overdue(const struct shard *s, uint32_t now); /* something is due at or before now */
uint64_t shard_lsn(const struct shard *s);
uint8_t shard_index(const struct shard *s);
uint64_t shard_outbox_limit(const struct shard *s); /* as the last ADMIN_LIMITS said */

/* ---- messages between shards ---------------------------------------------------------- */
/* Kept until the receiver's record is durable: regenerated by replay, part of the snapshot, not of the hash. */
uint64_t shard_message_acked(const struct shard *s,
                             uint8_t to); /* all up to this sequence are acknowledged */
void shard_ack_messages(struct shard *s, uint8_t to, uint64_t up_to); /* volatile news from the receiver */
uint64_t shard_last_received(const struct shard *s, uint8_t from);    /* sequence of the last one applied */
/* Calls f for every unacknowledged message, in order: resent after recovery. */
void shard_pending_messages(const struct shard *s,
                            void (*f)(void *self, uint8_t to, uint16_t kind, uint64_t sequence,
                                      struct slice body),
                            void *self);

/* ---- questions (never change state) ---------------------------------------------------- */
struct shard_counters { /* totals of the data directory: part of the state */
    uint64_t received, applied, rejected, duplicate, late, undeclared, dropped_props, clamped;
    uint64_t rejects[REJECT_COUNT];
    uint64_t merged, conflicts, aliases_dropped;
    uint64_t timers_fired, expression_errors, ring_refused;
    struct action_counters actions;
};
const struct shard_counters *shard_counters(const struct shard *s);
const struct journey_counters *shard_journey_counters(const struct shard *s, uint32_t *count);
uint64_t shard_event_count(const struct shard *s, uint16_t type);
/* Undeclared names of this shard with their counts. */
uint32_t shard_undeclared(const struct shard *s, struct slice *names, uint64_t *counts, uint32_t max);
struct store *shard_store(struct shard *s);
struct outbox *shard_outbox(struct shard *s);
const struct defset *shard_definitions(const struct shard *s);
uint64_t shard_pending_merges(const struct shard *s);
uint64_t shard_armed_timers(const struct shard *s);
struct key
shard_hash(const struct shard *s); /* of the whole state: slots, memory and message queues left out */

/* ---- snapshot -------------------------------------------------------------------------- */
/* A frame is {kind u8, bytes}; the host writes them to a file in the order they come. Between begin and end the shard
 * goes on working: rows that change before the walker reaches them are put first, as they were at begin. */
struct snapshot_sink {
    void *self;
    void (*put)(void *self, uint8_t kind, struct slice bytes);
};
void shard_snapshot_begin(struct shard *s, const struct snapshot_sink *sink, uint64_t *lsn);
bool shard_snapshot_step(struct shard *s, uint32_t rows); /* true: complete */
void shard_snapshot_abandon(struct shard *s);
/* Into a fresh shard, frames in file order, then restore_end (wheel, counters of what is derived). */
bool shard_restore(struct shard *s, uint8_t kind, struct slice bytes);
bool shard_restore_end(struct shard *s);

#endif
