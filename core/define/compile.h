/* compile.h - one compilation at work: what the readers of the blocks share.
 * Owner: define.c, for the time of one defset_compile. Memory: what lasts is in the set's arena, what does not in
 * `scratch`. Fails: by reporting; a reader goes on with the rest, so that one run tells all mistakes.
 * The tree was checked against the table before (shape.c): a value that is there and not bad has the right shape. */
#ifndef HG_DEFINE_COMPILE_H
#define HG_DEFINE_COMPILE_H

#include "core/define/bundle.h"
#include "core/define/scalar.h"
#include "core/define/table.h"
#include "core/journey/template.h"

struct journey_draft;
struct compile {
    struct defset *set;
    struct arena *arena; /* the set's */
    struct arena *scratch;
    struct diagnostics *d;
    struct registry *registry;
    struct expr_pool *pool;
    struct node *root; /* all files as one mapping */
    const char *zone_dir;
    bool for_running;
    const struct journey_number *versions; /* given by a bundle; NULL: versions count on */
    uint32_t version_count;
    const struct source_file *files; /* all of them: templates name some as their texts */
    uint32_t file_count;
};

/* ---- reading nodes: absent and bad are the same to a reader ------------------------------ */

struct node *get(const struct node *map, const char *key); /* NULL: absent or bad */
bool has(const struct node *map,
         const char *key); /* written, be it bad: no second message about its absence */
struct slice get_text(const struct node *map, const char *key);
bool get_bool(const struct node *map, const char *key, bool otherwise);
int64_t get_integer(const struct node *map, const char *key, int64_t otherwise);
int64_t get_seconds(const struct node *map, const char *key,
                    int64_t otherwise); /* DURATION, OFFSET, LIFETIME; never: 0 */
uint32_t get_clock(const struct node *map, const char *key, uint32_t otherwise);
uint32_t get_percent(const struct node *map, const char *key, uint32_t otherwise);
uint32_t get_word(const struct node *map, const char *key, const char *words, uint32_t otherwise);
/* One value is a list of one: `of: page` and `of: [page, screen]`. Absent and bad: empty. */
uint32_t item_count(const struct node *n);
struct node *item(struct node *n, uint32_t i);
/* Seconds that must be more than none; 0: absent, or after a message. */
uint32_t positive(struct compile *c, struct node *map, const char *key);

/* ---- names --------------------------------------------------------------------------------- */

/* The id of a live name, or ID_NONE after saying that it is unknown and what was meant. NULL and bad nodes: ID_NONE. */
uint16_t name_id(struct compile *c, enum registry_kind kind, struct node *name);
uint16_t event_id(struct compile *c, struct node *name); /* also knows other names of an event */

/* ---- expressions ----------------------------------------------------------------------------- */

/* Where an expression stands, and so what it may speak of. */
struct place {
    uint16_t event;                /* of `e`: a type, ID_NONE: no event at hand */
    bool any_event;                /* `e` is there, its type is not known */
    struct journey_draft *journey; /* trigger, as-names, steps; NULL: outside of journeys */
    bool entering;                 /* nobody is inside the journey yet */
    bool alarm;                    /* over many people, not one */
    const struct expr_item *items; /* of the loops of a text */
    uint32_t item_count;
};
#define PLACE_NONE ((struct place){.event = ID_NONE})
const struct program *expression(struct compile *c, struct place place, struct node *n, enum expr_want want);
/* An expression in a part of a scalar's value, from byte `from` on. */
const struct program *expression_part(struct compile *c, struct place place, struct node *n, uint32_t from,
                                      struct slice text, enum expr_want want);
/* A literal, a computed value (of the kind wanted) or a text with {{ }}. */
struct field field_of(struct compile *c, struct place place, struct slice name, struct node *n,
                      enum expr_want want);
bool is_computed(const struct node *n); /* a scalar that begins with = */
/* What an expression must give for a value of this type. */
enum expr_want want_of(enum declared_type type);
const char *type_word(enum declared_type type); /* as `attributes:` writes it */
uint16_t fields_of(struct compile *c, struct place place, struct node *map, const struct field **out);
enum missing { MISSING_IN_FIELD, MISSING_IN_TEMPLATE, MISSING_FALLS_BACK }; /* {{ x }} without default */
const struct template_text *text_of(struct compile *c, struct place place, struct node *n, bool html,
                                    enum missing missing);
struct value literal_of(struct compile *c, const struct node *n);
bool literal_fits(struct value literal, enum declared_type type);

