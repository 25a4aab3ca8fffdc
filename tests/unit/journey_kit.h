/* journey_kit.h - a small world for tests of journeys: one shard's store, hand-built segments and journeys without
 * YAML, and the loop that a shard runs around a walk. Time is virtual and stops at every due second.
 * Events are JSON with ' for ". One program includes it once. */
#ifndef HG_TESTS_JOURNEY_KIT_H
#define HG_TESTS_JOURNEY_KIT_H

#include "core/base/check.h"
#include "core/journey/run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { ADDED = TYPE_DECLARED_BASE, ORDERED, VIEWED, EVENTS_END };
enum {
    EMAIL_ADDRESS,
    PHONE,
    BIRTHDAY,
    TIMEZONE,
    STATUS,
    BONUS,
    EXPIRES,
    LANGUAGE,
    INTERESTS,
    ATTRIBUTES_END
};
enum { EMAIL, SMS, PUSH, CRM, CHANNELS_END };
enum { STAFF, LISTS_END };
enum { SEGMENTS_MAX = 128, JOURNEYS_MAX = 16, LOG_MAX = 4096 };
#define START   1767225600u /* 2026-01-01T00:00:00Z, a Thursday */
#define MINUTE  60u
#define HOUR    3600u
#define DAYS(n) ((n)*86400u)

struct sent { /* one action as the test wants to see it */
    uint32_t at;
    char channel[16], journey[32], step[32], to[64], kind[12], variant[16];
    struct key id;
    struct slice content;
};
struct world {
    struct arena arena, scratch;
    struct hash_secret secret;
    struct schema schema;
    struct store store;
    struct outbox *outbox;
    struct segment_set segments;
    struct journey_set journeys;
    const struct journey *current[JOURNEYS_MAX];
    struct journey list[JOURNEYS_MAX];
    struct channel channels[CHANNELS_END];
    struct segment segment_list[SEGMENTS_MAX];
    struct journey_counters counters[JOURNEYS_MAX];
    struct action_counters actions;
    struct expr_pool *pool;
    const struct journey *compiling; /* whose steps and as-names expressions may name */
    uint32_t now, wakes;
    bool holdouts, outbox_full;
    uint32_t sent_count, transition_count;
    struct sent sent[LOG_MAX];
    struct transition transitions[LOG_MAX];
};
static struct world *W;

/* ---- JSON with single quotes to MessagePack ------------------------------------------------- */

static const char *json_item(const char *p, msgpack_packer *pk);

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == ',' || *p == ':') p++;
    return p;
}

static uint32_t json_count(const char *p, char close) /* items directly inside */
{
    static struct buf throw_away;
    msgpack_packer pk;
    uint32_t n = 0;
    for (p = skip_space(p); *p != close; p = skip_space(p), n++) {
        buf_clear(&throw_away);
        msgpack_packer_init(&pk, &throw_away, buf_msgpack_write);
        p = json_item(p, &pk);
    }
    return n;
}

static const char *json_item(const char *p, msgpack_packer *pk)
{
    p = skip_space(p);
    if (*p == '{' || *p == '[') {
        char close = *p == '{' ? '}' : ']';
        uint32_t n = json_count(p + 1, close);
        if (close == '}')
            msgpack_pack_map(pk, n / 2);
        else
            msgpack_pack_array(pk, n);
        for (p = skip_space(p + 1); *p != close; p = skip_space(p)) p = json_item(p, pk);
        return p + 1;
    }
    if (*p == '\'') {
        const char *end = strchr(p + 1, '\'');
        msgpack_pack_str(pk, (size_t)(end - p - 1));
        msgpack_pack_str_body(pk, p + 1, (size_t)(end - p - 1));
        return end + 1;
    }
    if (!strncmp(p, "true", 4)) return msgpack_pack_true(pk), p + 4;
    if (!strncmp(p, "false", 5)) return msgpack_pack_false(pk), p + 5;
    if (!strncmp(p, "null", 4)) return msgpack_pack_nil(pk), p + 4;
    char *end;
    double d = strtod(p, &end);
    cr_assert_neq(end, p, "JSON: %s", p);
    msgpack_pack_double(pk, d);
    return end;
}

static struct slice packed(const char *json)
{
    struct buf b = {0};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    json_item(json, &pk);
    struct slice s = arena_slice(&W->arena, buf_slice(&b));
    buf_free(&b);
    return s;
}

/* ---- names and expressions -------------------------------------------------------------------- */

