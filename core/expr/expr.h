/* expr.h - one expression language everywhere: CEL's syntax and semantics plus a person's history.
 * Text -> tokens -> typed tree (errors with position) -> hash-consed DAG shared by all expressions of a set ->
 * compact program. One semantics, run on one profile here; over blocks of rows in segment/.
 * Owner: programs live in the arena of the definitions set and are immutable; a context belongs to one evaluation.
 * Memory: none at run time but scratch from ctx->scratch (fixed arena: lists and text built by the expression).
 * Fails: at compile time with errors (position, reason, suggestion); at run time with V_ERROR, which a predicate
 * turns into false and a count.
 * Source: cel-spec langdef; && and || absorb errors. */
#ifndef HG_EXPR_EXPR_H
#define HG_EXPR_EXPR_H

#include "core/model/event.h"
#include "core/model/history.h"
#include "core/time/calendar.h"

/* ---- compile time ------------------------------------------------------------------- */

enum expr_space {
    SPACE_ATTRIBUTE,
    SPACE_EVENT,
    SPACE_PROPERTY,
    SPACE_SEGMENT,
    SPACE_LIST,
    SPACE_CHANNEL,
    SPACE_TOPIC,
    SPACE_JOURNEY,
    SPACE_STEP,
    SPACE_LANE,
    SPACE_COLLECTION,
    SPACE_FIELD, /* of a collection's items */
    SPACE_CATALOG,
    SPACE_ROW, /* field of a catalog's rows */
    SPACE_VALUE,
    SPACE_AS,
    SPACE_VARIABLE
};

struct type;
struct expr_symbol {
    uint16_t id; /* what the source gets at run time; SPACE_AS: the scope number */
    uint16_t
        type; /* enum declared_type for attributes and properties; SPACE_AS: the event type, ID_NONE: any */
    uint32_t cap; /* events: the history cap, for the warning about constants beyond it */
    uint32_t
        keep_s;   /* events: how long history stays, for the warning about windows beyond it; 0: for ever */
    bool channel; /* properties: its texts are names of channels */
    struct value constant; /* SPACE_VALUE; SPACE_VARIABLE: unused */
    const struct type
        *shape; /* attributes and properties: of a declared list or object; NULL: `type` says all */
};

/* A name for one of a list's items where the expression stands: of {% for NAME in list %}. */
struct expr_item {
    struct slice name;
    const struct type *type; /* program_item of the list; NULL: it was a mistake, which is reported */
};
enum { EXPR_ITEMS_MAX = 8 };

/* What names mean where this expression stands. `resolve` answers false for an unknown name; `nearest` suggests. */
struct expr_scope {
    void *self;
    bool (*resolve)(void *self, enum expr_space space,
                    uint32_t within /* event type of a property, id of a field's collection */,
                    struct slice name, struct expr_symbol *out);
    struct slice (*nearest)(void *self, enum expr_space space, uint32_t within,
                            struct slice name); /* empty: none */
    /* How an attribute keeps this text; NULL: as it is. For the warning about spellings that are never kept. */
    struct slice (*spelling)(void *self, uint16_t attribute, struct slice text);
    uint16_t event;   /* type of `e` here: a type id, ID_NONE: no event at hand */
    uint16_t trigger; /* type of `trigger`, ID_NONE: none or not an event */
    bool any_event;   /* `e` exists, of unknown type: its properties are dynamic */
    bool any_trigger; /* the same of `trigger` */
    bool alarm;       /* rate() may be asked */
    bool unsent;      /* of no message of a journey can be asked: outside of it, or before its first step */
    const struct expr_item *items; /* outermost first; a later one hides an earlier one of that name */
    uint32_t item_count;           /* <= EXPR_ITEMS_MAX */
    bool
        conformance; /* plain CEL with variables through SPACE_VARIABLE, unlimited macro nesting: tests only */
    bool unchecked;  /* types, names and overloads are found out at run time only: tests only */
};

enum expr_want {
    WANT_BOOL,
    WANT_NUMBER,
    WANT_STRING,
    WANT_TIME, /* date or timestamp */
    WANT_STRINGS,
    WANT_ANY
};

struct expr_error {
    uint32_t at, length; /* bytes into the text */
    bool warning;
    const char *reason; /* in the pool's arena */
    const char *fix;    /* "did you mean ..." or NULL */
};
struct expr_errors {
    uint32_t count, capacity;
    struct expr_error *list; /* from the pool's arena */
};

