/* history.c - pages of profile.export, and kept events as messages again. */
#include "tools/hourglass/history.h"

#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/hourglass/cli.h"
#include "tools/hourglass/view.h"

static void *room(void *list, uint64_t count, uint64_t *capacity, size_t size)
{
    if (count < *capacity) return list;
    *capacity = *capacity ? 2 * *capacity : 1024;
    list = realloc(list, *capacity * size);
    if (!list) die(EXIT_FAILED, "no memory for the history of so many people");
    return list;
}

static uint64_t keep(struct history *h, struct slice s)
{
    uint64_t at = h->bytes.n;
    buf_put_slice(&h->bytes, s);
    return at;
}

static void pack_text(msgpack_packer *pk, struct slice s) { msgpack_pack_str_with_body(pk, s.p, s.n); }

/* ---- fetching ------------------------------------------------------------------------------------------ */

static uint32_t name_index(struct history *h, struct slice text)
{
    for (uint32_t i = 0; i < h->name_count; i++)
        if (slice_eq(h->names[i].text, text)) return i;
    h->names = room(h->names, h->name_count, &h->name_room, sizeof *h->names);
    h->names[h->name_count] = (struct past_name){arena_slice(&h->arena, text), 0};
    return h->name_count++;
}

/* {attribute: value ..., consent: {channel: {state: ...}}} */
static void keep_traits(struct history *h, struct past_person *p, struct slice person)
{
    struct items attributes = items_of(view(person, "attributes")),
                 consent = items_of(view(person, "consent"));
    struct buf b = {0};
    msgpack_packer pk;
    h->with_attributes += attributes.left != 0;
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    msgpack_pack_map(&pk, attributes.left + (consent.left != 0));
    while (items_next(&attributes)) {
        struct items pair = items_of(attributes.value);
        pack_text(&pk, attributes.key);
        items_next(&pair);
        buf_put_slice(&b, pair.value);
    }
    if (consent.left) {
        pack_text(&pk, SLICE("consent"));
        msgpack_pack_map(&pk, consent.left);
        while (items_next(&consent)) {
            pack_text(&pk, consent.key);
            msgpack_pack_map(&pk, 1);
            pack_text(&pk, SLICE("state"));
            buf_put_slice(&b, consent.value);
        }
    }
    p->traits = keep(h, buf_slice(&b));
    p->traits_bytes = (uint32_t)b.n;
    buf_free(&b);
}

static void take_events(struct history *h, uint32_t person, struct slice name, struct slice list)
{
    uint32_t index = name_index(h, name);
    for (struct items i = items_of(list); items_next(&i);) {
        struct items pair = items_of(i.value);
        struct mp at;
        h->events = room(h->events, h->event_count, &h->event_room, sizeof *h->events);
        items_next(&pair);
        at = mp_of(pair.value);
        struct past_event *e = &h->events[h->event_count++];
        *e = (struct past_event){.at = (uint32_t)mp_int(&at), .person = person, .name = index};
        items_next(&pair);
        e->properties = keep(h, pair.value);
        h->names[index].events++;
    }
}

static void take_person(struct history *h, struct slice person)
{
    struct slice id = view_text(person, "user_id");
    h->people = room(h->people, h->person_count, &h->person_room, sizeof *h->people);
    struct past_person *p = &h->people[h->person_count];
    *p = (struct past_person){.known = id.n != 0};
    if (!id.n) {
        struct items aliases = items_of(view(person, "anonymous_ids"));
        id = items_next(&aliases) ? view_text(aliases.value, "") : view_text(person, "key");
    }
    p->id = keep(h, id);
    p->id_bytes = id.n;
    keep_traits(h, p, person);
    for (struct items i = items_of(view(person, "events")); items_next(&i);)
        take_events(h, h->person_count, i.key, i.value);
    h->folded += (uint64_t)view_int(person, "folded");
    h->undeclared += (uint64_t)view_int(person, "undeclared");
    h->topics += (uint64_t)view_int(person, "consent_topics");
    h->merged += p->known && items_of(view(person, "anonymous_ids")).left;
    h->listed += items_of(view(person, "lists")).left;
    h->person_count++;
}

void history_fetch(struct rpc *rpc, struct history *out)
{
    *out = (struct history){0};
    arena_init(&out->arena);
    for (int64_t after = 0;;) {
        struct request r = {0};
        request_int(&r, "after", after);
        request_int(&r, "limit", 1024);
        struct slice page = rpc_call_or_die(rpc, "profile.export", &r);
        for (struct items i = items_of(view(page, "people")); items_next(&i);) take_person(out, i.value);
        uint32_t as_of = (uint32_t)view_int(page, "as_of");
        if (as_of > out->as_of) out->as_of = as_of;
        after = view_int(page, "next");
        if (after == 0) return; /* nil; a page never leads back to the first */
    }
}

