/* testfile.c - YAML to test cases. Messages are packed here, so that running a test is only applying records. */
#include "tools/hourglass/testfile.h"

#include <errno.h>
#include <ftw.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/define/scalar.h"
#include "core/define/table.h"
#include "core/model/value.h"
#include "tools/hourglass/cli.h"

struct reading {
    struct arena *arena;
    struct diagnostics *d;
    struct test_list *out;
    struct test_case *test;
    uint32_t capacity; /* of test->events */
};

/* ---- values ---------------------------------------------------------------------------------------- */

static void pack_text(msgpack_packer *pk, struct slice s) { msgpack_pack_str_with_body(pk, s.p, s.n); }

static void pack_scalar(const struct node *n, msgpack_packer *pk)
{
    int64_t i;
    double d;
    bool b;
    if (n->style != STYLE_PLAIN)
        pack_text(pk, n->text);
    else if (text_is_null(n->text))
        msgpack_pack_nil(pk);
    else if (parse_bool(n->text, &b))
        b ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    else if (parse_integer(n->text, &i))
        msgpack_pack_int64(pk, i);
    else if (parse_number(n->text, &d))
        msgpack_pack_double(pk, d);
    else
        pack_text(pk, n->text);
}

void node_pack(const struct node *n, struct buf *out)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    if (n->kind == NODE_SCALAR) pack_scalar(n, &pk);
    if (n->kind == NODE_SEQUENCE) msgpack_pack_array(&pk, n->count);
    if (n->kind == NODE_MAPPING) msgpack_pack_map(&pk, n->count);
    for (uint32_t i = 0; n->kind == NODE_SEQUENCE && i < n->count; i++) node_pack(n->list[i], out);
    for (uint32_t i = 0; n->kind == NODE_MAPPING && i < n->count; i++) {
        pack_text(&pk, node_key(n, i)->text);
        node_pack(node_value(n, i), out);
    }
}

/* Its form is known to be right. */
static uint32_t seconds_of(const struct node *n)
{
    int64_t s = 0;
    parse_duration(n->text, &s);
    return (uint32_t)s;
}

/* ---- messages ---------------------------------------------------------------------------------------- */

static struct test_event *add_event(struct reading *r, struct node *node, uint32_t after)
{
    struct test_case *t = r->test;
    if (t->event_count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 16;
        struct test_event *grown = ARENA_ARRAY(r->arena, struct test_event, r->capacity);
        if (t->event_count) memcpy(grown, t->events, t->event_count * sizeof *grown);
        t->events = grown;
    }
    struct test_event *e = &t->events[t->event_count++];
    *e = (struct test_event){.after = after, .node = node};
    return e;
}

/* messageId and timestamp come last; a test may give its own messageId to repeat one. */
static void pack_stamp(struct reading *r, msgpack_packer *pk, uint32_t after, bool own_id)
{
    char text[64];
    if (!own_id) {
        pack_text(pk, SLICE("messageId"));
        snprintf(text, sizeof text, "test-%u", r->test->event_count);
        pack_text(pk, slice_str(text));
    }
    pack_text(pk, SLICE("timestamp"));
    uint32_t n = iso8601_print(((int64_t)r->test->at + after) * 1000, text);
    pack_text(pk, slice_of(text, n));
}

struct slice message_call(const struct node *event)
{
    const struct node *type = node_find(event, "type"), *name = node_find(event, "event");
    if (type) return type->text;
    if (name && word_in(name->text, "page|screen|identify", NULL)) return name->text;
    return !name && node_find(event, "traits") ? SLICE("identify") : SLICE("track");
}

static void read_message(struct reading *r, struct node *n, uint32_t after)
{
    struct buf b = {0};
    msgpack_packer pk;
    bool has_type = node_find(n, "type"), own_id = node_find(n, "messageId");
    uint32_t pairs =
        n->count - 1 + !has_type + !own_id + 1; /* after leaves; type, messageId, timestamp come */
    struct test_event *e = add_event(r, n, after);
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    msgpack_pack_map(&pk, pairs);
    for (uint32_t i = 0; i < n->count; i++) {
        if (slice_is(node_key(n, i)->text, "after")) continue;
        pack_text(&pk, node_key(n, i)->text);
        node_pack(node_value(n, i), &b);
    }
    if (!has_type) pack_text(&pk, SLICE("type"));
    if (!has_type) pack_text(&pk, message_call(n));
    pack_stamp(r, &pk, after, own_id);
    e->record = arena_slice(r->arena, buf_slice(&b));
    buf_free(&b);
}

