/* flow.c - following the steps of a journey: a list of steps nested in a step is one way through it; where such a list
 * ends, the person goes on behind that step. */
#include <stdio.h>

#include "tools/hourglass/chains.h"
#include "tools/hourglass/cli.h"

enum { LABEL_CHARACTERS = 64, PLACES_MAX = 4096, PATHS_MAX = 8192 };

/* ---- labels ---------------------------------------------------------------------------------------- */

/* At most LABEL_CHARACTERS, cut between characters; line ends become blanks. */
static struct slice label(struct arena *a, struct buf *text)
{
    uint32_t characters = 0;
    size_t n = 0;
    for (; n < text->n; n++) {
        if ((text->p[n] & 0xc0) != 0x80 && characters++ == LABEL_CHARACTERS) break;
        if (text->p[n] == '\n' || text->p[n] == '\r' || text->p[n] == '\t') text->p[n] = ' ';
    }
    bool cut = n < text->n;
    text->n = n;
    if (cut) buf_put_str(text, "…");
    struct slice kept = arena_slice(a, buf_slice(text));
    buf_free(text);
    return kept;
}

static struct slice flow_label(struct arena *a, const char *before, const struct node *n)
{
    struct buf text = {0};
    buf_put_str(&text, before);
    if (n) print_flow(n, &text);
    return label(a, &text);
}

static const struct node *text_node(const struct node *map, const char *key)
{
    const struct node *n = map && map->kind == NODE_MAPPING ? node_find(map, key) : NULL;
    return n && n->kind == NODE_SCALAR ? n : NULL;
}

/* "send email: cart_1" says more than the mapping; whatever else stands there is left out. */
static struct slice send_label(struct arena *a, const char *word, const struct node *body)
{
    static const char *const WHAT[] = {"template", "title", "op", "audience", "to"};
    const struct node *channel = text_node(body, "channel"), *what = NULL;
    struct buf text = {0};
    for (uint32_t i = 0; !what && i < sizeof WHAT / sizeof *WHAT; i++) what = text_node(body, WHAT[i]);
    if (body->kind != NODE_MAPPING || (!channel && !what)) return flow_label(a, word, body);
    buf_put_str(&text, word);
    if (channel) buf_put_slice(&text, channel->text);
    if (!channel)
        for (uint32_t i = 0; i < body->count; i++)
            if (node_value(body, i)->kind == NODE_SEQUENCE) { /* first_of, best_of */
                buf_printf(&text, "%.*s ", SHOWN(node_key(body, i)->text));
                print_flow(node_value(body, i), &text);
            }
    if (what) buf_printf(&text, ": %.*s", SHOWN(what->text));
    return label(a, &text);
}

/* ---- following the steps ------------------------------------------------------------------------------ */

struct tracer {
    struct arena *arena;
    struct flow *flow;
    const struct node *steps; /* of the whole journey: where goto looks */
};

static uint32_t add_place(struct tracer *t, enum place_kind kind, struct slice text)
{
    struct flow *f = t->flow;
    if (f->place_count == PLACES_MAX) die(EXIT_FAILED, "more than %d steps in one journey", PLACES_MAX);
    f->places[f->place_count] = (struct place_drawn){(uint8_t)kind, text};
    return f->place_count++;
}

static void add_path(struct tracer *t, uint32_t from, uint32_t to, struct slice text)
{
    struct flow *f = t->flow;
    if (f->path_count == PATHS_MAX) die(EXIT_FAILED, "more than %d paths in one journey", PATHS_MAX);
    f->paths[f->path_count++] = (struct path_drawn){from, to, text, false};
}