/* By time; in one second who came first in the export, and what identifies before what happens. */
static int by_time(const void *a, const void *b, void *names)
{
    const struct past_event *x = a, *y = b;
    const struct past_name *name = names;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    bool first = slice_is(name[x->name].text, "identify"), second = slice_is(name[y->name].text, "identify");
    if (first != second) return first ? -1 : 1;
    return x->properties < y->properties ? -1 : x->properties > y->properties;
}

void history_sort(struct history *h)
{
    if (h->event_count) qsort_r(h->events, h->event_count, sizeof *h->events, by_time, h->names);
}

void history_free(struct history *h)
{
    arena_free(&h->arena);
    buf_free(&h->bytes);
    free(h->people);
    free(h->events);
    free(h->names);
}

/* ---- messages -------------------------------------------------------------------------------------------- */

struct context_value {
    struct slice path, value; /* what is left of "campaign.source" */
};

static struct slice head_of(struct slice path)
{
    const uint8_t *dot = path.n ? memchr(path.p, '.', path.n) : NULL;
    return dot ? slice_of(path.p, (size_t)(dot - path.p)) : path;
}

/* {campaign: {source: x, name: y}} out of the two paths. Sorted by path, so that equal heads stand together. */
static void pack_context(msgpack_packer *pk, struct buf *out, struct context_value *list, uint32_t count)
{
    uint32_t heads = 0;
    for (uint32_t i = 0; i < count; i++)
        heads += i == 0 || !slice_eq(head_of(list[i].path), head_of(list[i - 1].path));
    msgpack_pack_map(pk, heads);
    for (uint32_t from = 0, to; from < count; from = to) {
        struct slice head = head_of(list[from].path);
        bool leaf = head.n == list[from].path.n;
        for (to = from + 1; to < count && slice_eq(head_of(list[to].path), head);) to++;
        pack_text(pk, head);
        if (leaf) {
            buf_put_slice(out, list[from].value);
            continue;
        }
        for (uint32_t i = from; i < to; i++)
            list[i].path = slice_of(list[i].path.p + head.n + 1, list[i].path.n - head.n - 1);
        pack_context(pk, out, &list[from], to - from);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct slice *x = &((const struct context_value *)a)->path,
                       *y = &((const struct context_value *)b)->path;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c ? c : (int)x->n - (int)y->n;
}

static struct slice context_path(const struct schema *schema, uint16_t type, struct slice name)
{
    const struct schema_event *e = schema_event(schema, type);
    for (uint32_t i = 0; e && i < e->prop_count; i++)
        if (e->props[i].live && slice_eq(e->props[i].name, name)) return e->props[i].from;
    return (struct slice){0};
}

static const char *call_of(struct slice name)
{
    static const char *const CALLS[] = {"page", "screen", "identify", "group"};
    for (uint32_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++)
        if (slice_is(name, CALLS[i])) return CALLS[i];
    return "track";
}

void history_message(struct history *h, uint64_t event, const struct schema *schema, struct buf *out)
{
    const struct past_event *e = &h->events[event];
    struct past_person *p = &h->people[e->person];
    struct slice name = h->names[e->name].text;
    struct slice map = slice_of(h->bytes.p + e->properties, h->bytes.n - e->properties);
    struct context_value context[PROPS_PER_EVENT_MAX + 1];
    uint32_t contexts = 0, properties = 0;
    uint16_t type = schema_find(schema, NAME_EVENT, name);
    char time[32], id[32];
    msgpack_packer pk;
    buf_clear(out);
    if (!p->told)
        context[contexts++] =
            (struct context_value){SLICE("traits"), slice_of(h->bytes.p + p->traits, p->traits_bytes)};
    p->told = true;
    for (struct items i = items_of(map); items_next(&i); properties++) {
        struct slice path = context_path(schema, type, i.key);
        if (path.n && contexts <= PROPS_PER_EVENT_MAX)
            context[contexts++] = (struct context_value){path, i.value};
    }
    if (contexts > 1) qsort(context, contexts, sizeof *context, by_path);
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 7);
    pack_text(&pk, SLICE("type"));
    pack_text(&pk, slice_str(call_of(name)));
    pack_text(&pk, p->known ? SLICE("userId") : SLICE("anonymousId"));
    pack_text(&pk, slice_of(h->bytes.p + p->id, p->id_bytes));
    pack_text(&pk, SLICE("event"));
    pack_text(&pk, name);
    pack_text(&pk, SLICE("properties"));
    msgpack_pack_map(&pk, properties);
    for (struct items i = items_of(map); items_next(&i);) {
        pack_text(&pk, i.key);
        buf_put_slice(out, i.value);
    }
    pack_text(&pk, SLICE("context"));
    pack_context(&pk, out, context, contexts);
    pack_text(&pk, SLICE("messageId"));
    pack_text(&pk, slice_of(id, (size_t)snprintf(id, sizeof id, "%llu", (unsigned long long)event)));
    pack_text(&pk, SLICE("timestamp"));
    pack_text(&pk, slice_of(time, iso8601_print((int64_t)e->at * 1000, time)));
}
