/* walk.h - what one record does to one person's journeys, and what a wake-up does.
 * Owner: the shard calls it inside shard_apply; everything it changes is in the store, the outbox and the counters.
 * Order inside one record: goals and exits, waits, triggers; then all sends it caused are collected, ordered by
 * priority, value, journey name, and pass: goal/exit, consent, address, caps, quiet hours (policy.c).
 * Memory: scratch only; room was reserved by the shard. Fails: never; what cannot go on is counted. */
#ifndef HG_JOURNEY_WALK_H
#define HG_JOURNEY_WALK_H

#include "core/journey/graph.h"
#include "core/journey/outbox.h"
#include "core/segment/segments.h"

/* Why a person was or was not taken, moved or sent something: kept per (person, journey) for `why`, counted per journey. */
#define DECISIONS(X)                                                                                         \
    X(NONE, "none")                                                                                          \
    X(ENTERED, "entered")                                                                                    \
    X(HELD_OUT, "held out")                                                                                  \
    X(NOT_ELIGIBLE, "only_if was false")                                                                     \
    X(ALREADY_INSIDE, "already inside")                                                                      \
    X(REENTRY, "re-entry not yet allowed")                                                                   \
    X(NOT_LIVE, "journey is not live")                                                                       \
    X(LATE, "event came too late to start")                                                                  \
    X(GOAL, "reached its goal")                                                                              \
    X(EXITED, "left by an exit")                                                                             \
    X(COMPLETED, "walked to the end")                                                                        \
    X(TIMEOUT, "ran out of time")                                                                            \
    X(CANCELLED, "cancelled")                                                                                \
    X(RESTARTED, "restarted")                                                                                \
    X(WAITING, "waiting")                                                                                    \
    X(SENT, "sent")                                                                                          \
    X(DEFERRED, "deferred")                                                                                  \
    X(EXPIRED, "expired before it could be sent")                                                            \
    X(NO_CONSENT, "no consent")                                                                              \
    X(NO_ADDRESS, "no address")                                                                              \
    X(CAP, "frequency cap")                                                                                  \
    X(QUIET, "quiet hours")                                                                                  \
    X(OUTBOX_FULL, "outbox full")                                                                            \
    X(BLOCKED, "channel blocked")                                                                            \
    X(TOO_MANY, "too many journeys at once")                                                                 \
    X(NO_KEY, "the event did not bring the key")                                                             \
    X(PAUSED, "paused by a step of a journey")                                                               \
    X(MUTED, "muted")                                                                                        \
    X(ONCE, "already sent once")
enum decision {
#define X(name, text) DECISION_##name,
    DECISIONS(X)
#undef X
        DECISION_COUNT
};
const char *decision_text(enum decision d); /* the words above */
const char *decision_name(enum decision d); /* lower-case name: no_consent, cap ... */

/* By journey id; part of the state. entered = active + completed + goal + exited + timeout + cancelled + moved, over all
 * shards together: a merge may carry an instance from one shard to another, so one shard's `active` may wrap below 0. */
struct journey_counters {
    uint64_t entered, active, completed, goal, exited, timeout, cancelled, moved, converted,
        converted_touched;
    uint64_t ignored; /* triggers while inside */
    int64_t revenue_micros;
    struct {
        uint64_t entered, converted;
        int64_t revenue_micros;
    } held_out;
};
struct action_counters {
    uint64_t created, confirmed, deferred, expired, suppressed[DECISION_COUNT];
};

enum transition_kind {
    TRANSITION_ENTER,
    TRANSITION_STEP,
    TRANSITION_LEAVE,
    TRANSITION_CONVERT,
    TRANSITION_SUPPRESS,
    TRANSITION_DEFER
};
struct transition { /* for `tail`, `test` timelines and reports; volatile */
    uint8_t kind;
    uint16_t journey, version, step, decision;
    uint32_t at;
    struct key person, instance;
};

struct attribute_change { /* of this record: by the event, or by a step of the round before */
    uint16_t attribute;
    struct value old; /* copied into scratch: attribute_set's own copy does not last */
};
enum { STEP_CHANGES_MAX = 32 };

/* What one walk may cause at most, all its rounds together; what is over waits for the next second. The shard reserves
 * as much before it applies: outbox_reserve(WALK_ACTIONS_MAX, WALK_ACTION_BYTES_MAX) and WALK_STORE_BYTES_MAX of heap. */
enum {
    WALK_ACTIONS_MAX = 16,
    WALK_ACTION_BYTES_MAX = 256 << 10,
    WALK_INSTANCE_BYTES_MAX = 64 << 10,
    WALK_STORE_BYTES_MAX = 192 << 10
};

struct walk {
    const struct journey_set *set;
    const struct segment_set *segments;
    const struct schema *schema;
    struct store *store;
    struct outbox *outbox;
    struct arena *scratch;
    struct journey_counters *journeys; /* by journey id */
    struct action_counters *actions;
    uint32_t now;
    bool outbox_full;
    bool no_holdout; /* tests: nobody is held out */
    /* Notices; may be NULL. */
    void *observer;
    void (*on_action)(void *observer, const struct action *a);
    void (*on_transition)(void *observer, const struct transition *t);

