/* map.c - `map DIR`: every chain of a directory in one list, as marketers keep it in a spreadsheet, and what is wrong with
 * the list as a whole: chains that do the same, chains that nothing ends. */
#include <stdio.h>

#include "tools/hourglass/chains.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

enum column { NAME, STATE, SEGMENT, TRIGGER, CHANNELS, STEPS, GOAL, EXIT, LIMITS, PROBLEMS, COLUMNS };
static const char *const TITLES[COLUMNS] = {"name",  "state", "segment", "trigger", "channels",
                                            "steps", "goal",  "exit",    "limits",  "problems"};

struct line {
    struct slice cell[COLUMNS];
    struct slice start, steps; /* canonical: equal ones do the same */
};

static struct slice keep(struct arena *a, struct buf *b)
{
    struct slice s = arena_slice(a, buf_slice(b));
    buf_free(b);
    return s;
}

static const struct node *at(const struct node *map, const char *key)
{
    return map && map->kind == NODE_MAPPING ? node_find(map, key) : NULL;
}

static struct slice flow_text(struct arena *a, const struct node *n)
{
    struct buf b = {0};
    if (n) print_flow(n, &b);
    return keep(a, &b);
}

/* ---- cells ----------------------------------------------------------------------------------------- */

static bool listed(const struct buf *list, struct slice word)
{
    for (size_t i = 0; i + word.n <= list->n; i++) {
        if (memcmp(list->p + i, word.p, word.n) != 0) continue;
        if ((i == 0 || list->p[i - 1] == ' ') && (i + word.n == list->n || list->p[i + word.n] == ','))
            return true;
    }
    return false;
}

static void add_word(struct buf *list, struct slice word)
{
    if (!word.n || listed(list, word)) return;
    if (list->n) buf_put_str(list, ", ");
    buf_put_slice(list, word);
}

/* Every channel named anywhere in the steps: `channel: x`, and the items of first_of, best_of, cascade. */
static void find_channels(const struct node *n, struct buf *out)
{
    for (uint32_t i = 0; n->kind == NODE_SEQUENCE && i < n->count; i++) find_channels(n->list[i], out);
    for (uint32_t i = 0; n->kind == NODE_MAPPING && i < n->count; i++) {
        const struct node *key = node_key(n, i), *value = node_value(n, i);
        bool choice = slice_is(key->text, "first_of") || slice_is(key->text, "best_of") ||
                      slice_is(key->text, "cascade");
        if (slice_is(key->text, "channel") && value->kind == NODE_SCALAR) add_word(out, value->text);
        for (uint32_t k = 0; choice && value->kind == NODE_SEQUENCE && k < value->count; k++)
            if (value->list[k]->kind == NODE_SCALAR) add_word(out, value->list[k]->text);
        find_channels(value, out);
    }
}

static struct slice channels_of(struct arena *a, const struct node *steps)
{
    struct buf b = {0};
    if (steps) find_channels(steps, &b);
    return keep(a, &b);
}

static struct slice segment_of(struct arena *a, const struct node *trigger)
{
    static const char *const KEYS[] = {"segment_entered", "segment_left", "audience"};
    for (uint32_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (at(trigger, KEYS[i])) return flow_text(a, at(trigger, KEYS[i]));
    return (struct slice){0};
}

static struct slice trigger_of(struct arena *a, const struct node *chain)
{
    struct buf b = {0};
    if (at(chain, "trigger")) print_flow(at(chain, "trigger"), &b);
    if (at(chain, "only_if")) buf_put_str(&b, " only if "), print_flow(at(chain, "only_if"), &b);
    return keep(a, &b);
}

static struct slice limits_of(struct arena *a, const struct node *chain)
{
    static const char *const KEYS[] = {"reentry", "lane", "holdout", "active", "priority"};
    struct buf b = {0};
    for (uint32_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        const struct node *n = at(chain, KEYS[i]);
        if (!n && i) continue;
        buf_printf(&b, "%s%s ", b.n ? "; " : "", KEYS[i]);
        n ? print_flow(n, &b) : buf_put_str(&b, "once");
    }
    return keep(a, &b);
}

/* Steps, those inside others too. */
static uint32_t count_steps(const struct flow *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->place_count; i++) n += f->places[i].kind >= PLACE_WAIT;
    return n;
}

static struct slice canonical(struct arena *a, const struct node *n, const struct node *and_this)
{
    struct buf b = {0};
    if (n) node_canonical(n, &b);
    if (and_this) buf_put_str(&b, " if "), node_canonical(and_this, &b);
    return keep(a, &b);
}

