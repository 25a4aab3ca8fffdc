/* testcheck.c - does the set have what a test names? What the engine would drop or ignore without a word is a mistake in a
 * test: the test would pass for a reason that is not its claim. The form of the file was checked before (testtable.c). */
#include "tools/hourglass/testrun.h"

#include "core/define/registry.h"
#include "core/define/table.h"

struct fitting {
    const struct defset *set;
    const struct test_case *test;
    struct diagnostics *d;
};

/* ---- names ------------------------------------------------------------------------------------------ */

static void suggest(struct fitting *f, const char *near, const char *otherwise)
{
    report_fix(f->d, "%s", near ? near : otherwise);
}

/* The live name of the set; ID_NONE after a message. */
static uint16_t known(struct fitting *f, enum registry_kind kind, struct node *n, const char *what,
                      const char *block)
{
    const struct registry_entry *e = registry_find(f->set->registry, kind, 0, n->text);
    if (e) return e->id;
    struct slice near = registry_nearest(f->set->registry, kind, 0, n->text);
    report_node(f->d, n, "there is no %s '%.*s'", what, SHOWN(n->text));
    if (near.n)
        report_fix(f->d, "did you mean '%.*s'?", SHOWN(near));
    else
        report_fix(f->d, "declare it under `%s:` of the definitions", block);
    return ID_NONE;
}

static uint16_t known_journey(struct fitting *f, struct node *n)
{
    return known(f, REG_JOURNEY, n, "journey", "journeys");
}
static uint16_t known_channel(struct fitting *f, struct node *n)
{
    return known(f, REG_CHANNEL, n, "channel", "channels");
}

/* Words collected one by one, for "did you mean". */
struct words {
    const char **list;
    uint32_t count, capacity;
};

static void add_word(struct fitting *f, struct words *w, struct slice word)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 32;
        const char **more = ARENA_ARRAY(&f->d->arena, const char *, w->capacity);
        if (w->count) memcpy(more, w->list, w->count * sizeof *more);
        w->list = more;
    }
    w->list[w->count++] = arena_strndup(&f->d->arena, word.p, word.n);
}

static const char *nearest_of(struct fitting *f, struct slice text, const struct words *w)
{
    return nearest_word(text, w->list, w->count, &f->d->arena);
}

static bool makes_actions(const struct step *s)
{
    return s->kind == STEP_SEND || s->kind == STEP_CASCADE || s->kind == STEP_WEBHOOK ||
           s->kind == STEP_TASK || s->kind == STEP_AUDIENCE;
}

/* A step that hands something out, in this journey or (NULL) in any. */
static void known_step(struct fitting *f, struct node *n, const struct node *journey)
{
    struct words ids = {0};
    for (uint32_t i = 0; i < f->set->journeys.journey_count; i++) {
        const struct journey *j = f->set->journeys.journeys[i];
        if (!j || (journey && !slice_eq(j->name, journey->text))) continue;
        for (uint16_t k = 0; k < j->step_count; k++) {
            if (!makes_actions(&j->steps[k])) continue;
            if (journey ? slice_eq(j->steps[k].id, n->text) : names_step(n->text, j->name, j->steps[k].id))
                return;
            add_word(f, &ids, j->steps[k].id);
        }
    }
    report_node(f->d, n, "no step '%.*s' sends anything", SHOWN(n->text));
    suggest(f, nearest_of(f, n->text, &ids), "give the step an `id:`, and write that here");
}

/* ---- people ------------------------------------------------------------------------------------------- */

static void add_id(struct fitting *f, struct words *w, const struct node *map, const char *key)
{
    const struct node *id = node_find(map, key);
    if (id) add_word(f, w, id->text);
}

static void add_given(struct fitting *f, struct words *w)
{
    const struct node *given = f->test->given, *lists = f->test->lists;
    for (uint32_t i = 0; given && i < given->count; i++)
        if (!word_in(node_key(given, i)->text, "holdout|lists|variant", NULL))
            add_word(f, w, node_key(given, i)->text);
    for (uint32_t i = 0; lists && i < lists->count; i++)
        for (uint32_t k = 0; k < node_value(lists, i)->count; k++)
            add_word(f, w, node_value(lists, i)->list[k]->text);
}

