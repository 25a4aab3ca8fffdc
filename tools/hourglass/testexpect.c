/* testexpect.c - `expect` against what happened. The first difference of each kind is said in one line; the timeline
 * follows once. Values are compared as JSON prints them, so that 10 and 10.0 are the same. What the expectations name is
 * there, and of the right form: testtable.c and testcheck.c have seen to it. */
#include <stdio.h>

#include "core/base/check.h"
#include "core/define/scalar.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/testrun.h"
#include "tools/hourglass/view.h"

struct expecting {
    struct test_run *run;
    struct buf *report;
    uint32_t differences;
};

void print_offset(uint32_t seconds, struct buf *out)
{
    if (seconds >= 86400) buf_printf(out, "%ud", seconds / 86400);
    if (seconds % 86400 >= 3600) buf_printf(out, "%uh", seconds % 86400 / 3600);
    if (seconds % 3600 >= 60) buf_printf(out, "%um", seconds % 3600 / 60);
    if (seconds % 60 || seconds == 0) buf_printf(out, "%us", seconds % 60);
}

static struct buf *differ(struct expecting *x, const struct node *at)
{
    x->differences++;
    buf_printf(x->report, "  line %u: ", line_of(at->file, at->at));
    return x->report;
}

/* ---- values ----------------------------------------------------------------------------------------- */

static bool same_value(struct slice got, const struct node *expected)
{
    struct buf packed = {0}, a = {0}, b = {0};
    node_pack(expected, &packed);
    json_print(buf_slice(&packed), 0, &a);
    if (got.n)
        json_print(got, 0, &b);
    else
        buf_put_str(&b, "null");
    bool same = slice_eq(buf_slice(&a), buf_slice(&b));
    buf_free(&packed);
    buf_free(&a);
    buf_free(&b);
    return same;
}

/* ---- the first difference ------------------------------------------------------------------------------- */

/* Whose it is when neither the expectation nor what was found says so: the first person of the test. */
static struct slice first_user(const struct test_case *t)
{
    if (t->event_count == 0) return (struct slice){0};
    const struct test_event *e = &t->events[0];
    struct slice user = e->record.n ? view_text(e->record, "userId") : e->user;
    return user.n ? user : view_text(e->record, "anonymousId");
}

static void differs_here(struct expecting *x, uint32_t at, struct slice user)
{
    if (x->run->differs.found) return;
    x->run->differs.found = true;
    x->run->differs.at = at;
    x->run->differs.user = user.n ? user : first_user(x->run->test);
}

/* The earlier of what was expected and what was found: there the ways part. */
static void differs_at_entry(struct expecting *x, const struct node *entry, const struct notice *n)
{
    const struct node *after = entry->kind == NODE_MAPPING ? node_find(entry, "after") : NULL,
                      *user = entry->kind == NODE_MAPPING ? node_find(entry, "user") : NULL;
    uint32_t at = n ? n->at : machine_now(x->run->machine);
    int64_t seconds;
    if (after && parse_duration(after->text, &seconds) && x->run->test->at + seconds < at)
        at = x->run->test->at + (uint32_t)seconds;
    differs_here(x, at, user ? user->text : n ? n->user : (struct slice){0});
}

/* ---- lists: actions, suppressed, deferred -------------------------------------------------------------- */

static struct slice member(struct slice map, struct slice key)
{
    for (struct items i = items_of(map); items_next(&i);)
        if (slice_eq(i.key, key)) return i.value;
    return (struct slice){0};
}

static bool field_matches(struct expecting *x, const struct notice *n, struct slice key,
                          const struct node *value)
{
    int64_t after;
    if (slice_is(key, "after"))
        return parse_duration(value->text, &after) && n->at == x->run->test->at + after;
    if (slice_is(key, "user")) return slice_eq(n->user, value->text);
    if (slice_is(key, "journey")) return slice_eq(n->journey, value->text);
    if (slice_is(key, "step")) return slice_eq(n->step, value->text);
    if (slice_is(key, "reason")) return slice_eq(n->reason, value->text);
    if (!slice_is(key, "vars") || value->kind != NODE_MAPPING)
        return same_value(member(n->content, key), value);
    for (uint32_t i = 0; i < value->count; i++) /* vars: those named here; there may be more */
        if (!same_value(member(view(n->content, "vars"), node_key(value, i)->text), node_value(value, i)))
            return false;
    return true;
}