struct expr_pool; /* the hash-consed DAG: equal sub-expressions of a set are one node */
struct expr_pool *expr_pool_create(struct arena *a);

struct program;
/* NULL when there were errors (all of the text's are reported, not only the first). Warnings leave a program. */
const struct program *expr_compile(struct expr_pool *pool, const struct expr_scope *scope, struct slice text,
                                   enum expr_want want, struct expr_errors *errors);

/* The program that always gives this value. */
const struct program *expr_constant(struct expr_pool *pool, struct value v);

/* Names of all functions, each once per overload, operators as _+_; NULL: there are no more. */
const char *expr_function(uint32_t i);

/* ---- what a program depends on ------------------------------------------------------ */

enum expr_feature {
    FEATURE_ATTRIBUTE,
    FEATURE_HISTORY /* id: event type, ID_NONE = "*" */,
    FEATURE_SEGMENT,
    FEATURE_LIST,
    FEATURE_CONSENT,
    FEATURE_JOURNEY,
    FEATURE_SENDS,
    FEATURE_NOW,
    FEATURE_EVENT,
    FEATURE_PROFILE /* first_seen ... */
};
struct expr_dependency {
    uint8_t feature;
    uint16_t id;
    bool by_leaves; /* history: read by the program's leaves only */
};
/* reachable() names its channel only: whoever knows the channel's address adds that attribute. What reads the person's
 * clock depends on FEATURE_PROFILE, PROFILE_TIMEZONE. */
const struct expr_dependency *program_dependencies(const struct program *p, uint32_t *count);

/* A comparison of one event type's history with a constant. While none of a type's leaves flips, an event of that type
 * changes neither the program's value nor brings its next flip by time nearer (see core/segment/leaves.c for when). */
enum expr_leaf_kind { LEAF_COUNT, LEAF_COUNT_WITHIN, LEAF_SUM, LEAF_AGO, LEAF_CALENDAR };
enum expr_calendar_what { CALENDAR_COUNT, CALENDAR_SUM, CALENDAR_MIN, CALENDAR_MAX };
struct expr_leaf {
    uint8_t kind;
    bool exactly;      /* counts: == or !=, flips at `count` and behind it */
    uint16_t type;     /* of the event; ID_NONE, LEAF_COUNT only: of all together */
    uint16_t property; /* LEAF_SUM, LEAF_CALENDAR but of a count */
    uint8_t unit;      /* LEAF_CALENDAR: day, week, month */
    uint8_t what;      /* LEAF_CALENDAR: enum expr_calendar_what */
    uint32_t window_s; /* LEAF_COUNT_WITHIN, LEAF_SUM; 0: lifetime */
    union {
        uint32_t count;  /* flips when the count rises to it */
        double number;   /* LEAF_SUM, LEAF_CALENDAR */
        int64_t seconds; /* LEAF_AGO */
    };
};
const struct expr_leaf *program_leaves(const struct program *p, uint32_t *count);
bool program_timed(const struct program *p);        /* its value can change without an event */
uint64_t program_identity(const struct program *p); /* equal for equal expressions of one pool */
enum expr_want program_result(const struct program *p);
enum expr_truth { TRUTH_OPEN, TRUTH_NEVER, TRUTH_ALWAYS };
/* What can be told without looking at anybody; of those who are inside this journey, or not (ID_NONE: of all). */
enum expr_truth program_truth(const struct program *p, uint16_t journey, bool inside);
bool program_may_fail(
    const struct program *p);                 /* a value may be missing, or of another type than it should */
bool program_misses(const struct program *p); /* an attribute or a property that it reads may not be there */
/* Are all of them there once the condition has come out so? An error counts as false. */
bool program_assures(const struct program *condition, bool outcome, const struct program *p);
uint16_t program_attribute(const struct program *p); /* that it is the value of; ID_NONE: of something else */
/* Why a part of a time, such as now.getMonth(), is never this number; NULL: it may be, or it is something else. */
const char *program_never(const struct program *p, struct value number, struct arena *a);
extern const char PARTS_FIX[];                            /* what to do then */
bool program_yields_many(const struct program *p);        /* a list or a map */
const struct type *program_item(const struct program *p); /* what its list holds; NULL: it is no list */
bool program_yields_date(const struct program *p);        /* WANT_TIME: a civil day, as its midnight in UTC */