/* Somebody of whom the test has said something. */
static void known_person(struct fitting *f, struct node *n)
{
    static const char *const ids[] = {"userId", "anonymousId", "previousId"};
    struct words people = {0};
    add_given(f, &people);
    for (uint32_t i = f->test->given_count; i < f->test->event_count; i++)
        for (uint32_t k = 0; k < 3; k++) add_id(f, &people, f->test->events[i].node, ids[k]);
    for (uint32_t i = 0; i < people.count; i++)
        if (slice_is(n->text, people.list[i])) return;
    report_node(f->d, n, "nobody in this test is called '%.*s'", SHOWN(n->text));
    suggest(f, nearest_of(f, n->text, &people), "name a person of `given` or `events`");
}

/* ---- values ------------------------------------------------------------------------------------------- */

static bool fits(const struct node *n, enum declared_type type, bool coerce)
{
    struct buf packed = {0};
    struct value out;
    node_pack(n, &packed);
    struct mp m = mp_of(buf_slice(&packed));
    struct value v = value_read(&m);
    bool good = v.kind == V_NULL || value_fit(v, type, coerce, &out);
    buf_free(&packed);
    return good;
}

static const char *type_name(enum declared_type type)
{
    static const char *const names[] = {[T_NUMBER] = "a number such as 9.5",
                                        [T_STRING] = "a text; digits stand in quotes",
                                        [T_BOOL] = "true or false",
                                        [T_TIME] = "a time such as 2026-03-01T10:00:00Z",
                                        [T_DATE] = "a date such as 2026-03-01",
                                        [T_STRINGS] = "a list of texts such as [a, b]",
                                        [T_RAW] = "a list or keys with values"};
    return names[type];
}

static void check_value(struct fitting *f, struct node *n, struct slice name, enum declared_type type,
                        bool coerce)
{
    if (fits(n, type, coerce)) return;
    report_node(f->d, n, "'%.*s' is declared as another type", SHOWN(name));
    report_fix(f->d, "%s", type_name(type));
}

static const char CONSENT_STATES[] = "true|false|granted|confirmed|denied|withdrawn";

static void check_state(struct fitting *f, struct node *n)
{
    if (n->kind == NODE_SCALAR && word_in(n->text, CONSENT_STATES, NULL)) return;
    report_node(f->d, n, "this says nothing about consent");
    suggest(f, n->kind == NODE_SCALAR ? nearest_in_words(n->text, CONSENT_STATES, &f->d->arena) : NULL,
            "true, granted, confirmed (double opt-in), denied or false");
}

static void check_statement(struct fitting *f, struct node *n)
{
    if (n->kind != NODE_MAPPING) return check_state(f, n);
    for (uint32_t i = 0; i < n->count; i++) {
        struct node *key = node_key(n, i), *value = node_value(n, i);
        if (slice_is(key->text, "state")) check_state(f, value);
        for (uint32_t k = 0; slice_is(key->text, "topics") && value->kind == NODE_MAPPING && k < value->count;
             k++)
            check_state(f, node_value(value, k));
        if (word_in(key->text, "state|source|at|topics", NULL)) continue;
        report_node(f->d, key, "unknown key '%.*s' in a consent", SHOWN(key->text));
        suggest(f, nearest_in_words(key->text, "state|source|at|topics", &f->d->arena),
                "there are state, source, at, topics");
    }
}

static void check_consent(struct fitting *f, struct node *map)
{
    if (map->kind != NODE_MAPPING) {
        report_wrong(f->d, map, "for example consent: {email: true}", "consent is said by channel");
        return;
    }
    for (uint32_t i = 0; i < map->count; i++)
        if (known_channel(f, node_key(map, i)) != ID_NONE) check_statement(f, node_value(map, i));
}

static void check_attribute(struct fitting *f, struct node *key, struct node *value)
{
    uint16_t id = known(f, REG_ATTRIBUTE, key, "attribute", "attributes");
    if (id != ID_NONE) check_value(f, value, key->text, f->set->schema.attributes[id].type, false);
}

static void check_traits(struct fitting *f, struct node *map)
{
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++) {
        struct node *key = node_key(map, i), *value = node_value(map, i);
        if (slice_is(key->text, "consent"))
            check_consent(f, value);
        else
            check_attribute(f, key, value);
    }
}

/* ---- given ---------------------------------------------------------------------------------------------- */

