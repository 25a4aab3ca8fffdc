/* expr_person.h - a person made of plain arrays, for the expression tests: what the store would answer, spelled out.
 * Two event types, "Order" and "View", each with total (number), city (string), ok (bool); attributes city, plan, vip,
 * birthday, expires, tags. Everything else about the person is a flag. */
#ifndef HG_TESTS_EXPR_PERSON_H
#define HG_TESTS_EXPR_PERSON_H

#include "core/base/check.h"
#include "core/expr/expr.h"

enum {
    ORDER = TYPE_DECLARED_BASE,
    VIEW,
    TYPES = 2,
    DEEDS_MAX = 64,
    PROPS = 3,
    SCOPES = 3,
    ATTRIBUTES = 6,
    RING = DEEDS_MAX
};
enum { CITY, PLAN, VIP, BIRTHDAY, EXPIRES, TAGS };

struct deed {
    uint32_t time;
    struct value prop[PROPS]; /* V_NONE: not sent */
};
struct person {
    struct deed deeds[TYPES][DEEDS_MAX]; /* ascending by time */
    uint32_t count[TYPES];
    struct value attribute[ATTRIBUTES];
    struct value tags; /* attribute[TAGS] as a list, however it is kept */
    struct value tag_items[3];
    uint8_t tags_packed[128];
    struct value own[PROFILE_TIMEZONE + 1]; /* by enum profile_field */
    struct value at_hand[SCOPES]
                        [PROPS]; /* of the event at hand (an Order), the trigger, what was awaited (Views) */
    uint32_t event_at[SCOPES];
    bool member, listed, consents, reachable, inside;
    uint8_t sends; /* bits by enum send_state */
    uint32_t entered, left;
    const struct zone *zone;
    /* what the store would hold; made by person_seal */
    uint32_t times[TYPES + 1][2 * RING];
    uint64_t cells[TYPES][RING * PROPS];
    uint32_t head;
    struct day_bucket days[4];
    uint32_t day_count;
    uint32_t folded, folded_first; /* events in the buckets, of ORDER, and the first of them */
};

static const struct schema_prop person_props[PROPS] = {
    {.name = {(const uint8_t *)"total", 5}, .type = T_NUMBER},
    {.name = {(const uint8_t *)"city", 4}, .type = T_STRING},
    {.name = {(const uint8_t *)"ok", 2}, .type = T_BOOL}};
static const struct schema_event person_types[TYPES] = {{.name = {(const uint8_t *)"Order", 5},
                                                         .id = ORDER,
                                                         .prop_count = PROPS,
                                                         .props = (struct schema_prop *)person_props,
                                                         .cap = 50},
                                                        {.name = {(const uint8_t *)"View", 4},
                                                         .id = VIEW,
                                                         .prop_count = PROPS,
                                                         .props = (struct schema_prop *)person_props,
                                                         .cap = 50}};
static struct heap person_heap;

static inline void person_open(void)
{
    if (!person_heap.region.base)
        CHECK(heap_create(&person_heap, 64 << 20) && heap_reserve(&person_heap, 16 << 20));
}

static inline void person_seal(struct person *p, uint32_t head)
{
    person_open();
    p->head = head % RING;
    for (uint32_t t = 0; t < TYPES; t++)
        for (uint32_t i = 0; i < p->count[t]; i++) {
            uint32_t at = (p->head + i) % RING;
            p->times[t][at] = p->deeds[t][i].time;
            for (uint32_t k = 0; k < PROPS; k++)
                p->cells[t][at * PROPS + k] =
                    cell_make(p->deeds[t][i].prop[k], person_props[k].type, &person_heap);
        }
    uint32_t n = 0;
    for (uint32_t a = 0, b = 0; a < p->count[0] || b < p->count[1];) {
        bool first = b == p->count[1] || (a < p->count[0] && p->deeds[0][a].time <= p->deeds[1][b].time);
        p->times[TYPES][n++] = first ? p->deeds[0][a++].time : p->deeds[1][b++].time;
    }
}

static inline void person_unseal(struct person *p)
{
    for (uint32_t t = 0; t < TYPES; t++)
        for (uint32_t i = 0; i < p->count[t]; i++)
            for (uint32_t k = 0; k < PROPS; k++)
                cell_release(p->cells[t][((p->head + i) % RING) * PROPS + k], person_props[k].type,
                             &person_heap);
    for (uint32_t i = 0; i < p->day_count; i++)
        if (p->days[i].sums) heap_release(&person_heap, p->days[i].sums, 8);
}

/* ---- the source ---------------------------------------------------------------------------------- */

static inline struct value person_attribute(void *self, uint16_t id)
{
    return ((struct person *)self)->attribute[id];
}

static inline struct value person_profile(void *self, enum profile_field f)
{
    return ((struct person *)self)->own[f];
}

static inline bool person_history(void *self, uint16_t type, struct history_view *out)
{
    struct person *p = self;
    memset(out, 0, sizeof *out);
    if (type == ID_NONE) {
        out->times = p->times[TYPES];
        out->mask = 2 * RING - 1;
        out->n = p->count[0] + p->count[1];
    } else {
        uint32_t t = type - ORDER;
        out->times = p->times[t];
        out->cells = p->cells[t];
        out->mask = RING - 1;
        out->head = p->head;
        out->n = p->count[t];
        out->stride = PROPS;
        out->type = &person_types[t];
        out->heap = &person_heap;
        if (t == 0) out->days = p->days, out->day_count = p->day_count, out->day_sums = 1;
    }
    out->count = out->n + (type == VIEW ? 0 : p->folded);
    if (out->n) out->first = history_time(out, 0), out->last = history_time(out, out->n - 1);
    if (type != VIEW && p->folded && (!out->n || p->folded_first < out->first)) out->first = p->folded_first;
    return out->count > 0;
}

