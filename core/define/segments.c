/* segments.c - who belongs: compiled in one pool, so that equal parts are one node for all. */
#include "core/define/compile.h"

#include <stdlib.h>

static void read_segment(struct compile *c, struct segment *s, const struct registry_entry *r)
{
    struct node *n = r->node;
    struct node *when = n->kind == NODE_MAPPING ? get(n, "when") : n;
    *s = (struct segment){.name = r->name, .id = r->id, .expect_max = UINT32_MAX};
    if (!when || n->bad) return;
    s->text = arena_slice(c->arena, when->text);
    s->when = expression(c, PLACE_NONE, when, WANT_BOOL);
    s->live = s->when != NULL;
    if (n->kind != NODE_MAPPING) return;
    struct node *expect = get(n, "expect");
    if (expect) parse_range(expect->text, &s->expect_min, &s->expect_max);
    s->description = arena_slice(c->arena, get_text(n, "description"));
}

static const struct registry_entry *entry_of(const struct compile *c, uint16_t segment)
{
    for (uint32_t i = 0; i < c->registry->count; i++)
        if (c->registry->list[i]->kind == REG_SEGMENT && c->registry->list[i]->id == segment)
            return c->registry->list[i];
    return NULL;
}

static void report_cycle(struct compile *c, const uint16_t *cycle, uint32_t count)
{
    const char *path = "";
    for (uint32_t i = 0; i <= count; i++) {
        struct slice name = c->set->segments.list[cycle[i % count]].name;
        path = arena_printf(c->scratch, "%s%s%.*s", path, i ? " -> " : "", SHOWN(name));
    }
    struct node *n = entry_of(c, cycle[0])->node;
    report_wrong(c->d, n, "let one of them say its condition itself instead of segment(...)",
                 "segments ask about each other in a circle: %s", path);
}

struct meaning {
    uint64_t identity; /* of the program: equal for equal expressions */
    uint16_t id;
};

static int compare_meanings(const void *pa, const void *pb)
{
    const struct meaning *a = pa, *b = pb;
    if (a->identity != b->identity) return a->identity < b->identity ? -1 : 1;
    return (int)a->id - (int)b->id;
}

/* By segment id: the first segment that says the same, which may be itself. */
static uint16_t *first_of_meaning(struct compile *c)
{
    const struct segment_set *set = &c->set->segments;
    struct meaning *list = ARENA_ARRAY(c->scratch, struct meaning, set->count + 1);
    uint16_t *first = ARENA_ARRAY(c->scratch, uint16_t, set->count + 1);
    uint32_t n = 0;
    for (uint32_t id = 0; id < set->count; id++)
        if (set->list[id].live)
            list[n++] = (struct meaning){program_identity(set->list[id].when), (uint16_t)id};
    if (n) qsort(list, n, sizeof *list, compare_meanings);
    for (uint32_t i = 0; i < n; i++) {
        bool again = i && list[i].identity == list[i - 1].identity;
        first[list[i].id] = again ? first[list[i - 1].id] : list[i].id;
    }
    return first;
}

static void warn_equal(struct compile *c)
{
    const struct segment_set *set = &c->set->segments;
    const uint16_t *first = first_of_meaning(c);
    for (uint32_t i = 0; i < c->registry->count; i++) {
        const struct registry_entry *r = c->registry->list[i];
        if (r->kind != REG_SEGMENT || !r->live || !set->list[r->id].live || first[r->id] == r->id) continue;
        report_warning(c->d, r->node, "segment '%.*s' says the same as '%.*s'", SHOWN(r->name),
                       SHOWN(set->list[first[r->id]].name));
        report_fix(c->d, "use one of them in place of both");
    }
}

void read_segments(struct compile *c)
{
    struct segment_set *set = &c->set->segments;
    set->count = registry_limit(c->registry, REG_SEGMENT, 0);
    set->list = ARENA_ARRAY(c->arena, struct segment, set->count + 1);
    bool whole = true;
    for (uint32_t i = 0; i < c->registry->count; i++) {
        const struct registry_entry *r = c->registry->list[i];
        if (r->kind != REG_SEGMENT || !r->live) continue;
        read_segment(c, &set->list[r->id], r);
        whole &= set->list[r->id].live;
    }
    warn_equal(c);
    if (!whole) return; /* an order of what is half there would only add guesses */
    uint16_t *cycle = ARENA_ARRAY(c->scratch, uint16_t, set->count + 1);
    uint32_t cycle_count = set->count; /* room */
    if (!segment_set_index(set, c->arena, cycle, &cycle_count)) report_cycle(c, cycle, cycle_count);
}