static void say_notice(struct expecting *x, const struct notice *n, struct buf *out)
{
    buf_put_str(out, "after ");
    print_offset(n->at - x->run->test->at, out);
    buf_printf(out, " %.*s %.*s.%.*s", SHOWN(n->user), SHOWN(n->journey), SHOWN(n->step));
    if (n->reason.n) buf_printf(out, " (%.*s)", SHOWN(n->reason));
    if (view(n->content, "vars").n > 1) {
        buf_put_u8(out, ' ');
        json_print(view(n->content, "vars"), 0, out);
    }
    buf_put_u8(out, '\n');
}

static void say_field(struct expecting *x, const struct notice *n, struct slice key, const struct node *value)
{
    struct buf packed = {0}, *out = differ(x, value);
    node_pack(value, &packed);
    buf_printf(out, "expected `%.*s: ", SHOWN(key));
    if (value->kind == NODE_SCALAR)
        buf_put_slice(out, value->text);
    else
        json_print(buf_slice(&packed), 0, out);
    buf_put_str(out, "`, found ");
    say_notice(x, n, out);
    buf_free(&packed);
}

static bool entry_matches(struct expecting *x, const struct notice *n, const struct node *entry)
{
    for (uint32_t i = 0; i < entry->count; i++) {
        struct slice key = node_key(entry, i)->text;
        if (field_matches(x, n, key, node_value(entry, i))) continue;
        say_field(x, n, key, node_value(entry, i));
        differs_at_entry(x, entry, n);
        return false;
    }
    return true;
}

static void expect_list(struct expecting *x, const char *what, const struct notices *list,
                        const struct node *expected)
{
    const struct notice *n = list->first;
    for (uint32_t i = 0; i < expected->count; i++, n = n->next) {
        if (!n) {
            buf_printf(differ(x, expected->list[i]), "%s %u did not happen\n", what, i + 1);
            differs_at_entry(x, expected->list[i], NULL);
            return;
        }
        if (!entry_matches(x, n, expected->list[i])) return;
    }
    if (!n) return;
    struct buf *out = differ(x, expected);
    buf_printf(out, "one %s too many: ", what);
    say_notice(x, n, out);
    differs_here(x, n->at, n->user);
}

/* ---- journeys, segments, profiles ------------------------------------------------------------------------ */

static int64_t journey_counter(struct test_run *run, uint16_t journey, struct slice name)
{
#define COUNTER(field)                                                                                       \
    {                                                                                                        \
#field, offsetof(struct journey_counters, field)                                                     \
    }
    static const struct {
        const char *name;
        size_t at;
    } COUNTERS[] = {COUNTER(entered),   COUNTER(active),
                    COUNTER(completed), COUNTER(goal),
                    COUNTER(exited),    COUNTER(timeout),
                    COUNTER(cancelled), COUNTER(moved),
                    COUNTER(converted), COUNTER(converted_touched),
                    COUNTER(ignored),   {"held_out", offsetof(struct journey_counters, held_out.entered)}};
#undef COUNTER
    uint32_t which = 0, count;
    int64_t sum = 0;
    while (which < sizeof COUNTERS / sizeof *COUNTERS && !slice_is(name, COUNTERS[which].name)) which++;
    CHECK(which < sizeof COUNTERS / sizeof *COUNTERS); /* the table of keys has them all */
    for (uint32_t n = 0; n < LOGICAL_SHARDS; n++) {
        const struct shard *s = machine_shard(run->machine, n);
        const struct journey_counters *c = s ? shard_journey_counters(s, &count) : NULL;
        if (c && journey < count) sum += *(const int64_t *)((const char *)&c[journey] + COUNTERS[which].at);
    }
    return sum;
}