    /* The person and record at hand; set by the shard before each call. */
    row_t row;
    const struct event *event; /* NULL: none (wake-up, merge, a further round of the same record) */
    uint32_t event_at;         /* its time after clamping */
    bool late;                 /* too old to start journeys or to count as a reaction: ends only */
    uint32_t armed;            /* wake-up: the second it was armed for (row.next_wake before it); 0: now */
    const struct flip *flips;
    uint32_t flip_count;
    const struct attribute_change *changes;
    uint32_t change_count;
    struct expr_context *context; /* source person_source, self a struct person of this row, now, zone, week;
                                               next_change is lowered by conditions that wait, and by those only */
    struct touched *touched;      /* out: attributes, lists, consent a step changed: the shard re-evaluates */
    uint32_t step_change_count;   /* the walk sets it to 0 when it begins */
    uint32_t actions_made, action_bytes; /* so far, of this walk */
    bool moved;                          /* instances were written back: their seconds may have changed */
    /* out: attributes that steps changed, for `changes` of the next round. Last, so that nobody clears it. */
    struct attribute_change step_changes[STEP_CHANGES_MAX];
};

/* An attribute changed; it may also be the person's clock or language. */
static inline void touch_attribute(struct touched *t, const struct journey_set *set, uint16_t attribute)
{
    touch(t, FEATURE_ATTRIBUTE, attribute);
    if (attribute == set->attribute_timezone) touch(t, FEATURE_PROFILE, PROFILE_TIMEZONE);
    if (attribute == set->attribute_language) touch(t, FEATURE_PROFILE, PROFILE_LANGUAGE);
}

/* Before segments and walk: what an event says about consent (traits, Unsubscribed, complaints, blocks), and which send
 * an outcome belongs to. Both touch what they change. */
void consent_record(struct walk *w);
void outcome_record(struct walk *w);

/* False: as long as no segment flips and no attribute changes, this event means nothing for the person's consent,
 * sends and journeys, and brings no wake-up nearer. */
bool walk_hears(const struct journey_set *set, const struct store *s, row_t row, const struct event *e);
/* The event may be about consent or about a send. */
bool event_reports(const struct event *e);

/* Returns true when something it changed (touched) makes another round of segments and walk necessary. */
bool walk_record(struct walk *w); /* event and flips */
bool walk_due(struct walk *w);    /* everything of this person that is due at now */
uint32_t walk_next_due(
    struct walk *w); /* earliest due of this person's instances and date triggers; UINT32_MAX: never */
/* After a merge joined two halves' instances: duplicates of one journey end, the survivor's stays. */
void walk_merged(struct walk *w);

/* Operator commands, logged as RECORD_ADMIN. */
enum journey_command { JOURNEY_ENROLL, JOURNEY_CANCEL, JOURNEY_SKIP, JOURNEY_RESTART };
bool walk_command(struct walk *w, enum journey_command c, uint16_t journey);

/* One message of a journey to an operator's address, marked `test`, with the values that this person would read. Nobody is
 * moved: no consent, cap or quiet hour is asked, no counter, report or list of sends knows of it. The journey need not be
 * live, the outbox limit does not count. A step that is gone, or the very same test again: nothing happens. */
struct test_send {
    uint16_t journey;
    struct key instance; /* of this test alone: its action id comes from here */
    struct slice step, to;
};
void walk_test(struct walk *w, const struct test_send *t);
struct key test_action_id(const struct test_send *t);

/* The person as an expression source: attributes, history, segments, consent, journeys, sends, event at hand. */
struct person {
    struct store *store;
    row_t row;
    const struct journey_set *set;
    const struct schema *schema;
    const struct event *event; /* e; NULL: none */
    uint32_t event_at;
    uint32_t now;
    const struct instance
        *instance;                 /* trigger and as-names; NULL: none. Set by the walk while it evaluates */
    struct slice kept;             /* the events behind the instance's head */
    const struct journey *journey; /* of the instance */
    const struct run *run; /* the walk at work, whose instances are newer than the block; NULL: none */
    struct arena *scratch;
};
extern const struct expr_source person_source;
const struct zone *person_zone(const struct person *p); /* profile.timezone, else the set's */

/* For explanations; nothing is changed. The holdout's answer stays the same as long as the person's id does. */
bool person_held_out(const struct person *p, const struct journey *j);
uint32_t journey_global_holdout(const struct journey_set *set, const struct journey *j); /* ppm; 0: spared */
bool journey_takes(const struct journey *j, uint32_t now); /* live and inside `active` */
/* Of a date trigger, the first occurrence later than `after`; UINT32_MAX: none. */
uint32_t date_next(const struct zone *zone, const struct match *m, struct value date, uint32_t after);

#endif