static void check_variants(struct fitting *f)
{
    const struct node *variant = f->test->variant;
    for (uint32_t i = 0; variant && i < variant->count; i++) {
        struct node *name = node_key(variant, i), *path = node_value(variant, i);
        struct words splits = {0}, paths = {0};
        bool found = false;
        for (uint32_t k = 0; k < f->set->journeys.journey_count; k++) {
            const struct journey *j = f->set->journeys.journeys[k];
            for (uint16_t m = 0; j && m < j->step_count; m++) {
                const struct step *s = &j->steps[m];
                if (s->kind == STEP_SPLIT) add_word(f, &splits, s->id);
                if (!is_split(j, s, name->text)) continue;
                found |= path_named(s, path->text) < s->split.count;
                for (uint16_t p = 0; p < s->split.count; p++) add_word(f, &paths, s->split.names[p]);
            }
        }
        if (found) continue;
        struct node *wrong = paths.count ? path : name;
        report_node(f->d, wrong, paths.count ? "that split has no path '%.*s'" : "there is no split '%.*s'",
                    SHOWN(wrong->text));
        suggest(f, nearest_of(f, wrong->text, paths.count ? &paths : &splits),
                paths.count ? "name a path of that split" : "a split is named STEP or JOURNEY.STEP");
    }
}

static void check_given(struct fitting *f)
{
    const struct node *given = f->test->given, *lists = f->test->lists;
    for (uint32_t i = 0; lists && i < lists->count; i++)
        known(f, REG_LIST, node_key(lists, i), "list", "lists");
    check_variants(f);
    for (uint32_t i = 0; given && i < given->count; i++) {
        struct node *person = node_value(given, i), *consent = node_find(person, "consent");
        if (word_in(node_key(given, i)->text, "holdout|lists|variant", NULL)) continue;
        check_traits(f, node_find(person, "traits"));
        if (consent) check_consent(f, consent);
    }
}

/* ---- events ----------------------------------------------------------------------------------------------- */

static void check_properties(struct fitting *f, const struct schema_event *e, struct node *map)
{
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++) {
        struct node *key = node_key(map, i), *value = node_value(map, i);
        uint16_t id = schema_prop_find(e, key->text);
        if (id != ID_NONE) {
            check_value(f, value, key->text, e->props[id].type, e->props[id].coerce);
            continue;
        }
        if (e->id < TYPE_DECLARED_BASE && word_in(key->text, "channel|topic", NULL)) continue;
        report_node(f->d, key, "'%.*s' has no property '%.*s'", SHOWN(e->name), SHOWN(key->text));
        struct slice near = registry_nearest(f->set->registry, REG_PROPERTY, e->id, key->text);
        if (near.n)
            report_fix(f->d, "did you mean '%.*s'?", SHOWN(near));
        else
            report_fix(f->d, "declare it under the `properties:` of the event");
    }
}

/* The value at a path such as campaign.source; NULL: not there. */
static struct node *at_path(struct node *map, struct slice path)
{
    while (map && path.n) {
        uint32_t n = 0;
        while (n < path.n && path.p[n] != '.') n++;
        struct node *inside = NULL;
        for (uint32_t i = 0; map->kind == NODE_MAPPING && i < map->count; i++)
            if (slice_eq(node_key(map, i)->text, slice_of(path.p, n))) inside = node_value(map, i);
        map = inside;
        path = slice_of(path.p + n + (n < path.n), path.n - n - (n < path.n));
    }
    return map;
}

static void check_context(struct fitting *f, const struct schema_event *e, struct node *context)
{
    if (!context) return;
    check_traits(f, node_find(context, "traits"));
    for (uint16_t i = 0; i < e->prop_count; i++) {
        const struct schema_prop *p = &e->props[i];
        struct node *value = p->live && p->from.n ? at_path(context, p->from) : NULL;
        if (value) check_value(f, value, p->name, p->type, p->coerce);
    }
}

/* Whatever else the engine would refuse it for. */
static void check_taken(struct fitting *f, const struct test_event *e)
{
    struct hash_secret secret;
    struct event parsed;
    hash_secret_from_seed(&secret, SLICE("test"));
    enum reject why = event_parse(&f->set->schema, &secret, e->record, 0, &f->d->arena, &parsed);
    if (why == REJECT_NONE ||
        (why == REJECT_NO_ID && node_find(node_find(e->node, "properties"), "action_id")))
        return;
    report_node(f->d, e->node, "the engine would reject this message: %s", reject_text(why));
    report_fix(f->d, why == REJECT_NO_ID ? "say whose it is: userId or anonymousId"
                                         : "for example {after: 1h, userId: u1, event: page}");
}