/* ---- a journey while it is read ------------------------------------------------------------ */

struct step_name {
    struct slice name; /* given with `id` */
    uint16_t step;
};
struct as_name {
    struct slice name;
    uint16_t event;
    const struct node *otherwise; /* steps in which it has not come; NULL: none */
};
struct step_draft {
    struct node *node; /* {wait: 30m} or `end` */
    uint16_t next;     /* where it goes on */
};
struct journey_draft {
    struct journey *journey;
    struct node *node;      /* its mapping */
    uint16_t trigger_event; /* ID_NONE: none, or several */
    bool any;               /* stands for journeys to come: whatever may start them */
    uint32_t step_count, name_count, as_count, template_count;
    struct step_draft *drafts;
    struct step *steps;
    struct step_name *names;
    struct as_name *as;
    struct template **templates; /* compiled with this journey's trigger in view */
};
/* Where those stand who are inside the journey. */
static inline struct place place_in(struct journey_draft *j)
{
    return (struct place){.event = j->trigger_event, .journey = j};
}
/* The number of the first step of a list, or where it goes on without one. */
static inline uint16_t enter(const struct node *list, uint16_t next)
{
    return list ? (uint16_t)list->mark : next;
}
/* What an event, a segment, a condition or a time brings about: `word` is the key that says which. */
bool read_match(struct compile *c, struct place place, struct node *n, const char *word, struct match *m);
void warn_spelling(struct compile *c, struct node *n,
                   const struct schema_attribute *a); /* one that is never kept */
/* Of goals, exits and branches of wait_for: warns of what never comes, as `never` says; true: it is so at once. */
bool check_match(struct compile *c, struct journey_draft *j, struct node *n, const struct match *m,
                 const char *never);
/* Numbers and ids of all steps, names of awaited events. */
void collect_steps(struct compile *c, struct journey_draft *j, struct node *steps);
void read_steps(struct compile *c, struct journey_draft *j);
void read_wait(struct compile *c, struct journey_draft *j, struct node *step, struct step *out);
void read_wait_for(struct compile *c, struct journey_draft *j, struct node *step, struct step *out);
/* Steps nobody comes to, circles without a wait. */
void check_graph(struct compile *c, struct journey_draft *j);
/* Of a journey without mistakes: waits that nobody sees the end of, segments asked too early, dates that may be missing. */
void check_doubts(struct compile *c, struct journey_draft *j);

/* ---- walking it, to see where one comes ----------------------------------------------------- */

struct edges {
    uint16_t *to;
    uint32_t count, capacity;
    struct arena *arena;
};
void edges_of(const struct step *s, struct edges *e); /* where a step may go on, but for the end */
bool takes_time(const struct step *s);
struct walker {
    const struct journey *journey;
    bool *reached; /* by step; what is reached already is not gone into again */
    uint16_t *stack;
    struct edges next;
    bool (*passes)(void *self, const struct step *from, uint16_t to); /* NULL: always */
    void *self;
};
struct walker walker_of(const struct journey *j, struct arena *a);
void reach(struct walker *w, uint16_t from);

/* ---- the readers, in the order in which they run ------------------------------------------------ */

struct node *merge_files(struct compile *c, struct node *const *roots, uint32_t count);
void declare_names(struct compile *c); /* ids of all names first: the order of blocks does not matter */
void declare_properties(struct compile *c, uint16_t event, struct node *props);
enum declared_type type_of(const struct node *n); /* of `string`, [string], {type: string} */
void declare_later(struct compile *c);            /* events that blocks which do not run yet bring along */
void read_model(struct compile *c);               /* events, attributes, profiles: the schema */
void read_calendar(struct compile *c);            /* timezone, week */
void read_values(struct compile *c);              /* numbers with names */
void read_channels(struct compile *c);            /* channels, lists, holdout, block */
void read_segments(struct compile *c);
void read_journeys(struct compile *c);
void check_templates(struct compile *c); /* those that no journey has compiled */
/* A template of `templates:` as this journey sees it; NULL: not declared there, and so opaque. */
const struct template *template_of(struct compile *c, struct journey_draft *j, struct node *name);
bool template_has_part(const struct template *t, uint16_t channel);
/* A trigger that does not run yet: item, schedule, broadcast, catalog, rfm_changed. */
void check_later_trigger(struct compile *c, struct journey_draft *j, struct node *n);
void read_later(struct compile *c); /* blocks that are checked only: their names and expressions */

#endif