static const char *const EVENT_NAMES[] = {"Product Added", "Order Completed", "Product Viewed"};
static const struct {
    const char *name;
    uint8_t type;
} ATTRIBUTE_NAMES[] = {{"email", T_STRING},    {"phone", T_STRING},    {"birthday", T_DATE},
                       {"timezone", T_STRING}, {"status", T_STRING},   {"bonus", T_NUMBER},
                       {"expires", T_TIME},    {"language", T_STRING}, {"interests", T_STRINGS}};
static const char *const CHANNEL_NAMES[] = {"email", "sms", "push", "crm"};
static const struct {
    const char *name;
    uint8_t type;
} PROPERTY_NAMES[] = {{"price", T_NUMBER}, {"total", T_NUMBER}, {"cart_id", T_STRING}, {"name", T_STRING}};

static bool is(struct slice s, const char *text) { return slice_is(s, text); }

static bool resolve_step(struct slice name, struct expr_symbol *out)
{
    for (uint16_t i = 0; W->compiling && i < W->compiling->step_count; i++)
        if (slice_eq(W->compiling->steps[i].id, name)) return out->id = i, true;
    return false;
}

static bool resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    *out = (struct expr_symbol){0};
    uint16_t id = ID_NONE;
    switch (space) {
    case SPACE_EVENT:
        id = schema_find(&W->schema, NAME_EVENT, name);
        if (id != ID_NONE) out->cap = W->schema.events[id].cap;
        break;
    case SPACE_PROPERTY: {
        const struct schema_event *e = schema_event(&W->schema, within);
        id = e ? schema_prop_find(e, name) : ID_NONE;
        if (id != ID_NONE) out->type = e->props[id].type;
        break;
    }
    case SPACE_ATTRIBUTE:
        id = schema_find(&W->schema, NAME_ATTRIBUTE, name);
        if (id != ID_NONE) out->type = W->schema.attributes[id].type;
        break;
    case SPACE_SEGMENT:
        for (uint16_t i = 0; i < W->segments.count; i++)
            if (W->segment_list[i].live && slice_eq(W->segment_list[i].name, name)) id = i;
        break;
    case SPACE_CHANNEL:
        for (uint16_t i = 0; i < CHANNELS_END; i++)
            if (is(name, CHANNEL_NAMES[i])) id = i;
        break;
    case SPACE_JOURNEY:
        for (uint16_t i = 0; i < W->journeys.journey_count; i++)
            if (slice_eq(W->list[i].name, name)) id = i;
        break;
    case SPACE_STEP: return resolve_step(name, out);
    case SPACE_AS:
        for (uint16_t i = 0; W->compiling && i < W->compiling->as_count; i++)
            if (slice_eq(W->compiling->as_names[i], name)) id = (uint16_t)(2 + i), out->type = ORDERED;
        break;
    case SPACE_LIST: id = is(name, "staff") ? STAFF : ID_NONE; break;
    case SPACE_TOPIC: id = 0; break;
    default: break;
    }
    out->id = id;
    return id != ID_NONE;
}

static struct slice nearest(void *self, enum expr_space space, uint32_t within, struct slice name)
{
    return (struct slice){0};
}

static const struct program *compile(const char *text, enum expr_want want, uint16_t event)
{
    struct expr_scope scope = {
        .resolve = resolve, .nearest = nearest, .event = event, .trigger = event == ID_NONE ? ADDED : event};
    struct expr_errors errors = {0};
    const struct program *p = expr_compile(W->pool, &scope, slice_str(text), want, &errors);
    cr_assert_not_null(p, "%s: %s", text, errors.count ? errors.list[0].reason : "?");
    return p;
}

/* ---- the world ---------------------------------------------------------------------------------- */

