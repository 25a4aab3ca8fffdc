/* graph.c - finding journeys: by version, and by what starts them.
 * Index: per kind of listening one array of listeners sorted by (id, journey, trigger) and, per id, where its run begins. */
#include "core/journey/graph.h"
#include "core/base/check.h"

struct listen_table {
    uint32_t ids;          /* ids below it have a run */
    const uint32_t *first; /* ids + 1 positions */
    const struct listener *list;
};
struct ear {
    uint32_t types;       /* event types below it have a bit */
    const uint64_t *bits; /* NULL: hears all of them */
    bool heeds;           /* flips or changes of attributes */
};
struct journey_index {
    struct listen_table tables[LISTEN_KINDS];
    const struct ear *ears, *older; /* beside journeys and older of the set */
};

const struct journey *journey_version(const struct journey_set *set, uint16_t id, uint16_t version)
{
    if (id < set->journey_count && set->journeys[id] && set->journeys[id]->version == version)
        return set->journeys[id];
    for (uint32_t i = 0; i < set->older_count; i++) {
        const struct journey *j = set->older[i];
        if (j && j->id == id && j->version == version) return j;
    }
    return NULL;
}

const struct step *journey_message(const struct journey *j, struct slice id)
{
    for (uint32_t i = 0; i < j->step_count; i++) {
        const struct step *s = &j->steps[i];
        if ((s->kind == STEP_SEND || s->kind == STEP_CASCADE) && slice_eq(s->id, id)) return s;
    }
    return NULL;
}

bool journey_transactional(const struct journey *j)
{
    bool any = false;
    for (uint32_t i = 0; i < j->step_count; i++) {
        const struct step *s = &j->steps[i];
        if (s->kind != STEP_SEND && s->kind != STEP_CASCADE) continue;
        if (s->send.type != SEND_TRANSACTIONAL) return false;
        any = true;
    }
    return any;
}

/* LISTEN_KINDS: nobody listens, an operator starts it. */
static enum listen listen_of(const struct match *m, uint16_t *id)
{
    *id = m->id;
    switch (m->kind) {
    case MATCH_EVENT: return LISTEN_EVENT;
    case MATCH_SEGMENT_ENTERED:
    case MATCH_SEGMENT_LEFT: return LISTEN_SEGMENT;
    case MATCH_ATTRIBUTE: return LISTEN_ATTRIBUTE;
    case MATCH_DATE: *id = 0; return LISTEN_DATE;
    default: return LISTEN_KINDS;
    }
}

typedef void visit_trigger(void *self, enum listen kind, uint16_t id, struct listener l);

static void each_trigger(const struct journey_set *set, visit_trigger *visit, void *self)
{
    for (uint32_t j = 0; j < set->journey_count; j++) {
        const struct journey *journey = set->journeys[j];
        for (uint16_t t = 0; journey && t < journey->trigger_count; t++) {
            uint16_t id;
            const struct match *m = &journey->triggers[t];
            enum listen kind = listen_of(m, &id);
            struct listener l = {(uint16_t)j, t, {0}};
            if (kind == LISTEN_EVENT && m->where) l.hurdle = program_hurdle(m->where);
            if (kind < LISTEN_KINDS) visit(self, kind, id, l);
        }
    }
}

struct build {
    uint32_t ids[LISTEN_KINDS], total[LISTEN_KINDS];
    uint32_t *first[LISTEN_KINDS];
    struct listener *list[LISTEN_KINDS];
};

static void measure(void *self, enum listen kind, uint16_t id, struct listener l)
{
    struct build *b = self;
    if (id >= b->ids[kind]) b->ids[kind] = id + 1u;
    b->total[kind]++;
}

static void count_one(void *self, enum listen kind, uint16_t id, struct listener l)
{
    ((struct build *)self)->first[kind][id + 1]++;
}

static void place(void *self, enum listen kind, uint16_t id, struct listener l)
{
    struct build *b = self;
    b->list[kind][b->first[kind][id]++] = l;
}

/* ---- what a journey hears: the event types that may end it or move those who wait in it --------------------- */

typedef bool hear(void *self, uint16_t type); /* false: no need to go on */

/* A condition may come true by any event; a branch that waits for a segment is taken whenever it holds. */
static bool hear_match(const struct match *m, bool branch, hear *f, void *self)
{
    bool segment = m->kind == MATCH_SEGMENT_ENTERED || m->kind == MATCH_SEGMENT_LEFT;
    if (m->kind == MATCH_WHEN || (branch && segment)) return f(self, ID_NONE);
    return m->kind != MATCH_EVENT || f(self, m->id);
}

static bool hear_step(const struct step *s, hear *f, void *self)
{
    if (s->kind == STEP_CASCADE || (s->kind == STEP_SEND && s->send.cascade)) return f(self, ID_NONE);
    if (s->kind == STEP_WAIT && s->wait.kind == WAIT_SILENCE) {
        for (uint32_t i = 0; i < s->wait.type_count; i++)
            if (!f(self, s->wait.types[i])) return false;
        return s->wait.type_count || f(self, ID_NONE);
    }
    for (uint32_t i = 0; s->kind == STEP_WAIT_FOR && i < s->wait_for.count; i++)
        if (!hear_match(&s->wait_for.any[i], true, f, self)) return false;
    return true;
}