static void expect_journeys(struct expecting *x, const struct node *expected)
{
    for (uint32_t i = 0; i < expected->count; i++) {
        const struct node *name = node_key(expected, i), *fields = node_value(expected, i);
        uint16_t id = defset_journey(x->run->set, name->text);
        for (uint32_t k = 0; k < fields->count; k++) {
            const struct node *key = node_key(fields, k), *value = node_value(fields, k);
            int64_t want = 0, got = journey_counter(x->run, id, key->text);
            parse_integer(value->text, &want);
            if (want != got)
                buf_printf(differ(x, value), "%.*s.%.*s: expected %lld, found %lld\n", SHOWN(name->text),
                           SHOWN(key->text), (long long)want, (long long)got);
        }
    }
}

bool find_person(struct test_run *run, struct slice user, struct store **store, row_t *row)
{
    struct hash_secret secret;
    struct key target;
    hash_secret_from_seed(&secret, SLICE("test"));
    for (uint32_t kind = ID_USER; kind <= ID_ANONYMOUS; kind++) {
        struct key key = hash_id(&secret, kind, user);
        struct shard *s = machine_shard(run->machine, key_shard(key));
        if (!s) continue;
        *store = shard_store(s);
        if (store_find(*store, key, row, &target) == FOUND_ROW) return true;
    }
    return false;
}

static int64_t segment_members(struct test_run *run, uint16_t segment)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (machine_shard(run->machine, i))
            n += member_count(shard_store(machine_shard(run->machine, i)), segment);
    return n;
}

/* A list of people who are the members, or how many there are. */
static void expect_segment(struct expecting *x, const struct node *name, const struct node *who, uint16_t id)
{
    int64_t want = who->count, got = segment_members(x->run, id);
    struct store *store;
    row_t row;
    for (uint32_t i = 0; who->kind == NODE_SEQUENCE && i < who->count; i++)
        if (!find_person(x->run, who->list[i]->text, &store, &row) || !member_get(store, row, id))
            buf_printf(differ(x, who->list[i]), "%.*s is not in %.*s\n", SHOWN(who->list[i]->text),
                       SHOWN(name->text));
    if (who->kind == NODE_SCALAR) parse_integer(who->text, &want);
    if (got != want)
        buf_printf(differ(x, who), "%.*s: expected %lld members, found %lld\n", SHOWN(name->text),
                   (long long)want, (long long)got);
}

static void expect_segments(struct expecting *x, const struct node *expected)
{
    for (uint32_t i = 0; i < expected->count; i++) {
        const struct node *name = node_key(expected, i);
        expect_segment(x, name, node_value(expected, i), defset_segment(x->run->set, name->text));
    }
}

/* As it is told: a date is a day. */
static void put_attribute(struct value v, enum declared_type type, struct buf *out)
{
    char text[32];
    if (type == T_DATE && v.kind == V_TIME) {
        iso8601_print(v.i * 1000, text);
        v = value_string(slice_of(text, strlen("2026-01-01")));
    }
    value_write(v, out);
}

/* What is written, as the attribute would hold it. */
static struct value as_attribute(const struct node *n, enum declared_type type, struct buf *packed)
{
    struct value out;
    node_pack(n, packed);
    struct mp m = mp_of(buf_slice(packed));
    struct value v = value_read(&m);
    return value_fit(v, type, false, &out) ? out : v;
}

