/* tally.c - counting a dry run. */
#include "tools/hourglass/tally.h"

#include <msgpack/pack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/hourglass/cli.h"

static void *checked(void *p)
{
    if (!p) die(EXIT_FAILED, "no memory");
    return p;
}

void tally_init(struct tally *t, const struct defset *set)
{
    *t = (struct tally){.set = set};
    t->held = checked(calloc(set->journeys.journey_count + 1u, sizeof *t->held));
}

void tally_free(struct tally *t)
{
    free(t->days);
    free(t->people);
    free(t->held);
}

static void count_action(struct tally *t, const struct action *a)
{
    uint32_t day = a->created_at / 86400;
    t->actions++;
    for (uint64_t i = t->day_count; i-- > 0 && t->days[i].day == day;)
        if (t->days[i].channel == a->channel) {
            t->days[i].actions++;
            return;
        }
    if (t->day_count == t->day_room) {
        t->day_room = t->day_room ? 2 * t->day_room : 256;
        t->days = checked(realloc(t->days, t->day_room * sizeof *t->days));
    }
    t->days[t->day_count++] = (struct tally_day){day, a->channel, 1};
}

static void count_transition(struct tally *t, const struct transition *n)
{
    bool deferred = n->kind == TRANSITION_DEFER;
    if ((deferred || n->kind == TRANSITION_SUPPRESS) && n->journey < t->set->journeys.journey_count)
        t->held[n->journey][deferred][n->decision < DECISION_COUNT ? n->decision : 0]++;
    if (n->kind != TRANSITION_ENTER) return;
    if (t->entry_count == t->people_room) {
        t->people_room = t->people_room ? 2 * t->people_room : 1024;
        t->people = checked(realloc(t->people, t->people_room * sizeof *t->people));
    }
    t->people[t->entry_count++] = n->person;
}

void tally_effect(void *tally, const struct effect *e)
{
    if (e->kind == EFFECT_ACTION) count_action(tally, &e->action);
    if (e->kind == EFFECT_TRANSITION) count_transition(tally, &e->transition);
}

/* ---- the report ----------------------------------------------------------------------------------------- */

struct packing {
    msgpack_packer pk;
    struct tally *t;
    struct machine *m;
    const struct history *h;
};

static void text(struct packing *p, struct slice s) { msgpack_pack_str_with_body(&p->pk, s.p, s.n); }

static void pair(struct packing *p, const char *key, uint64_t v)
{
    text(p, slice_str(key));
    msgpack_pack_uint64(&p->pk, v);
}

static int by_key(const void *a, const void *b) { return memcmp(a, b, sizeof(struct key)); }

static uint64_t different_people(struct tally *t)
{
    uint64_t n = 0;
    if (t->entry_count) qsort(t->people, t->entry_count, sizeof *t->people, by_key);
    for (uint64_t i = 0; i < t->entry_count; i++) n += i == 0 || !key_eq(t->people[i], t->people[i - 1]);
    return n;
}

static void pack_held(struct packing *p, const char *key, const uint64_t *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < DECISION_COUNT; i++) n += list[i] != 0;
    text(p, slice_str(key));
    msgpack_pack_map(&p->pk, n);
    for (uint32_t i = 0; i < DECISION_COUNT; i++)
        if (list[i]) pair(p, decision_name((enum decision)i), list[i]);
}

/* The counters of all shards together; journey_counters is nothing but 64-bit numbers. */
static struct journey_counters counters(struct packing *p, uint32_t journey)
{
    struct journey_counters sum = {0};
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        uint32_t count;
        const struct journey_counters *c = shard_journey_counters(machine_shard(p->m, i), &count);
        if (journey >= count) continue;
        sum.entered += c[journey].entered;
        sum.active += c[journey].active;
        sum.completed += c[journey].completed;
        sum.goal += c[journey].goal;
        sum.exited += c[journey].exited;
        sum.timeout += c[journey].timeout;
        sum.converted += c[journey].converted;
        sum.revenue_micros += c[journey].revenue_micros;
        sum.held_out.entered += c[journey].held_out.entered;
    }
    return sum;
}