static void make_schema(void)
{
    struct schema *s = &W->schema;
    s->event_count = EVENTS_END;
    s->events = ARENA_ARRAY(&W->arena, struct schema_event, EVENTS_END);
    schema_predeclare(s->events);
    uint32_t props = sizeof PROPERTY_NAMES / sizeof *PROPERTY_NAMES;
    for (uint16_t i = ADDED; i < EVENTS_END; i++) {
        struct schema_prop *p = ARENA_ARRAY(&W->arena, struct schema_prop, props);
        for (uint32_t k = 0; k < props; k++)
            p[k] = (struct schema_prop){
                .name = slice_str(PROPERTY_NAMES[k].name), .type = PROPERTY_NAMES[k].type, .live = true};
        s->events[i] = (struct schema_event){.name = slice_str(EVENT_NAMES[i - ADDED]),
                                             .id = i,
                                             .prop_count = (uint16_t)props,
                                             .props = p,
                                             .keep_s = DAYS(730),
                                             .cap = 64,
                                             .late_s = HOUR,
                                             .activity = true,
                                             .live = true};
    }
    s->attribute_count = ATTRIBUTES_END;
    s->attributes = ARENA_ARRAY(&W->arena, struct schema_attribute, ATTRIBUTES_END);
    for (uint16_t i = 0; i < ATTRIBUTES_END; i++)
        s->attributes[i] = (struct schema_attribute){.name = slice_str(ATTRIBUTE_NAMES[i].name),
                                                     .id = i,
                                                     .type = ATTRIBUTE_NAMES[i].type,
                                                     .live = true};
    schema_index(s, NULL, 0, &W->arena);
}

static void make_channels(void)
{
    for (uint16_t i = 0; i < CHANNELS_END; i++)
        W->channels[i] = (struct channel){
            .name = slice_str(CHANNEL_NAMES[i]), .id = i, .consent = CHANNEL_CONSENT_REQUIRED};
    W->channels[CRM].consent = CHANNEL_CONSENT_NOT_NEEDED;
    W->channels[EMAIL].address = compile("profile.email", WANT_ANY, ID_NONE);
    W->channels[SMS].address = compile("profile.phone", WANT_ANY, ID_NONE);
}

static void world_open(void)
{
    W = calloc(1, sizeof *W);
    arena_init(&W->arena);
    arena_init(&W->scratch);
    hash_secret_from_seed(&W->secret, SLICE("kit"));
    W->pool = expr_pool_create(&W->arena);
    W->now = START;
    make_schema();
    cr_assert(store_create(&W->store, &W->schema));
    W->outbox = outbox_create(&W->store.heap);
    W->segments.list = W->segment_list;
    W->journeys = (struct journey_set){.journeys = W->current,
                                       .channels = W->channels,
                                       .channel_count = CHANNELS_END,
                                       .zone = zone_utc(),
                                       .week = {.workdays = 0x3e},
                                       .attribute_timezone = TIMEZONE,
                                       .attribute_language = LANGUAGE,
                                       .list_count = LISTS_END};
    make_channels();
}

static void world_close(void)
{
    outbox_destroy(W->outbox);
    store_destroy(&W->store);
    arena_free(&W->arena);
    arena_free(&W->scratch);
    free(W);
}

static uint16_t segment(const char *name, const char *when)
{
    uint16_t id = (uint16_t)W->segments.count++;
    W->segment_list[id] = (struct segment){
        .name = slice_str(name), .id = id, .live = true, .when = compile(when, WANT_BOOL, ID_NONE)};
    uint16_t cycle[8];
    uint32_t n = 8;
    cr_assert(segment_set_index(&W->segments, &W->arena, cycle, &n));
    return id;
}

static const struct match *match(struct match m)
{
    struct match *p = ARENA_NEW(&W->arena, struct match);
    *p = m;
    return p;
}
#define ON(type) match((struct match){.kind = MATCH_EVENT, .id = type})
#define ON_WHERE(type, text)                                                                                 \
    match((struct match){.kind = MATCH_EVENT, .id = type, .where = compile(text, WANT_BOOL, type)})

static struct journey *journey(const char *name, const struct match *trigger, const struct step *steps,
                               uint16_t count)
{
    uint16_t id = (uint16_t)W->journeys.journey_count++;
    struct journey *j = &W->list[id];
    struct step *copy = ARENA_ARRAY(&W->arena, struct step, count + 1);
    if (count) memcpy(copy, steps, count * sizeof *copy);
    for (uint16_t i = 0; i < count; i++)
        if (!copy[i].id.n) copy[i].id = slice_str(arena_printf(&W->arena, "s%u", i));
    *j = (struct journey){.name = slice_str(name),
                          .id = id,
                          .version = 1,
                          .state = JOURNEY_LIVE,
                          .trigger_count = trigger != NULL,
                          .triggers = trigger,
                          .steps = copy,
                          .step_count = count,
                          .first = count ? 0 : STEP_END};
    W->current[id] = j;
    return j;
}
#define STEPS(...) (struct step[]){__VA_ARGS__}, sizeof((struct step[]){__VA_ARGS__}) / sizeof(struct step)

static struct step wait_s(int64_t seconds, uint16_t next)
{
    return (struct step){
        .kind = STEP_WAIT, .next = next, .wait = {.kind = WAIT_FOR_TIME, .seconds = seconds}};
}