static struct slice step_word(const struct node *step, const struct node **body)
{
    static const char *const WORDS[] = {"wait", "wait_for",    "if",      "switch",      "split",
                                        "send", "cascade",     "webhook", "task",        "audience",
                                        "set",  "unsubscribe", "add_to",  "remove_from", "start",
                                        "stop", "pause",       "mute",    "goto",        "end"};
    *body = NULL;
    if (step->kind != NODE_MAPPING) return step->text;
    for (uint32_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if ((*body = node_find(step, WORDS[i]))) return slice_str(WORDS[i]);
    return SLICE("?");
}

static uint32_t item_count(const struct node *n) { return !n ? 0 : n->kind == NODE_SEQUENCE ? n->count : 1; }
static struct node *item(const struct node *n, uint32_t i)
{
    return n->kind == NODE_SEQUENCE ? n->list[i] : (struct node *)(uintptr_t)n;
}

typedef void list_visit(struct tracer *t, const struct node *list, struct slice way, void *self);

static void visit_named(struct tracer *t, const struct node *map, const char *before, list_visit *f,
                        void *self)
{
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++)
        f(t, node_value(map, i), flow_label(t->arena, before, node_key(map, i)), self);
}

static struct slice awaited(struct tracer *t, const struct node *match)
{
    static const char *const WORDS[] = {"event", "segment", "when", "segment_entered", "segment_left"};
    struct buf text = {0};
    const struct node *where = node_find(match, "where");
    for (uint32_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        const struct node *n = node_find(match, WORDS[i]);
        if (!n) continue;
        if (i && i != 2) buf_printf(&text, "%s ", WORDS[i]);
        print_flow(n, &text);
    }
    if (where) buf_put_str(&text, " where "), print_flow(where, &text);
    return label(t->arena, &text);
}

/* Every way through a step with steps inside, with what leads there; a missing list is NULL. */
static bool visit_ways(struct tracer *t, const struct node *step, list_visit *f, void *self)
{
    const struct node *body, *shares;
    struct slice word = step_word(step, &body);
    if (slice_is(word, "if")) {
        f(t, node_find(step, "then"), SLICE("yes"), self);
        f(t, node_find(step, "else"), SLICE("no"), self);
    } else if (slice_is(word, "switch")) {
        visit_named(t, node_find(body, "cases"), "", f, self);
        f(t, node_find(body, "default"), SLICE("otherwise"), self);
    } else if (slice_is(word, "split")) {
        shares = node_find(step, "paths");
        for (uint32_t i = 0; i < body->count; i++) {
            struct buf text = {0};
            buf_printf(&text, "%.*s %.*s", SHOWN(node_key(body, i)->text), SHOWN(node_value(body, i)->text));
            f(t, shares ? node_find(shares, (const char *)node_key(body, i)->text.p) : NULL,
              label(t->arena, &text), self);
        }
    } else if (slice_is(word, "wait_for")) {
        const struct node *any = node_find(body, "any"), *timeout = node_find(body, "timeout");
        for (uint32_t i = 0; i < item_count(any); i++)
            f(t, node_find(item(any, i), "then"), awaited(t, item(any, i)), self);
        if (!any) f(t, node_find(body, "then"), awaited(t, body), self);
        if (timeout) f(t, node_find(body, "else"), flow_label(t->arena, "after ", timeout), self);
    } else {
        return false;
    }
    return true;
}

static bool leaves_no_place(struct slice word) { return slice_is(word, "end") || slice_is(word, "goto"); }

static struct slice step_label(struct tracer *t, struct slice word, const struct node *step,
                               const struct node *body)
{
    char before[32];
    snprintf(before, sizeof before, "%.*s ", SHOWN(word));
    if (slice_is(word, "send") || slice_is(word, "task") || slice_is(word, "webhook") ||
        slice_is(word, "audience"))
        return send_label(t->arena, before, body);
    if (slice_is(word, "split")) return SLICE("split");
    if (slice_is(word, "switch")) return flow_label(t->arena, before, node_find(body, "on"));
    if (slice_is(word, "wait_for")) return SLICE("wait for");
    return flow_label(t->arena, before, body);
}