static bool running(const struct journey *j) { return j && j->state != JOURNEY_DRAFT; }

static void pack_journeys(struct packing *p)
{
    const struct journey_set *set = &p->t->set->journeys;
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->journey_count; i++) n += running(set->journeys[i]);
    text(p, SLICE("journeys"));
    msgpack_pack_array(&p->pk, n);
    for (uint32_t i = 0; i < set->journey_count; i++) {
        if (!running(set->journeys[i])) continue;
        struct journey_counters c = counters(p, i);
        msgpack_pack_map(&p->pk, 12);
        text(p, SLICE("name"));
        text(p, set->journeys[i]->name);
        pair(p, "entered", c.entered);
        pair(p, "inside", c.active);
        pair(p, "completed", c.completed);
        pair(p, "goal", c.goal);
        pair(p, "exited", c.exited);
        pair(p, "timeout", c.timeout);
        pair(p, "converted", c.converted);
        pair(p, "held_out", c.held_out.entered);
        text(p, SLICE("revenue"));
        msgpack_pack_double(&p->pk, (double)c.revenue_micros / 1e6);
        pack_held(p, "suppressed", p->t->held[i][0]);
        pack_held(p, "deferred", p->t->held[i][1]);
    }
}

static void pack_days(struct packing *p, uint16_t channel, uint32_t count)
{
    char date[32];
    text(p, SLICE("days"));
    msgpack_pack_map(&p->pk, count);
    for (uint64_t i = 0; i < p->t->day_count; i++) {
        const struct tally_day *d = &p->t->days[i];
        if (d->channel != channel) continue;
        iso8601_print((int64_t)d->day * 86400000, date);
        text(p, slice_of(date, 10));
        msgpack_pack_uint64(&p->pk, d->actions);
    }
}

static void pack_channels(struct packing *p)
{
    const struct journey_set *set = &p->t->set->journeys;
    uint32_t used = 0, *days = checked(calloc(set->channel_count + 1u, sizeof *days));
    uint64_t *total = checked(calloc(set->channel_count + 1u, sizeof *total));
    for (uint64_t i = 0; i < p->t->day_count; i++) {
        const struct tally_day *d = &p->t->days[i];
        if (d->channel >= set->channel_count) continue;
        used += days[d->channel]++ == 0;
        total[d->channel] += d->actions;
    }
    text(p, SLICE("channels"));
    msgpack_pack_array(&p->pk, used);
    for (uint16_t i = 0; i < set->channel_count; i++) {
        if (!days[i]) continue;
        msgpack_pack_map(&p->pk, 3);
        text(p, SLICE("name"));
        text(p, set->channels[i].name);
        pair(p, "actions", total[i]);
        pack_days(p, i, days[i]);
    }
    free(days);
    free(total);
}

/* ---- what history does not say ------------------------------------------------------------------------------ */

static void say(struct buf *list, uint32_t *count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct buf *list, uint32_t *count, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    msgpack_packer pk;
    msgpack_packer_init(&pk, list, buf_msgpack_write);
    size_t length = n < (int)sizeof line ? (size_t)n : sizeof line - 1;
    msgpack_pack_str_with_body(&pk, line, length);
    (*count)++;
}

/* Does anybody have the attribute, or (type) an entry with the property, behind all that was played? */
static bool somebody_has(const struct packing *p, uint16_t type, uint16_t id)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        const struct store *s = shard_store(machine_shard(p->m, i));
        for (uint32_t slot = 0; slot < s->row_limit; slot++) {
            struct history_view h;
            row_t row = {slot};
            if (!(s->rows[slot].flags & ROW_USED)) continue;
            if (type == ID_NONE && attribute_get(s, row, id).kind > V_NULL) return true;
            if (type == ID_NONE || !behaviour_view(s, row, type, &h)) continue;
            for (uint32_t k = 0; k < h.n; k++)
                if (history_cell(&h, k, id) != CELL_ABSENT) return true;
        }
    }
    return false;
}

