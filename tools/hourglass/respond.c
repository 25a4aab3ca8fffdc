/* respond.c - a table of reactions per channel and a binary heap of outcomes to come, ordered by (second, number). */
#include "tools/hourglass/respond.h"

#include <stdlib.h>

#include "core/base/hash.h"
#include "core/define/scalar.h"
#include "core/define/table.h"
#include "core/define/yaml.h"
#include "tools/hourglass/cli.h"
#include "tools/hourglass/outcome.h"
#include "tools/hourglass/view.h"

enum { REACTIONS_MAX = 64, PPM = 1000000 };

struct reaction {
    struct slice channel, event;
    uint32_t ppm, after_s;
};
struct outcome {
    uint32_t at;
    uint64_t number;
    struct slice message;
};
struct responses {
    struct arena arena;
    struct reaction reactions[REACTIONS_MAX];
    uint32_t reaction_count;
    struct outcome *heap;
    uint32_t count, capacity;
    uint64_t next;
};

/* ---- the specification ------------------------------------------------------------------------------- */

static bool is_bad(struct slice event)
{
    return slice_is(event, "Message Bounced") || slice_is(event, "Message Failed");
}

/* The most of this channel who do something of the one kind. */
static uint32_t widest(const struct responses *r, struct slice channel, bool bad)
{
    uint32_t ppm = 0;
    for (uint32_t i = 0; i < r->reaction_count; i++) {
        const struct reaction *x = &r->reactions[i];
        if (slice_eq(x->channel, channel) && is_bad(x->event) == bad && x->ppm > ppm) ppm = x->ppm;
    }
    return ppm;
}

static void parse_reaction(struct responses *r, struct diagnostics *d, struct node *channel, struct node *key,
                           struct node *value, uint32_t after_s)
{
    struct reaction *x = &r->reactions[r->reaction_count];
    if (slice_is(key->text, "after")) return;
    *x = (struct reaction){.channel = channel->text, .event = outcome_event(key->text), .after_s = after_s};
    if (r->reaction_count + 1 == REACTIONS_MAX)
        report_node(d, key, "more than %d reactions", REACTIONS_MAX - 1);
    else if (!x->event.n)
        report_wrong(d, key, outcome_words(key->text, &r->arena), "no outcome");
    else if (!parse_percent(value->text, &x->ppm))
        report_node(d, value, "a percentage such as 42%% was expected");
    else
        r->reaction_count++;
    if (widest(r, channel->text, true) + widest(r, channel->text, false) > PPM)
        report_node(d, value, "with those who bounce or fail these are more than 100%%");
}

static void check_channel(struct responses *r, struct diagnostics *d, struct node *channel,
                          const struct journey_set *set)
{
    const char **names = ARENA_ARRAY(&r->arena, const char *, set->channel_count + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->channel_count; i++) {
        struct slice name = set->channels[i].name;
        if (slice_eq(name, channel->text)) return;
        if (name.n) names[n++] = arena_printf(&r->arena, "%.*s", (int)name.n, (const char *)name.p);
    }
    const char *near = nearest_word(channel->text, names, n, &r->arena);
    report_wrong(d, channel, near ? near : "the definitions name the channels under `channels`",
                 "there is no channel of this name");
}

static void parse_channel(struct responses *r, struct diagnostics *d, struct node *channel,
                          struct node *value)
{
    int64_t after_s = 0;
    struct node *after = value->kind == NODE_MAPPING ? node_find(value, "after") : NULL;
    if (value->kind != NODE_MAPPING || value->count == (after != NULL))
        report_node(d, value, "a channel's reactions are a map: {open: 42%%, after: 2h}");
    if (after && !parse_duration(after->text, &after_s))
        report_node(d, after, "a duration such as 2h was expected");
    for (uint32_t i = 0; value->kind == NODE_MAPPING && i < value->count; i++)
        parse_reaction(r, d, channel, node_key(value, i), node_value(value, i), (uint32_t)after_s);
}

struct responses *respond_parse(const char *spec, const struct journey_set *set)
{
    struct responses *r = calloc(1, sizeof *r);
    struct diagnostics d;
    struct buf text = {0};
    if (!r) die(EXIT_FAILED, "no memory");
    arena_init(&r->arena);
    diagnostics_init(&d);
    struct source_file *file = ARENA_NEW(&r->arena, struct source_file);
    *file = (struct source_file){SLICE("--respond"), arena_slice(&r->arena, slice_str(spec))};
    struct node *root = yaml_parse(file, &r->arena, &d);
    bool map = root && root->kind == NODE_MAPPING && root->count;
    if (!map && !d.errors)
        report_at(&d, SEVERITY_ERROR, file, 0, 1,
                  "a map was expected: {email: {open: 42%%, click: 5%%, after: 2h}}");
    for (uint32_t i = 0; map && i < root->count; i++) {
        check_channel(r, &d, node_key(root, i), set);
        parse_channel(r, &d, node_key(root, i), node_value(root, i));
    }
    diagnostics_print(&d, &text);
    while (text.n && text.p[text.n - 1] == '\n') text.n--;
    if (d.errors) die(EXIT_USAGE, "%.*s", (int)text.n, (const char *)text.p);
    diagnostics_free(&d);
    buf_free(&text);
    return r;
}

void respond_free(struct responses *r)
{
    arena_free(&r->arena);
    free(r->heap);
    free(r);
}

/* ---- the heap ------------------------------------------------------------------------------------------ */

static bool before(const struct outcome *a, const struct outcome *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static void swap(struct outcome *a, struct outcome *b)
{
    struct outcome t = *a;
    *a = *b;
    *b = t;
}

static void push(struct responses *r, struct outcome o)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 1024;
        r->heap = realloc(r->heap, r->capacity * sizeof *r->heap);
        if (!r->heap) die(EXIT_FAILED, "no memory");
    }
    uint32_t i = r->count++;
    for (r->heap[i] = o; i && before(&r->heap[i], &r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&r->heap[i], &r->heap[(i - 1) / 2]);
}

uint32_t respond_next(const struct responses *r) { return r->count ? r->heap[0].at : UINT32_MAX; }

struct slice respond_take(struct responses *r)
{
    struct slice message = r->heap[0].message;
    r->heap[0] = r->heap[--r->count];
    for (uint32_t i = 0;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < r->count; child++)
            if (before(&r->heap[child], &r->heap[least])) least = child;
        if (least == i) return message;
        swap(&r->heap[i], &r->heap[least]);
        i = least;
    }
}

/* ---- deciding ------------------------------------------------------------------------------------------- */

static bool reacts(const struct reaction *x, struct slice action_id)
{
    uint32_t place = (uint32_t)(hash64_plain(action_id.p, action_id.n) % PPM);
    return is_bad(x->event) ? place >= PPM - x->ppm : place < x->ppm;
}

void respond_action(struct responses *r, struct slice content, uint32_t at)
{
    struct slice id = view_text(content, "action_id"), channel = view_text(content, "channel");
    for (uint32_t i = 0; i < r->reaction_count; i++) {
        const struct reaction *x = &r->reactions[i];
        if (!slice_eq(x->channel, channel) || !reacts(x, id)) continue;
        uint32_t when = at + x->after_s;
        push(r, (struct outcome){when, r->next++, outcome_pack(&r->arena, content, x->event, when)});
    }
}