static void number_list(struct tracer *t, const struct node *list, struct slice way, void *self)
{
    for (uint32_t i = 0; i < item_count(list); i++) {
        struct node *step = item(list, i);
        const struct node *body;
        struct slice word = step_word(step, &body);
        if (leaves_no_place(word)) continue;
        enum place_kind kind = PLACE_ACT;
        if (slice_is(word, "wait") || slice_is(word, "wait_for")) kind = PLACE_WAIT;
        if (slice_is(word, "if") || slice_is(word, "switch") || slice_is(word, "split")) kind = PLACE_CHOICE;
        step->mark = add_place(t, kind, step_label(t, word, step, body));
        visit_ways(t, step, number_list, NULL);
    }
}

struct search {
    struct slice id;
    uint32_t found;
};

static void search_list(struct tracer *t, const struct node *list, struct slice way, void *self)
{
    struct search *s = self;
    for (uint32_t i = 0; i < item_count(list); i++) {
        const struct node *step = item(list, i), *body, *id;
        if (leaves_no_place(step_word(step, &body))) continue;
        id = text_node(step, "id") ? text_node(step, "id") : text_node(body, "id");
        if (id && slice_eq(id->text, s->id)) s->found = step->mark;
        visit_ways(t, step, search_list, s);
    }
}

/* Where somebody goes who comes to step i of a list. */
static uint32_t arrival(struct tracer *t, const struct node *list, uint32_t i, uint32_t behind)
{
    const struct node *body;
    if (i >= item_count(list)) return behind;
    struct slice word = step_word(item(list, i), &body);
    if (slice_is(word, "end")) return 1;
    if (!slice_is(word, "goto")) return item(list, i)->mark;
    struct search s = {body->text, 1};
    search_list(t, t->steps, (struct slice){0}, &s);
    return s.found;
}

struct behind {
    uint32_t step, next;
};

static void join_list(struct tracer *t, const struct node *list, uint32_t behind);

static void join_way(struct tracer *t, const struct node *list, struct slice way, void *self)
{
    const struct behind *b = self;
    add_path(t, b->step, arrival(t, list, 0, b->next), way);
    join_list(t, list, b->next);
}

static void join_list(struct tracer *t, const struct node *list, uint32_t behind)
{
    for (uint32_t i = 0; i < item_count(list); i++) {
        const struct node *step = item(list, i), *body;
        if (leaves_no_place(step_word(step, &body))) continue;
        struct behind b = {step->mark, arrival(t, list, i + 1, behind)};
        if (!visit_ways(t, step, join_way, &b)) add_path(t, b.step, b.next, (struct slice){0});
    }
}

static void add_endings(struct tracer *t, const struct node *list, enum place_kind kind, const char *word)
{
    for (uint32_t i = 0; i < item_count(list); i++) {
        uint32_t place = add_place(t, kind, flow_label(t->arena, word, item(list, i)));
        add_path(t, 0, place, (struct slice){0});
        t->flow->paths[t->flow->path_count - 1].any_time = true;
    }
}

void flow_of(struct chains *c, const struct chain *chain, struct flow *out)
{
    struct tracer t = {&c->arena, out, node_find(chain->node, "steps")};
    *out = (struct flow){.places = ARENA_ARRAY(&c->arena, struct place_drawn, PLACES_MAX),
                         .paths = ARENA_ARRAY(&c->arena, struct path_drawn, PATHS_MAX)};
    const struct node *trigger = node_find(chain->node, "trigger");
    add_place(&t, PLACE_START, trigger ? flow_label(t.arena, "", trigger) : SLICE("enter"));
    add_place(&t, PLACE_END, SLICE("end"));
    number_list(&t, t.steps, (struct slice){0}, NULL);
    add_path(&t, 0, arrival(&t, t.steps, 0, 1),
             node_find(chain->node, "only_if")
                 ? flow_label(t.arena, "only if ", node_find(chain->node, "only_if"))
                 : (struct slice){0});
    join_list(&t, t.steps, 1);
    add_endings(&t, node_find(chain->node, "goal"), PLACE_GOAL, "goal: ");
    add_endings(&t, node_find(chain->node, "exit"), PLACE_EXIT, "exit: ");
}