static void read_event(struct reading *r, struct node *n)
{
    uint32_t after = seconds_of(node_find(n, "after"));
    struct node *outcome = node_find(n, "outcome"), *of = node_find(n, "of"), *user = node_find(n, "userId");
    if (!outcome && !of) {
        read_message(r, n, after);
        return;
    }
    if (!outcome || !of || !user) {
        report_wrong(r->d, n, "{after: 1h, userId: u1, outcome: opened, of: STEP}",
                     "an outcome names its userId and the step it is `of`");
        return;
    }
    struct test_event *e = add_event(r, n, after);
    e->user = user->text;
    e->outcome = outcome->text;
    e->of = of->text;
}

/* ---- what is given -------------------------------------------------------------------------------------- */

/* {email: true, sms: denied, ads: {state: granted, ...}} as an identify's traits.consent. */
static void pack_consent(const struct node *consent, struct buf *b)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, buf_msgpack_write);
    pack_text(&pk, SLICE("consent"));
    msgpack_pack_map(&pk, consent->count);
    for (uint32_t i = 0; i < consent->count; i++) {
        const struct node *v = node_value(consent, i);
        bool yes;
        pack_text(&pk, node_key(consent, i)->text);
        if (v->kind == NODE_MAPPING) {
            node_pack(v, b);
            continue;
        }
        msgpack_pack_map(&pk, 2);
        pack_text(&pk, SLICE("state"));
        pack_text(&pk, !parse_bool(v->text, &yes) ? v->text : yes ? SLICE("granted") : SLICE("denied"));
        pack_text(&pk, SLICE("source"));
        pack_text(&pk, SLICE("test"));
    }
}

static void given_person(struct reading *r, const struct node *user, struct node *n,
                         const struct node *traits, const struct node *consent)
{
    struct buf b = {0};
    msgpack_packer pk;
    uint32_t count = (traits ? traits->count : 0) + (consent != NULL);
    struct test_event *e = add_event(r, n, 0);
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    msgpack_pack_map(&pk, 5);
    pack_text(&pk, SLICE("type"));
    pack_text(&pk, SLICE("identify"));
    pack_text(&pk, SLICE("userId"));
    pack_text(&pk, user->text);
    pack_text(&pk, SLICE("traits"));
    msgpack_pack_map(&pk, count);
    for (uint32_t i = 0; traits && i < traits->count; i++) {
        pack_text(&pk, node_key(traits, i)->text);
        node_pack(node_value(traits, i), &b);
    }
    if (consent) pack_consent(consent, &b);
    pack_stamp(r, &pk, 0, false);
    e->record = arena_slice(r->arena, buf_slice(&b));
    buf_free(&b);
}

static void read_holdout(struct reading *r, const struct node *value)
{
    bool held;
    r->test->holdout = !parse_bool(value->text, &held) ? HOLDOUT_BY_HASH
                       : held                          ? HOLDOUT_EVERYBODY
                                                       : HOLDOUT_NOBODY;
}

/* Somebody in a list is somebody, be nothing else given. */
static void read_lists(struct reading *r, struct node *given, struct node *lists)
{
    r->test->lists = lists;
    for (uint32_t i = 0; i < lists->count; i++)
        for (uint32_t k = 0; k < node_value(lists, i)->count; k++) {
            struct node *user = node_value(lists, i)->list[k],
                        *own = node_find(given, (const char *)user->text.p);
            bool known = own && (node_find(own, "traits") || node_find(own, "consent"));
            if (!known) given_person(r, user, user, NULL, NULL);
        }
}

static void read_given(struct reading *r, struct node *given)
{
    r->test->given = given;
    for (uint32_t i = 0; given && i < given->count; i++) {
        struct node *user = node_key(given, i), *value = node_value(given, i),
                    *traits = node_find(value, "traits"), *consent = node_find(value, "consent");
        if (slice_is(user->text, "holdout"))
            read_holdout(r, value);
        else if (slice_is(user->text, "lists"))
            read_lists(r, given, value);
        else if (slice_is(user->text, "variant"))
            r->test->variant = value;
        else if (traits || consent)
            given_person(r, user, value, traits, consent);
    }
}

/* ---- cases ---------------------------------------------------------------------------------------------- */