static void say_missing_properties(const struct packing *p, const struct schema_event *e, struct buf *list,
                                   uint32_t *count)
{
    for (uint16_t i = 0; i < e->prop_count; i++)
        if (e->props[i].live && !somebody_has(p, e->id, i))
            say(list, count, "no kept event '%.*s' has '%.*s'", SHOWN(e->name), SHOWN(e->props[i].name));
}

/* There without a word in the files, which may not care. */
static bool is_built_in(struct slice attribute)
{
    return slice_is(attribute, "timezone") || slice_is(attribute, "language") ||
           slice_is(attribute, "push_tokens");
}

static void say_missing_attributes(const struct packing *p, struct buf *list, uint32_t *count)
{
    const struct schema *schema = &p->t->set->schema;
    for (uint16_t i = 0; i < schema->attribute_count; i++)
        if (schema->attributes[i].live && !is_built_in(schema->attributes[i].name) &&
            !somebody_has(p, ID_NONE, i))
            say(list, count, "nobody has '%.*s'", SHOWN(schema->attributes[i].name));
}

static void say_missing_events(struct packing *p, struct buf *list, uint32_t *count)
{
    const struct schema *schema = &p->t->set->schema;
    for (uint32_t i = TYPE_DECLARED_BASE; i < schema->event_count; i++) {
        const struct schema_event *e = schema_event(schema, i);
        bool kept = false;
        for (uint32_t k = 0; e && k < p->h->name_count; k++)
            kept |= schema_find(schema, NAME_EVENT, p->h->names[k].text) == i;
        if (e && e->live && !kept) say(list, count, "nobody has a kept event '%.*s'", SHOWN(e->name));
        if (e && e->live && kept) say_missing_properties(p, e, list, count);
    }
    for (uint32_t k = 0; k < p->h->name_count; k++)
        if (schema_find(schema, NAME_EVENT, p->h->names[k].text) == ID_NONE)
            say(list, count, "%llu events '%.*s' are not declared any more",
                (unsigned long long)p->h->names[k].events, SHOWN(p->h->names[k].text));
}

#define NUMBER(x) (unsigned long long)(x)
static void pack_unknown(struct packing *p)
{
    struct buf list = {0};
    uint32_t count = 0;
    const struct history *h = p->h;
    if (h->with_attributes)
        say(&list, &count,
            "attributes and consent of %llu people: taken as they are now, from their first kept event on",
            NUMBER(h->with_attributes));
    if (h->merged)
        say(&list, &count, "%llu people who were anonymous at first: known from the beginning here",
            NUMBER(h->merged));
    if (h->folded) say(&list, &count, "%llu events folded into days: not played", NUMBER(h->folded));
    if (h->undeclared)
        say(&list, &count, "%llu events that the server does not declare: only counted there, not played",
            NUMBER(h->undeclared));
    if (h->topics) say(&list, &count, "%llu consents to single topics: not played", NUMBER(h->topics));
    if (h->listed) say(&list, &count, "%llu list memberships: nobody is in a list here", NUMBER(h->listed));
    say_missing_events(p, &list, &count);
    say_missing_attributes(p, &list, &count);
    say(&list, &count, "what people would have done because of these messages");
    text(p, SLICE("unknown"));
    msgpack_pack_array(&p->pk, count);
    buf_put_slice(p->pk.data, buf_slice(&list));
    buf_free(&list);
}

void tally_pack(struct tally *t, struct machine *m, const struct history *h, struct slice inside,
                struct buf *out)
{
    struct packing p = {.t = t, .m = m, .h = h};
    msgpack_packer_init(&p.pk, out, buf_msgpack_write);
    msgpack_pack_map(&p.pk, 11);
    pair(&p, "from", h->event_count ? h->events[0].at : h->as_of);
    pair(&p, "until", h->as_of);
    pair(&p, "people", h->person_count);
    pair(&p, "events", t->messages);
    pair(&p, "affected", different_people(t));
    pair(&p, "entries", t->entry_count);
    pair(&p, "actions", t->actions);
    pack_journeys(&p);
    pack_channels(&p);
    text(&p, SLICE("people_inside"));
    buf_put_slice(out, inside);
    pack_unknown(&p);
}