static inline struct value person_property(void *self, uint16_t scope, struct slice name, uint16_t index)
{
    struct person *p = self;
    return index < PROPS ? p->at_hand[scope][index] : value_none();
}
static inline struct value person_context(void *self, uint16_t scope, struct slice path)
{
    if (slice_is(path, "campaign.source")) return value_string(SLICE("mail"));
    return slice_is(path, "screen") ? value_int(3) : value_none();
}
static inline uint32_t person_event_time(void *self, uint16_t scope)
{
    return ((struct person *)self)->event_at[scope];
}
static inline bool person_segment(void *self, uint16_t id, uint32_t *entered, uint32_t *left)
{
    struct person *p = self;
    if (entered) *entered = p->entered;
    if (left) *left = p->left;
    return p->member;
}
static inline bool person_list(void *self, uint16_t id) { return ((struct person *)self)->listed; }
static inline bool person_consent(void *self, uint16_t channel, struct slice topic)
{
    return topic.n == 0 && ((struct person *)self)->consents;
}
static inline bool person_reachable(void *self, uint16_t channel)
{
    return ((struct person *)self)->reachable;
}
static inline bool person_journey(void *self, uint16_t id) { return ((struct person *)self)->inside; }
static inline bool person_send(void *self, uint16_t step, enum send_state what)
{
    return ((struct person *)self)->sends >> what & 1;
}

static const struct expr_source person_source = {.attribute = person_attribute,
                                                 .profile = person_profile,
                                                 .history = person_history,
                                                 .property = person_property,
                                                 .context = person_context,
                                                 .event_time = person_event_time,
                                                 .segment = person_segment,
                                                 .in_list = person_list,
                                                 .consent = person_consent,
                                                 .reachable = person_reachable,
                                                 .in_journey = person_journey,
                                                 .send_state = person_send};

/* ---- the scope ------------------------------------------------------------------------------------- */

static const struct {
    enum expr_space space;
    const char *name;
    struct expr_symbol symbol;
} person_names[] = {
    {SPACE_ATTRIBUTE, "city", {.id = CITY, .type = T_STRING}},
    {SPACE_ATTRIBUTE, "plan", {.id = PLAN, .type = T_NUMBER}},
    {SPACE_ATTRIBUTE, "vip", {.id = VIP, .type = T_BOOL}},
    {SPACE_ATTRIBUTE, "birthday", {.id = BIRTHDAY, .type = T_DATE}},
    {SPACE_ATTRIBUTE, "expires", {.id = EXPIRES, .type = T_TIME}},
    {SPACE_ATTRIBUTE, "tags", {.id = TAGS, .type = T_STRINGS}},
    {SPACE_EVENT, "Order", {.id = ORDER, .cap = 50}},
    {SPACE_EVENT, "View", {.id = VIEW, .cap = 50}},
    {SPACE_PROPERTY, "total", {.id = 0, .type = T_NUMBER}},
    {SPACE_PROPERTY, "city", {.id = 1, .type = T_STRING}},
    {SPACE_PROPERTY, "ok", {.id = 2, .type = T_BOOL}},
    {SPACE_SEGMENT, "vips", {.id = 7}},
    {SPACE_LIST, "staff", {.id = 2}},
    {SPACE_CHANNEL, "email", {.id = 1}},
    {SPACE_JOURNEY, "cart", {.id = 3}},
    {SPACE_STEP, "m1", {.id = 4}},
    {SPACE_TOPIC, "news", {.id = 1}},
    {SPACE_LANE, "main", {.id = 1}},
    {SPACE_COLLECTION, "cart", {.id = 1}},
    {SPACE_CATALOG, "products", {.id = 1}},
    {SPACE_AS, "bought", {.id = 2, .type = VIEW}},
};

static inline bool person_resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                                  struct expr_symbol *out)
{
    if (space == SPACE_VALUE && slice_is(name, "avg_cheque")) {
        *out = (struct expr_symbol){.constant = value_double(4200)};
        return true;
    }
    for (size_t i = 0; i < sizeof person_names / sizeof *person_names; i++)
        if (person_names[i].space == space && slice_is(name, person_names[i].name))
            return *out = person_names[i].symbol, true;
    return false;
}

static inline struct slice person_nearest(void *self, enum expr_space space, uint32_t within,
                                          struct slice name)
{
    struct slice best = {0};
    uint32_t distance = 3;
    for (size_t i = 0; i < sizeof person_names / sizeof *person_names; i++) {
        uint32_t d =
            person_names[i].space == space ? text_distance(name, slice_str(person_names[i].name), 2) : 3;
        if (d < distance) distance = d, best = slice_str(person_names[i].name);
    }
    return best;
}

static const struct expr_scope person_scope = {
    .resolve = person_resolve, .nearest = person_nearest, .event = ORDER, .trigger = VIEW};

#endif