/* qsort is not stable: the order of the file decides last. */
static int by_time(const void *a, const void *b)
{
    const struct test_event *x = a, *y = b;
    if (x->after != y->after) return x->after < y->after ? -1 : 1;
    return x->node->at < y->node->at ? -1 : x->node->at > y->node->at;
}

static void read_start(struct reading *r, struct node *n)
{
    struct node *at = node_find(n, "at"), *run = node_find(n, "run_for");
    int64_t ms = 1767225600000; /* 2026-01-01, when a test does not say */
    if (at && (!iso8601_parse(at->text, &ms) || ms < 0))
        report_wrong(r->d, at, "at: 2026-03-01T10:00:00Z", "'at': a time was expected, found '%.*s'",
                     SHOWN(at->text));
    r->test->at = (uint32_t)(ms / 1000);
    if (run) r->test->run_for = seconds_of(run);
}

static struct test_case *add_case(struct reading *r)
{
    struct test_list *l = r->out;
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        struct test_case *grown = ARENA_ARRAY(r->arena, struct test_case, l->capacity);
        if (l->count) memcpy(grown, l->list, l->count * sizeof *grown);
        l->list = grown;
    }
    r->capacity = 0;
    return &l->list[l->count++];
}

static void read_case(struct reading *r, struct node *n)
{
    uint32_t before = r->d->errors;
    struct node *expect = node_find(n, "expect"), *events = node_find(n, "events");
    shape_check(n, &test_block, true, r->d);
    if (expect && expect->kind == NODE_MAPPING && !expect->count)
        report_wrong(r->d, expect, "for example expect: {actions: []}", "this test expects nothing");
    if (r->d->errors > before) return;
    r->test = add_case(r);
    *r->test = (struct test_case){
        .name = node_find(n, "test")->text, .only = node_find(n, "only"), .expect = expect};
    r->test->file = (const char *)n->file->name.p;
    r->test->line = line_of(n->file, n->at);
    read_start(r, n);
    read_given(r, node_find(n, "given"));
    uint32_t given = r->test->given_count = r->test->event_count;
    for (uint32_t i = 0; events && i < events->count; i++) read_event(r, events->list[i]);
    if (r->test->event_count > given)
        qsort(r->test->events + given, r->test->event_count - given, sizeof *r->test->events, by_time);
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static struct arena *found_arena; /* nftw has no argument for its caller */
static char **found;
static uint32_t found_count, found_capacity;

static int note_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    size_t n = strlen(path), tail = strlen(".test.yaml");
    if (kind != FTW_F || n <= tail || strcmp(path + n - tail, ".test.yaml") != 0) return 0;
    if (found_count == found_capacity) {
        found_capacity = found_capacity ? 2 * found_capacity : 64;
        found = realloc(found, found_capacity * sizeof *found);
        if (!found) die(EXIT_FAILED, "no memory");
    }
    found[found_count++] = arena_strndup(found_arena, path, n);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void tests_read_file(const struct source_file *file, struct arena *a, struct diagnostics *d,
                     struct test_list *out)
{
    struct reading r = {.arena = a, .d = d, .out = out};
    struct node *root = yaml_parse(file, a, d);
    if (root && root->kind != NODE_SEQUENCE)
        report_wrong(d, root, "begin each with `- test: what is claimed`", "a test file is a list of tests");
    else
        for (uint32_t i = 0; root && i < root->count; i++) read_case(&r, root->list[i]);
}

static void read_path(const char *path, struct arena *a, struct diagnostics *d, struct test_list *out)
{
    struct buf text = {0};
    struct source_file *file = ARENA_NEW(a, struct source_file);
    if (!read_whole_file(path, &text)) die(EXIT_FAILED, "%s: %s", path, strerror(errno));
    *file = (struct source_file){slice_str(path), arena_slice(a, buf_slice(&text))};
    buf_free(&text);
    tests_read_file(file, a, d, out);
}

void tests_read(const char *dir, struct arena *a, struct diagnostics *d, struct test_list *out)
{
    found_arena = a;
    if (nftw(dir, note_file, 16, FTW_PHYS) != 0) die(EXIT_FAILED, "%s: %s", dir, strerror(errno));
    if (found_count) qsort(found, found_count, sizeof *found, by_name);
    for (uint32_t i = 0; i < found_count; i++) read_path(found[i], a, d, out);
    free(found);
    found = NULL;
    found_count = found_capacity = 0;
}