/* Calls f with every type, ID_NONE: all. */
static bool each_heard(const struct journey *j, hear *f, void *self)
{
    if (j->has_goal && !hear_match(&j->goal, false, f, self)) return false;
    for (uint32_t i = 0; i < j->exit_count; i++)
        if (!hear_match(&j->exits[i], false, f, self)) return false;
    for (uint32_t i = 0; i < j->step_count; i++)
        if (!hear_step(&j->steps[i], f, self)) return false;
    return true;
}

static bool heeds_match(const struct match *m)
{
    return m->kind == MATCH_SEGMENT_ENTERED || m->kind == MATCH_SEGMENT_LEFT || m->kind == MATCH_ATTRIBUTE;
}

static bool heeds(const struct journey *j)
{
    bool any = j->has_goal && heeds_match(&j->goal);
    for (uint32_t i = 0; i < j->exit_count; i++) any |= heeds_match(&j->exits[i]);
    for (uint32_t i = 0; i < j->step_count; i++)
        for (uint32_t k = 0; j->steps[i].kind == STEP_WAIT_FOR && k < j->steps[i].wait_for.count; k++)
            any |= heeds_match(&j->steps[i].wait_for.any[k]);
    return any;
}

static bool widest(void *self, uint16_t type)
{
    uint32_t *types = self;
    if (type >= *types) *types = type + 1u;
    return type != ID_NONE;
}

static bool set_bit(void *self, uint16_t type)
{
    ((uint64_t *)self)[type / 64] |= 1ull << type % 64;
    return true;
}

static struct ear *make_ears(const struct journey *const *list, uint32_t count, struct arena *a)
{
    struct ear *ears = ARENA_ARRAY(a, struct ear, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (!list[i]) continue;
        ears[i].heeds = heeds(list[i]);
        if (!each_heard(list[i], widest, &ears[i].types)) continue;
        uint64_t *bits = ARENA_ARRAY(a, uint64_t, ears[i].types / 64 + 1);
        each_heard(list[i], set_bit, bits);
        ears[i].bits = bits;
    }
    return ears;
}

static const struct ear *ear_of(const struct journey_set *set, uint16_t id, uint16_t version)
{
    const struct journey *j = id < set->journey_count ? set->journeys[id] : NULL;
    if (j && j->version == version) return &set->index->ears[id];
    for (uint32_t i = 0; i < set->older_count; i++)
        if (set->older[i] && set->older[i]->id == id && set->older[i]->version == version)
            return &set->index->older[i];
    return NULL;
}

bool journey_hears(const struct journey_set *set, uint16_t id, uint16_t version, uint16_t type, bool changes)
{
    const struct ear *ear = ear_of(set, id, version);
    if (!ear || !ear->bits || (changes && ear->heeds)) return true; /* one that is gone is left at once */
    return type < ear->types && ear->bits[type / 64] >> type % 64 & 1;
}

/* ---- making -------------------------------------------------------------------------------------------------- */

void journey_set_index(struct journey_set *set, struct arena *a)
{
    struct build b = {0};
    each_trigger(set, measure, &b);
    for (uint32_t k = 0; k < LISTEN_KINDS; k++) {
        b.first[k] = ARENA_ARRAY(a, uint32_t, b.ids[k] + 2);
        b.list[k] = ARENA_ARRAY(a, struct listener, b.total[k] + 1);
    }
    each_trigger(set, count_one, &b);
    struct journey_index *index = ARENA_NEW(a, struct journey_index);
    for (uint32_t k = 0; k < LISTEN_KINDS; k++)
        for (uint32_t i = 0; i < b.ids[k]; i++) b.first[k][i + 1] += b.first[k][i];
    each_trigger(set, place, &b);
    for (uint32_t k = 0; k < LISTEN_KINDS;
         k++) { /* placing moved each start to its end: the next one's start */
        memmove(b.first[k] + 1, b.first[k], (b.ids[k] + 1) * sizeof(uint32_t));
        b.first[k][0] = 0;
        index->tables[k] = (struct listen_table){b.ids[k], b.first[k], b.list[k]};
    }
    index->ears = make_ears(set->journeys, set->journey_count, a);
    index->older = make_ears(set->older, set->older_count, a);
    set->index = index;
}

const struct listener *journey_listeners(const struct journey_set *set, enum listen kind, uint16_t id,
                                         uint32_t *count)
{
    *count = 0;
    if (set->journey_count == 0) return NULL;
    CHECK(set->index != NULL);
    const struct listen_table *t = &set->index->tables[kind];
    if (id >= t->ids) return NULL;
    *count = t->first[id + 1] - t->first[id];
    return t->list + t->first[id];
}