static struct step send_to(const char *id, uint16_t channel, uint16_t next)
{
    struct send_option *o = ARENA_NEW(&W->arena, struct send_option);
    o->channel = channel;
    return (struct step){.kind = STEP_SEND,
                         .next = next,
                         .id = slice_str(id),
                         .send = {.option_count = 1,
                                  .options = o,
                                  .template_name = SLICE("tpl"),
                                  .type = SEND_TRIGGER,
                                  .priority = INT32_MIN}};
}

static struct step on_if(const char *condition, uint16_t then, uint16_t otherwise)
{
    return (struct step){.kind = STEP_IF,
                         .branch = {compile(condition, WANT_BOOL, ID_NONE), then, otherwise}};
}

static struct field *field(const char *name, struct value literal, const char *program)
{
    struct field *f = ARENA_NEW(&W->arena, struct field);
    *f = (struct field){.name = slice_str(name),
                        .literal = literal,
                        .program = program ? compile(program, WANT_ANY, ID_NONE) : NULL};
    return f;
}

static struct step set_to(uint16_t attribute, const char *program, uint16_t next)
{
    uint16_t *id = ARENA_NEW(&W->arena, uint16_t);
    *id = attribute;
    return (struct step){.kind = STEP_SET, .next = next, .set = {1, field("x", value_none(), program), id}};
}

/* ---- what happened --------------------------------------------------------------------------------- */

static struct slice content_get(struct slice content, const char *key) /* the item's bytes; empty if absent */
{
    struct mp m = mp_of(content);
    for (uint32_t left = mp_map(&m); left > 0; left--) {
        bool hit = slice_is(mp_str(&m), key);
        struct slice item = mp_item(&m);
        if (hit) return item;
    }
    return (struct slice){0};
}

static void content_text(struct slice content, const char *key, char *out, size_t size)
{
    struct slice item = content_get(content, key);
    struct mp m = mp_of(item);
    struct slice s = item.n && mp_peek(&m) == MP_STR ? mp_str(&m) : (struct slice){0};
    snprintf(out, size, "%.*s", (int)s.n, s.p ? (const char *)s.p : "");
}

static void on_action(void *self, const struct action *a)
{
    cr_assert_lt(W->sent_count, LOG_MAX);
    struct sent *s = &W->sent[W->sent_count++];
    *s = (struct sent){.at = W->now, .id = a->id, .content = arena_slice(&W->arena, a->content)};
    content_text(a->content, "channel", s->channel, sizeof s->channel);
    content_text(a->content, "journey", s->journey, sizeof s->journey);
    content_text(a->content, "step", s->step, sizeof s->step);
    content_text(a->content, "to", s->to, sizeof s->to);
    content_text(a->content, "kind", s->kind, sizeof s->kind);
    content_text(a->content, "variant", s->variant, sizeof s->variant);
}

static void on_transition(void *self, const struct transition *t)
{
    if (W->transition_count < LOG_MAX) W->transitions[W->transition_count++] = *t;
}

/* "m1@0 m2@1800": step and seconds since START. */
static const char *sent_list(void)
{
    static char text[LOG_MAX * 8];
    size_t n = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < W->sent_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s@%u", i ? " " : "", W->sent[i].step,
                              W->sent[i].at - START);
    return text;
}
#define cr_sent(expected) cr_assert_str_eq(sent_list(), expected)

/* ---- the shard's loop ---------------------------------------------------------------------------------- */

struct turn {
    row_t row;
    const struct event *event;
    uint32_t event_at, armed;
    bool late, due, merged;
    int command; /* -1: none */
    uint16_t command_journey;
    const struct test_send *test; /* NULL: none */
    struct touched touched;
    struct attribute_change changes[32];
    uint32_t change_count;
};