static void fill(struct line *l, struct chains *all, const struct chain *chain)
{
    struct arena *a = &all->arena;
    const struct node *n = chain->node, *steps = at(n, "steps");
    struct flow flow;
    flow_of(all, chain, &flow);
    l->cell[NAME] = chain->name;
    l->cell[STATE] = at(n, "state") ? flow_text(a, at(n, "state")) : SLICE("live");
    l->cell[SEGMENT] = segment_of(a, at(n, "trigger"));
    l->cell[TRIGGER] = trigger_of(a, n);
    l->cell[CHANNELS] = channels_of(a, steps);
    l->cell[STEPS] = slice_str(arena_printf(a, "%u", count_steps(&flow)));
    l->cell[GOAL] = flow_text(a, at(n, "goal"));
    l->cell[EXIT] = flow_text(a, at(n, "exit"));
    l->cell[LIMITS] = limits_of(a, n);
    l->start = canonical(a, at(n, "trigger"), at(n, "only_if"));
    l->steps = canonical(a, steps, NULL);
}

/* ---- what is wrong with the list --------------------------------------------------------------------- */

static void say(struct buf *b, const char *format, struct slice name)
{
    if (b->n) buf_put_str(b, "; ");
    buf_put_str(b, format);
    buf_put_slice(b, name);
}

static bool find_problems(struct line *lines, uint32_t count, uint32_t i, struct arena *a)
{
    struct buf b = {0};
    struct line *l = &lines[i];
    if (!l->cell[GOAL].n) say(&b, "no goal", (struct slice){0});
    if (!l->cell[EXIT].n) say(&b, "no exit", (struct slice){0});
    for (uint32_t k = 0; k < count; k++) {
        if (k == i) continue;
        if (l->start.n && slice_eq(l->start, lines[k].start)) say(&b, "starts like ", lines[k].cell[NAME]);
        if (l->steps.n && slice_eq(l->steps, lines[k].steps))
            say(&b, "does the same as ", lines[k].cell[NAME]);
    }
    l->cell[PROBLEMS] = keep(a, &b);
    return l->cell[PROBLEMS].n > 0;
}

/* ---- printing ---------------------------------------------------------------------------------------- */

/* RFC 4180. A cell that a spreadsheet would run as a formula gets an apostrophe in front. */
static void put_cell(struct slice s, struct buf *out)
{
    bool formula = s.n && memchr("=+-@", s.p[0], 4);
    bool quote = formula || memchr(s.p ? s.p : (const uint8_t *)"", ',', s.n);
    for (uint32_t i = 0; i < s.n; i++) quote |= s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (quote) buf_put_u8(out, '"');
    if (formula) buf_put_u8(out, '\'');
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') buf_put_u8(out, '"');
        buf_put_u8(out, s.p[i]);
    }
    if (quote) buf_put_u8(out, '"');
}

static void print_csv(const struct line *lines, uint32_t count, struct buf *out)
{
    for (uint32_t k = 0; k < COLUMNS; k++) buf_printf(out, "%s%s", k ? "," : "", TITLES[k]);
    buf_put_str(out, "\r\n");
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < COLUMNS; k++) {
            if (k) buf_put_u8(out, ',');
            put_cell(lines[i].cell[k], out);
        }
        buf_put_str(out, "\r\n");
    }
}

static void print_json(const struct line *lines, uint32_t count, struct buf *out)
{
    buf_put_u8(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(out, i ? ",{" : "{");
        for (uint32_t k = 0; k < COLUMNS; k++) {
            buf_printf(out, "%s\"%s\":", k ? "," : "", TITLES[k]);
            json_print_text(lines[i].cell[k], out);
        }
        buf_put_u8(out, '}');
    }
    buf_put_str(out, "]\n");
}

/* For people: a paragraph each, because the cells are too long for columns. */
static void print_paragraphs(const struct line *lines, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "%s%.*s (%.*s)\n", i ? "\n" : "", SHOWN(lines[i].cell[NAME]),
                   SHOWN(lines[i].cell[STATE]));
        for (uint32_t k = SEGMENT; k < COLUMNS; k++)
            if (lines[i].cell[k].n) buf_printf(out, "  %-9s %.*s\n", TITLES[k], SHOWN(lines[i].cell[k]));
    }
}

int run_map(struct cli *c)
{
    struct chains chains;
    struct buf out = {0};
    uint32_t problems = 0;
    chains_read(c->argv[0], &chains);
    struct line *lines = ARENA_ARRAY(&chains.arena, struct line, chains.count + 1);
    for (uint32_t i = 0; i < chains.count; i++) fill(&lines[i], &chains, &chains.list[i]);
    for (uint32_t i = 0; i < chains.count; i++)
        problems += find_problems(lines, chains.count, i, &chains.arena);
    (c->json ? print_json : cli_option(c, "csv") ? print_csv : print_paragraphs)(lines, chains.count, &out);
    put_out(&out);
    if (!c->json && !cli_option(c, "csv"))
        printf("\n%u chain%s, %u with something to look at\n", chains.count, chains.count == 1 ? "" : "s",
               problems);
    buf_free(&out);
    chains_free(&chains);
    return problems && cli_option(c, "strict") ? EXIT_WRONG : EXIT_OK;
}