/* `count(T) > 0 && ago(T) >= D`, all of it: true once `after_s` seconds have gone by since the last event of the type. */
struct expr_lapse {
    uint16_t type;
    uint32_t after_s; /* 0: the program is another one */
};
struct expr_lapse program_lapse(const struct program *p);
/* A comparison of a number of the event at hand with a constant, without which the program is not true: who has many
 * programs to ask about one event asks this first (15 instructions instead of 290). */
struct expr_hurdle {
    uint16_t property; /* of e, by index */
    uint8_t orders;    /* bit 0: a smaller number passes, 1: the same one, 2: a greater one; 0: no hurdle */
    double number;
};
struct expr_hurdle program_hurdle(const struct program *p);
/* True: the program is false of this event; what is no number is for the program to judge. */
static inline bool hurdle_stops(const struct expr_hurdle *h, const struct event *e)
{
    if (!h->orders || !e->props || e->props[h->property].kind != V_DOUBLE) return false;
    double d = e->props[h->property].d;
    return d == d && !(h->orders >> (1 + (d > h->number) - (d < h->number)) & 1);
}

/* ---- run time ----------------------------------------------------------------------- */

enum profile_field {
    PROFILE_USER_ID,
    PROFILE_KNOWN,
    PROFILE_FIRST_SEEN,
    PROFILE_LAST_SEEN,
    PROFILE_LANGUAGE,
    PROFILE_TIMEZONE
};
enum send_state { SEND_SENT, SEND_DELIVERED, SEND_OPENED, SEND_CLICKED, SEND_REPLIED };

/* Where a running program finds the person. Every function but `self` may be NULL: then the thing is absent. */
struct expr_source {
    struct value (*attribute)(void *self, uint16_t id);
    struct value (*profile)(void *self, enum profile_field field);
    bool (*history)(void *self, uint16_t type,
                    struct history_view *out);              /* ID_NONE: all types as one lifetime view
                                                                             (times only); false: never happened */
    struct lifetime (*lifetime)(void *self, uint16_t type); /* the same figures without the entries */
    struct value (*property)(void *self, uint16_t scope, struct slice name,
                             uint16_t index); /* scope 0: e, 1: trigger, 2+: as-names */
    struct value (*context)(void *self, uint16_t scope, struct slice path);
    uint32_t (*event_time)(void *self, uint16_t scope); /* e.at, trigger.at; 0: none */
    bool (*segment)(void *self, uint16_t id, uint32_t *entered,
                    uint32_t *left); /* membership; 0: never; NULL: not asked */
    bool (*in_list)(void *self, uint16_t id);
    bool (*consent)(void *self, uint16_t channel, struct slice topic);
    bool (*reachable)(void *self, uint16_t channel);
    bool (*in_journey)(void *self, uint16_t id);
    bool (*send_state)(void *self, uint16_t step, enum send_state what);
    struct value (*variable)(void *self, uint16_t id); /* conformance tests */
};

enum { CALENDAR_UNITS = 3 };
struct calendar_window { /* day, week or month at hand in a zone */
    int64_t start;
    uint32_t border; /* where the next one begins */
    uint32_t now;    /* it was asked for; 0: not yet */
    const struct zone *zone;
};
struct calendar_window calendar_window(const struct zone *zone, uint32_t now, uint8_t unit);

struct expr_context {
    const struct expr_source *source;
    void *self;
    const struct history_view *at_hand; /* history of `at_hand_type`, not to be asked for again; NULL: none */
    uint16_t at_hand_type;
    uint32_t now;
    const struct zone *zone; /* the person's */
    const struct week *week;
    struct arena *scratch;
    uint32_t next_change; /* out: the earliest second > now at which the result may differ with no new event;
                                  UINT32_MAX: never. Only lowered, so one context can run many programs. */
    uint64_t errors;      /* out: evaluations that ended in an error */
    struct calendar_window calendar[CALENDAR_UNITS]; /* of the programs before, which ask for the same ones */
};
struct value program_run(const struct program *p, struct expr_context *ctx);
/* The same with the items its scope named. */
struct value program_run_over(const struct program *p, const struct value *items, uint32_t count,
                              struct expr_context *ctx);
/* A predicate: an error or a non-bool is false and counted. */
bool program_true(const struct program *p, struct expr_context *ctx);

/* Edit distance for "did you mean"; UINT32_MAX when further than max. Shared with the definition reader. */
uint32_t text_distance(struct slice a, struct slice b, uint32_t max);

#endif