static void check_message(struct fitting *f, const struct test_event *e)
{
    struct slice call = message_call(e->node);
    bool track = slice_is(call, "track"), speaks = slice_is(call, "identify") || slice_is(call, "group");
    struct node *name = node_find(e->node, "event"), *traits = node_find(e->node, "traits");
    uint32_t before = f->d->errors;
    if (track && !name) {
        report_wrong(f->d, e->node, "add event: NAME, or traits: {...} for an identify",
                     "this event has no name");
        return;
    }
    uint16_t id = schema_find(&f->set->schema, NAME_EVENT, track ? name->text : call);
    if (id == ID_NONE) {
        if (!slice_is(name->text, "Push Disabled")) known(f, REG_EVENT, name, "event", "events");
        return; /* consent goes by that name without a declaration */
    }
    check_properties(f, &f->set->schema.events[id], node_find(e->node, "properties"));
    check_context(f, &f->set->schema.events[id], node_find(e->node, "context"));
    if (traits && speaks)
        check_traits(f, traits);
    else if (traits)
        report_wrong(f->d, traits, "put them into context: {traits: {...}}, or send an identify of their own",
                     "only identify and group bring traits");
    if (f->d->errors == before) check_taken(f, e);
}

static void check_events(struct fitting *f)
{
    for (uint32_t i = f->test->given_count; i < f->test->event_count; i++) {
        const struct test_event *e = &f->test->events[i];
        if (e->record.n)
            check_message(f, e);
        else
            known_step(f, node_find(e->node, "of"), NULL);
    }
}

/* ---- expect ------------------------------------------------------------------------------------------------- */

static void known_reason(struct fitting *f, struct node *n)
{
    struct words names = {0};
    for (enum decision d = DECISION_NONE; d < DECISION_COUNT; d++) {
        if (slice_is(n->text, decision_name(d))) return;
        add_word(f, &names, slice_str(decision_name(d)));
    }
    report_node(f->d, n, "there is no reason '%.*s'", SHOWN(n->text));
    suggest(f, nearest_of(f, n->text, &names), "no_consent, no_address, cap, quiet, expired, blocked ...");
}

static void check_entries(struct fitting *f, const struct node *list)
{
    for (uint32_t i = 0; list && i < list->count; i++) {
        const struct node *entry = list->list[i];
        struct node *journey = node_find(entry, "journey"), *step = node_find(entry, "step"),
                    *channel = node_find(entry, "channel"), *user = node_find(entry, "user"),
                    *reason = node_find(entry, "reason");
        if (journey && known_journey(f, journey) == ID_NONE) continue;
        if (step) known_step(f, step, journey);
        if (channel) known_channel(f, channel);
        if (user) known_person(f, user);
        if (reason) known_reason(f, reason);
    }
}

static void check_segments(struct fitting *f, const struct node *map)
{
    for (uint32_t i = 0; map && i < map->count; i++) {
        struct node *who = node_value(map, i);
        known(f, REG_SEGMENT, node_key(map, i), "segment", "segments");
        for (uint32_t k = 0; who->kind == NODE_SEQUENCE && k < who->count; k++) known_person(f, who->list[k]);
    }
}

static void check_profiles(struct fitting *f, const struct node *map)
{
    for (uint32_t i = 0; map && i < map->count; i++) {
        const struct node *fields = node_value(map, i);
        known_person(f, node_key(map, i));
        for (uint32_t k = 0; k < fields->count; k++)
            check_attribute(f, node_key(fields, k), node_value(fields, k));
    }
}

static void check_expect(struct fitting *f)
{
    const struct node *expect = f->test->expect, *journeys = node_find(expect, "journeys");
    check_entries(f, node_find(expect, "actions"));
    check_entries(f, node_find(expect, "suppressed"));
    check_entries(f, node_find(expect, "deferred"));
    for (uint32_t i = 0; journeys && i < journeys->count; i++) known_journey(f, node_key(journeys, i));
    check_segments(f, node_find(expect, "segments"));
    check_profiles(f, node_find(expect, "profile"));
}

void set_fits_test(const struct defset *set, const struct test_case *t, struct diagnostics *d)
{
    struct fitting f = {set, t, d};
    for (uint32_t i = 0; t->only && i < t->only->count; i++) known_journey(&f, t->only->list[i]);
    check_given(&f);
    check_events(&f);
    check_expect(&f);
}
