/* testknown.c - what the engine knew of a person at the second where a test went another way than expected: the same
 * things that its decisions are made of. */
#include "tools/hourglass/testrun.h"

#include "core/journey/parts.h"
#include "core/model/history.h"
#include "tools/hourglass/json.h"

struct known {
    struct test_run *run;
    struct buf *out;
    const struct defset *set;
    struct store *store;
    row_t row;
    uint32_t items; /* on the line at hand */
};

/* The next thing on a line; the line begins with the first. */
static struct buf *item(struct known *k, const char *what)
{
    if (k->items++)
        buf_put_str(k->out, "; ");
    else
        buf_printf(k->out, "    %-11s ", what);
    return k->out;
}

static void end_line(struct known *k)
{
    if (k->items) buf_put_u8(k->out, '\n');
    k->items = 0;
}

static void put_at(struct known *k, uint32_t at)
{
    if (at >= k->run->test->at)
        print_offset(at - k->run->test->at, k->out);
    else
        buf_put_str(k->out, "before the start");
}

static void put_attributes(struct known *k)
{
    struct buf packed = {0};
    for (uint16_t i = 0; i < k->set->schema.attribute_count; i++) {
        struct value v = attribute_get(k->store, k->row, i);
        if (v.kind <= V_NULL) continue;
        buf_printf(item(k, "attributes"), "%.*s ", SHOWN(k->set->schema.attributes[i].name));
        buf_clear(&packed);
        value_write(v, &packed);
        json_print(buf_slice(&packed), 0, k->out);
    }
    end_line(k);
    buf_free(&packed);
}

static void put_consent(struct known *k)
{
    static const char *const WORDS[] = {"", "denied", "granted", "confirmed", "blocked"};
    for (uint16_t i = 0; i < k->set->journeys.channel_count; i++) {
        enum consent_state state = consent_get(k->store, k->row, i, 0);
        if (state != CONSENT_UNKNOWN && k->set->journeys.channels[i].name.n)
            buf_printf(item(k, "consent"), "%.*s %s", SHOWN(k->set->journeys.channels[i].name), WORDS[state]);
    }
    end_line(k);
}

static void put_events(struct known *k)
{
    uint16_t types[64];
    struct history_view h;
    uint32_t n = behaviour_types(k->store, k->row, types, 64);
    for (uint32_t i = 0; i < n && i < 64; i++) {
        if (types[i] >= k->set->schema.event_count || !behaviour_view(k->store, k->row, types[i], &h))
            continue;
        buf_printf(item(k, "events"), "%.*s %u, last at ", SHOWN(k->set->schema.events[types[i]].name),
                   h.count);
        put_at(k, h.last);
    }
    end_line(k);
}

static void put_segments(struct known *k)
{
    for (uint16_t i = 0; i < k->set->segments.count; i++)
        if (k->set->segments.list[i].live && member_get(k->store, k->row, i))
            buf_put_slice(item(k, "segments"), k->set->segments.list[i].name);
    end_line(k);
}

static void put_instance(struct known *k, const struct instance *head)
{
    const struct journey *j = journey_version(&k->set->journeys, head->journey, head->version);
    if (!j || head->state != INSTANCE_ACTIVE) return;
    struct buf *out = item(k, "inside of");
    buf_printf(out, "%.*s since ", SHOWN(j->name));
    put_at(k, head->entered_at);
    if (head->step < j->step_count) buf_printf(out, ", at step %.*s", SHOWN(j->steps[head->step].id));
    if (head->due == UINT32_MAX) return;
    buf_put_str(out, " until ");
    put_at(k, head->due);
}

static void put_journeys(struct known *k)
{
    for (const struct instance *i = NULL; (i = instance_after(k->store, k->row, i));) put_instance(k, i);
    end_line(k);
    for (uint16_t i = 0; i < k->set->journeys.journey_count; i++) {
        const struct journey_memory *m = memory_find(k->store, k->row, i);
        if (!m || !k->set->journeys.journeys[i]) continue;
        buf_printf(item(k, "decided"), "%.*s: %s at ", SHOWN(k->set->journeys.journeys[i]->name),
                   decision_text((enum decision)m->reason));
        put_at(k, m->decided_at);
    }
    end_line(k);
}

void known_print(struct test_run *run, struct slice user, uint32_t at, struct buf *out)
{
    struct known k = {.run = run, .out = out, .set = run->set, .items = 0};
    buf_printf(out, "  what was known of %.*s at ", SHOWN(user));
    put_at(&k, at);
    if (!find_person(run, user, &k.store, &k.row)) {
        buf_put_str(out, ": nobody of that name\n");
        return;
    }
    buf_put_str(out, ":\n");
    put_attributes(&k);
    put_consent(&k);
    put_events(&k);
    put_segments(&k);
    put_journeys(&k);
}