static void settle(struct turn *t)
{
    journey_set_index(&W->journeys, &W->arena); /* a test fills in goals and exits after journey() */
    struct person person = {.store = &W->store,
                            .row = t->row,
                            .set = &W->journeys,
                            .schema = &W->schema,
                            .event = t->event,
                            .event_at = t->event_at,
                            .now = W->now,
                            .scratch = &W->scratch};
    struct expr_context ctx = {.source = &person_source,
                               .self = &person,
                               .now = W->now,
                               .week = &W->journeys.week,
                               .scratch = &W->scratch,
                               .next_change = UINT32_MAX};
    ctx.zone = person_zone(&person);
    struct flip flips[SEGMENTS_MAX];
    struct touched touched = t->touched;
    struct walk walk = {.set = &W->journeys,
                        .segments = &W->segments,
                        .schema = &W->schema,
                        .store = &W->store,
                        .outbox = W->outbox,
                        .scratch = &W->scratch,
                        .journeys = W->counters,
                        .actions = &W->actions,
                        .now = W->now,
                        .no_holdout = !W->holdouts,
                        .on_action = on_action,
                        .on_transition = on_transition,
                        .row = t->row,
                        .event = t->event,
                        .event_at = t->event_at,
                        .late = t->late,
                        .flips = flips,
                        .changes = t->changes,
                        .change_count = t->change_count,
                        .context = &ctx,
                        .touched = &touched,
                        .armed = t->armed,
                        .outbox_full = W->outbox_full};
    struct attribute_change changes[STEP_CHANGES_MAX];
    struct segment_marks marks;
    consent_record(&walk);
    outcome_record(&walk);
    if (t->merged) walk_merged(&walk);
    for (uint32_t round = 0, again = 1; again && round < 16; round++) {
        bool marked = round == 0 && t->due
                          ? segments_mark_timed(&W->segments, &marks)
                          : segments_mark(&W->segments, &W->store, t->row, &touched, W->now, &marks);
        walk.flip_count =
            marked ? segments_update(&W->segments, &W->store, t->row, &marks, &ctx, flips, SEGMENTS_MAX) : 0;
        if (marks.next < ctx.next_change) ctx.next_change = marks.next;
        touched = (struct touched){0};
        if (round == 0 && t->due)
            again = walk_due(&walk);
        else if (t->test)
            walk_test(&walk, t->test), again = false;
        else if (round == 0 && t->command >= 0)
            again = walk_command(&walk, (enum journey_command)t->command, t->command_journey);
        else
            again = walk_record(&walk);
        walk.event = NULL;
        memcpy(changes, walk.step_changes, sizeof changes);
        walk.changes = changes;
        walk.change_count = walk.step_change_count;
    }
    struct row *row = store_row(&W->store, t->row);
    uint32_t next = walk_next_due(&walk);
    if (ctx.next_change < next) next = ctx.next_change;
    if (next != UINT32_MAX && (!row->next_wake || next < row->next_wake))
        row->next_wake = next <= W->now ? W->now + 1 : next;
    arena_reset(&W->scratch);
}

static void reserve(void)
{
    cr_assert(store_reserve(&W->store, 4, 4 * WALK_STORE_BYTES_MAX + WALK_ACTION_BYTES_MAX));
    cr_assert(outbox_reserve(W->outbox, WALK_ACTIONS_MAX, WALK_ACTION_BYTES_MAX));
    cr_assert(heap_reserve(&W->store.heap, 8 * WALK_STORE_BYTES_MAX + 2 * WALK_ACTION_BYTES_MAX));
}

static void wake(row_t row)
{
    struct row *r = store_touch(&W->store, row);
    struct turn t = {.row = row, .due = true, .armed = r->next_wake, .command = -1};
    r->next_wake = 0;
    W->wakes++;
    reserve();
    settle(&t);
}

static row_t earliest_wake(uint32_t *due)
{
    row_t found = ROW_NONE;
    *due = UINT32_MAX;
    for (uint32_t i = 0; i < W->store.row_limit; i++) {
        const struct row *r = &W->store.rows[i];
        if ((r->flags & ROW_USED) && r->next_wake && r->next_wake < *due)
            *due = r->next_wake, found = (row_t){i};
    }
    return found;
}

/* Everything due on the way runs at its second. */
static void advance(uint32_t to)
{
    uint32_t due;
    for (row_t row = earliest_wake(&due); due <= to; row = earliest_wake(&due)) {
        if (due > W->now) W->now = due;
        wake(row);
    }
    W->now = to;
}
static void pass(uint32_t seconds) { advance(W->now + seconds); }

/* The clock jumps and nothing ran meanwhile: a stop of the engine. */
static void sleep_until(uint32_t to)
{
    W->now = to;
    advance(to);
}

static row_t person(const char *user)
{
    struct key key = hash_id(&W->secret, ID_USER, slice_str(user)), target;
    row_t row;
    if (store_find(&W->store, key, &row, &target) == FOUND_ROW) return row;
    reserve();
    row = store_add(&W->store, key, W->now);
    ids_set_user(&W->store, row, slice_str(user));
    return row;
}