static void expect_attribute(struct expecting *x, const struct node *name, const struct node *expected,
                             struct store *store, row_t row)
{
    const struct schema *schema = &x->run->set->schema;
    uint16_t id = schema_find(schema, NAME_ATTRIBUTE, name->text);
    enum declared_type type = schema->attributes[id].type;
    struct buf packed = {0}, wanted = {0}, got = {0}, wanted_text = {0}, got_text = {0};
    put_attribute(as_attribute(expected, type, &packed), type, &wanted);
    put_attribute(attribute_get(store, row, id), type, &got);
    json_print(buf_slice(&wanted), 0, &wanted_text);
    json_print(buf_slice(&got), 0, &got_text);
    if (!slice_eq(buf_slice(&wanted_text), buf_slice(&got_text)))
        buf_printf(differ(x, expected), "%.*s: expected %.*s, found %.*s\n", SHOWN(name->text),
                   SHOWN(buf_slice(&wanted_text)), SHOWN(buf_slice(&got_text)));
    buf_free(&packed);
    buf_free(&wanted);
    buf_free(&got);
    buf_free(&wanted_text);
    buf_free(&got_text);
}

static void expect_attributes(struct expecting *x, const struct node *user, const struct node *fields)
{
    struct store *store;
    row_t row;
    if (!find_person(x->run, user->text, &store, &row)) {
        buf_printf(differ(x, user), "there is no person '%.*s'\n", SHOWN(user->text));
        return;
    }
    for (uint32_t k = 0; k < fields->count; k++)
        expect_attribute(x, node_key(fields, k), node_value(fields, k), store, row);
}

/* {u1: {city: Sochi}}: attributes at the end. */
static void expect_profiles(struct expecting *x, const struct node *expected)
{
    for (uint32_t i = 0; i < expected->count; i++)
        expect_attributes(x, node_key(expected, i), node_value(expected, i));
}

/* ---- all together ---------------------------------------------------------------------------------------- */

typedef void expectation(struct expecting *x, const struct node *expected);

static void expect_actions(struct expecting *x, const struct node *list)
{
    expect_list(x, "action", &x->run->actions, list);
}
static void expect_suppressed(struct expecting *x, const struct node *list)
{
    expect_list(x, "suppressed send", &x->run->suppressed, list);
}
static void expect_deferred(struct expecting *x, const struct node *list)
{
    expect_list(x, "deferred send", &x->run->deferred, list);
}

static void expect_key(struct expecting *x, const struct node *key, const struct node *value)
{
    static const struct {
        const char *key;
        expectation *check;
    } EXPECTATIONS[] = {{"actions", expect_actions},   {"suppressed", expect_suppressed},
                        {"deferred", expect_deferred}, {"journeys", expect_journeys},
                        {"segments", expect_segments}, {"profile", expect_profiles}};
    for (size_t i = 0; i < sizeof EXPECTATIONS / sizeof *EXPECTATIONS; i++)
        if (slice_is(key->text, EXPECTATIONS[i].key)) EXPECTATIONS[i].check(x, value);
}

/* What nobody got has no outcome: the test is not about what it seems to be. */
static void expect_answers_to_something(struct expecting *x)
{
    const struct test_event *e = x->run->answers_nothing;
    if (!e) return;
    buf_printf(differ(x, e->node), "%.*s %.*s, but that step had sent %.*s nothing by then\n",
               SHOWN(e->outcome), SHOWN(e->of), SHOWN(e->user));
    differs_here(x, x->run->test->at + e->after, e->user);
}

bool expectations_met(struct test_run *run, struct buf *report)
{
    struct expecting x = {.run = run, .report = report};
    const struct node *expect = run->test->expect;
    expect_answers_to_something(&x);
    for (uint32_t i = 0; i < expect->count; i++) expect_key(&x, node_key(expect, i), node_value(expect, i));
    if (x.differences == 0) return true;
    if (!run->differs.found) differs_here(&x, machine_now(run->machine), (struct slice){0});
    return false;
}

void print_timeline(const struct test_run *run, struct buf *out)
{
    struct buf offset = {0};
    buf_put_str(out, "  what happened:\n");
    for (const struct happened *h = run->first; h; h = h->next) {
        buf_clear(&offset);
        print_offset(h->at - run->test->at, &offset);
        buf_printf(out, "  %s%12.*s  %.*s\n", h->at == run->differs.at ? ">" : " ", (int)offset.n,
                   (const char *)offset.p, SHOWN(h->text));
    }
    buf_free(&offset);
}
