/* graph.h - a journey as the walk sees it: a table of steps, compiled from a definition file.
 * Owner: a definitions set, immutable. Step numbers are stable inside one version; instances finish on theirs.
 * STEP_END (0xffff) is where a path ends. Adding a step kind: one row here, one function in walk.c, one test. */
#ifndef HG_JOURNEY_GRAPH_H
#define HG_JOURNEY_GRAPH_H

#include "core/expr/expr.h"

enum { STEP_END = 0xffff };
struct template_text; /* journey/template.h */
struct template;

/* X(name, word in the file) */
#define STEP_KINDS(X)                                                                                        \
    X(WAIT, "wait")                                                                                          \
    X(WAIT_FOR, "wait_for")                                                                                  \
    X(IF, "if")                                                                                              \
    X(SWITCH, "switch")                                                                                      \
    X(SPLIT, "split")                                                                                        \
    X(SEND, "send")                                                                                          \
    X(CASCADE, "cascade")                                                                                    \
    X(WEBHOOK, "webhook")                                                                                    \
    X(TASK, "task")                                                                                          \
    X(AUDIENCE, "audience")                                                                                  \
    X(UNSUBSCRIBE, "unsubscribe")                                                                            \
    X(SET, "set")                                                                                            \
    X(ADD_TO, "add_to")                                                                                      \
    X(REMOVE_FROM, "remove_from")                                                                            \
    X(START, "start")                                                                                        \
    X(STOP, "stop")                                                                                          \
    X(PAUSE, "pause")                                                                                        \
    X(MUTE, "mute")                                                                                          \
    X(GOTO, "goto")                                                                                          \
    X(FINISH, "end")

enum step_kind {
#define X(name, word) STEP_##name,
    STEP_KINDS(X)
#undef X
        STEP_KIND_COUNT
};

/* A value in a definition: literal, or computed (`=expr`), or text with {{ }} (a template). */
struct field {
    struct slice name;
    struct value literal;
    const struct program *program;    /* NULL: literal */
    const struct template_text *text; /* NULL: none; journey/template.h */
};

enum wait_kind {
    WAIT_FOR_TIME,
    WAIT_FROM_ENTRY,
    WAIT_UNTIL_CLOCK,
    WAIT_NEXT_WORKDAY,
    WAIT_NEXT_WEEKDAY,
    WAIT_UNTIL_DATE,
    WAIT_SILENCE
};
struct wait {
    uint8_t kind;
    uint8_t weekdays; /* WAIT_NEXT_WEEKDAY: bit 0 = Sunday */
    uint32_t clock_s; /* seconds of the day */
    int64_t seconds;  /* duration, or the offset of a date */
    const struct program *date;
    uint16_t type_count;
    const uint16_t *types; /* WAIT_SILENCE: events that start it anew; none: any event */
};

enum match_kind {
    MATCH_EVENT,
    MATCH_SEGMENT_ENTERED,
    MATCH_SEGMENT_LEFT,
    MATCH_WHEN,
    MATCH_ATTRIBUTE,
    MATCH_DATE,
    MATCH_MANUAL,
    MATCH_SILENCE,
    MATCH_AFTER
};
struct match { /* what a trigger, an exit, a goal or one branch of wait_for waits for */
    uint8_t kind;
    uint16_t id;                     /* event type, segment or attribute */
    const struct program *where;     /* event filter, or the condition of MATCH_WHEN; NULL: always */
    const struct program *from, *to; /* MATCH_ATTRIBUTE: constants; NULL: any */
    struct slice where_text, from_text, to_text; /* as they were written, for `why`; empty: absent */
    const struct program *date;                  /* MATCH_DATE */
    bool every_year;
    int32_t offset_s; /* MATCH_DATE: days before or after, in seconds */
    uint32_t clock_s; /* MATCH_DATE: at, seconds of the local day */
    uint32_t seconds; /* MATCH_SILENCE, MATCH_AFTER */
    uint8_t existing; /* segment trigger: those already inside enter at launch */
    struct slice as;  /* wait_for: name of the awaited event */
    uint16_t then;    /* wait_for: where it goes on */
};

struct send_option { /* one channel of first_of / best_of / cascade */
    uint16_t channel;
    uint32_t wait_s; /* cascade: how long before the next one */
};

struct step {
    uint8_t kind;
    uint16_t next;
    struct slice id; /* explicit id, else a path such as "2.then.0"; part of the action id */
    union {
        struct wait wait;
        struct {
            uint16_t count;
            const struct match *any;
            uint32_t timeout_s;
            uint16_t otherwise;
        } wait_for; /* 0: no timeout */
        struct {
            const struct program *condition;
            uint16_t then, otherwise;
        } branch;
        struct {
            const struct program *on;
            uint16_t count;
            const struct value *cases;
            const uint16_t *to;
            uint16_t otherwise;
        } choose;
        struct {
            uint16_t count;
            const struct slice *names;
            const uint32_t *ppm;
            const uint16_t *to;
        } split;
        struct {
            uint16_t option_count;
            bool best, cascade;
            const struct send_option *options;
            uint8_t cascade_until; /* enum send_state that stops the cascade */
            struct slice template_name, topic;
            const struct program *template_by; /* computes its name; NULL: template_name is it */
            const struct template *template;   /* NULL: opaque, the receiver renders */
            uint16_t field_count;
            const struct field *vars;
            uint8_t type; /* enum send_type */
            uint8_t once;
            bool best_hour;
            bool exit_on_expired;
            int32_t priority; /* INT32_MIN: the journey's */
            const struct program *value;
            uint32_t expires_s;
        } send; /* SEND and CASCADE */
        struct {
            uint16_t channel;
            struct slice template_name, op, audience;
            const struct program *template_by; /* as of a send */
            const struct template *template;
            struct field to; /* empty: the receiver knows */
            uint16_t field_count;
            const struct field *vars; /* a task's title is the last */
            const struct program *due;
        } act; /* WEBHOOK, TASK, AUDIENCE */
        struct {
            uint16_t channel;
            struct slice topic;
        } unsubscribe;
        struct {
            uint16_t count;
            const struct field *fields;
            const uint16_t *attributes;
        } set;
        struct {
            uint16_t list;
        } list;
        struct {
            uint16_t journey;
            struct slice lane;
            uint32_t for_s;
        } control; /* START, STOP, PAUSE */
        struct {
            uint32_t for_s;
            uint8_t types;
        } mute;
        struct {
            uint16_t to;
        } jump;
    };
};