static void apply_event(row_t row, const struct event *e, uint32_t at)
{
    struct turn t = {.row = row, .event = e, .event_at = at, .command = -1};
    const struct schema_event *type = schema_event(&W->schema, e->type);
    t.late = type && at + type->late_s < W->now;
    for (uint32_t i = 0; i < e->trait_count; i++) {
        struct value old = value_none();
        store_touch(&W->store, row);
        if (!attribute_set(&W->store, row, e->traits[i].attribute, e->traits[i].value, at, &old)) continue;
        if (old.kind == V_STRING) old.s = arena_slice(&W->scratch, value_text(old)).p;
        t.changes[t.change_count++] = (struct attribute_change){e->traits[i].attribute, old};
        touch_attribute(&t.touched, &W->journeys, e->traits[i].attribute);
    }
    uint16_t none;
    t.touched.fresh =
        behaviour_types(&W->store, row, &none, 1) == 0; /* a new person: "not" is true of many */
    struct history_change change = {
        .type = e->type, .at = at, .props = e->props, .prop_count = type ? type->prop_count : 0};
    behaviour_add(&W->store, row, e->type, at, at, e, W->now, &change.counts);
    t.touched.event = &change;
    if (type->activity && at > store_row(&W->store, row)->last_seen) {
        store_touch(&W->store, row)->last_seen = at;
        touch(&t.touched, FEATURE_PROFILE, PROFILE_LAST_SEEN);
    }
    settle(&t);
}

/* Of user u at its own second; wake-ups of that second run first. */
static void happens_at(const char *user, const char *json, uint32_t at)
{
    struct event e;
    row_t row = person(user);
    advance(W->now);
    reserve();
    enum reject reject = event_parse(&W->schema, &W->secret, packed(json), (int64_t)at * 1000, &W->arena, &e);
    cr_assert_eq(reject, REJECT_NONE, "%s: %s", json, reject_text(reject));
    apply_event(row, &e, at);
}
static void happens(const char *user, const char *json) { happens_at(user, json, W->now); }

static void track(const char *user, const char *event, const char *properties)
{
    happens(user, arena_printf(&W->arena, "{'type':'track','userId':'%s','event':'%s','properties':%s}", user,
                               event, properties));
}

static void identify(const char *user, const char *traits)
{
    happens(user, arena_printf(&W->arena, "{'type':'identify','userId':'%s','traits':%s}", user, traits));
}
/* Has an address and agreed to e-mail and SMS. */
static void reachable_person(const char *user)
{
    identify(user,
             arena_printf(
                 &W->arena,
                 "{'email':'%s@example.org','phone':'+7','consent':{'email':true,'sms':true,'push':true}}",
                 user));
}

static void command(const char *user, enum journey_command c, uint16_t j)
{
    struct turn t = {.row = person(user), .command = (int)c, .command_journey = j};
    reserve();
    settle(&t);
}

static void send_test(const char *user, const struct test_send *test)
{
    struct turn t = {.row = person(user), .test = test, .command = -1};
    reserve();
    settle(&t);
}

static void outcome(const char *user, const char *event, uint32_t sent)
{
    struct key k = W->sent[sent].id;
    track(user, event,
          arena_printf(&W->arena, "{'action_id':'%016llx%016llx'}", (unsigned long long)k.hi,
                       (unsigned long long)k.lo));
}

static uint32_t instances(const char *user, const struct instance **first)
{
    uint32_t bytes, n = 0;
    const uint8_t *p = store_block(&W->store, person(user), BLOCK_JOURNEYS, &bytes);
    if (first) *first = (const void *)p;
    for (uint32_t at = 0; at < bytes; at += ((const struct instance *)(const void *)(p + at))->bytes) n++;
    return n;
}

static enum decision last_decision(const char *user, const struct journey *j)
{
    const struct journey_memory *m = memory_find(&W->store, person(user), j->id);
    return m ? (enum decision)m->reason : DECISION_NONE;
}

/* The number beside it: a deferral's end, a step. */
static inline uint32_t last_detail(const char *user, const struct journey *j)
{
    const struct journey_memory *m = memory_find(&W->store, person(user), j->id);
    return m ? m->detail : 0;
}

/* entered = active + every way of leaving. */
static void cr_balance(const struct journey *j)
{
    const struct journey_counters *c = &W->counters[j->id];
    cr_assert_eq(c->entered,
                 c->active + c->completed + c->goal + c->exited + c->timeout + c->cancelled + c->moved);
}

#endif