enum send_type { SEND_TRANSACTIONAL, SEND_TRIGGER, SEND_MASS };
enum journey_state { JOURNEY_DRAFT, JOURNEY_LIVE, JOURNEY_PAUSED, JOURNEY_CLOSING };
enum reentry_kind { REENTRY_ONCE, REENTRY_ALWAYS, REENTRY_AFTER, REENTRY_KEYED };
enum while_active { ACTIVE_IGNORE, ACTIVE_RESTART, ACTIVE_PARALLEL };

struct journey {
    struct slice name, description;
    uint16_t id, version; /* version: rises when this journey's text changes */
    uint64_t text_hash;
    uint8_t state;
    uint32_t active_from, active_until; /* 0: open */
    uint16_t trigger_count;
    const struct match *triggers;
    const struct program *only_if;
    uint8_t reentry, while_active;
    uint32_t reentry_after_s;
    const struct program
        *key; /* REENTRY_KEYED; the same key may enter again once it is out and `after` has passed */
    int32_t priority;
    uint32_t holdout_ppm;
    bool has_goal, goal_stay;
    struct match goal;
    uint32_t goal_within_s;
    const struct program *goal_value;
    uint16_t exit_count;
    const struct match *exits;
    uint16_t step_count, first;
    const struct step *steps;
    uint16_t as_count; /* names of awaited events; in expressions the scope of as_names[i] is 2 + i */
    const struct slice *as_names;
};

struct channel {
    struct slice name;
    uint16_t id;
    const struct program *address; /* NULL: no address check */
    uint8_t consent;               /* enum channel_consent */
    bool has_quiet;
    uint32_t quiet_from_s, quiet_to_s;
    uint16_t cap_count;
    const struct cap {
        uint32_t max, window_s;
    } * caps;
    double cost;
    struct slice to; /* the subscriber it is routed to; empty: the default */
};
enum channel_consent { CHANNEL_CONSENT_REQUIRED, CHANNEL_CONSENT_CONFIRMED, CHANNEL_CONSENT_NOT_NEEDED };

/* `block`: after that many outcomes of this type inside the window the channel is closed for the person. */
struct block_rule {
    uint16_t type;
    const struct program *where; /* over the outcome as e; NULL: any */
    uint32_t times, window_s;    /* 0 or 1 times: at once */
};

/* Everything a walk needs of a definitions set. */
struct journey_set {
    const struct journey *const *journeys; /* current versions, by id; NULL: gap */
    uint32_t journey_count;
    const struct journey *const *older; /* former versions that people may still be inside of */
    uint32_t older_count;
    const struct channel *channels; /* by id; gaps have an empty name */
    uint32_t channel_count;
    const struct slice *lists; /* names by id */
    uint32_t list_count;
    const struct zone *zone; /* of a person who has none */
    struct week week;
    uint16_t attribute_timezone, attribute_language; /* ids, ID_NONE if not declared */
    uint32_t global_holdout_ppm;
    bool transactional_exempt;
    const struct block_rule *blocks;
    uint32_t block_count;
    const struct journey_index *index; /* made by journey_set_index, which the walk relies on */
};

/* Who listens to what, so that an event looks only at journeys it may start. Call it when a set is complete. */
enum listen { LISTEN_EVENT, LISTEN_SEGMENT, LISTEN_ATTRIBUTE, LISTEN_DATE /* id 0 */, LISTEN_KINDS };
struct listener {
    uint16_t journey, trigger; /* id, number of the trigger */
    struct expr_hurdle hurdle; /* of its `where` */
};
struct journey_index;
void journey_set_index(struct journey_set *set, struct arena *a);
/* In order of journey id. */
const struct listener *journey_listeners(const struct journey_set *set, enum listen kind, uint16_t id,
                                         uint32_t *count);
/* May an event of this type (ID_NONE: none) move somebody who is inside, or, where there are any, flips and changes of
 * attributes? */
bool journey_hears(const struct journey_set *set, uint16_t id, uint16_t version, uint16_t type, bool changes);
/* The step with this id, if it sends a message; NULL. */
const struct step *journey_message(const struct journey *j, struct slice id);
/* Every send of it is transactional: the global holdout may spare it. */
bool journey_transactional(const struct journey *j);
const struct journey *journey_version(const struct journey_set *set, uint16_t id,
                                      uint16_t version); /* NULL: gone */

#endif
