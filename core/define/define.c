#include "core/define/bundle.h"
#include "core/define/compile.h"

#include <stdlib.h>

/* ---- life of a set ------------------------------------------------------------------------ */

static struct defset *set_new(const struct source_file *files, uint32_t count, uint32_t version)
{
    struct defset *set = calloc(1, sizeof *set);
    if (!set) abort();
    arena_init(&set->arena);
    set->version = version;
    set->references = 1;
    set->file_count = count;
    set->files = ARENA_ARRAY(&set->arena, struct source_file, count + 1);
    for (uint32_t i = 0; i < count; i++)
        set->files[i] = (struct source_file){arena_slice(&set->arena, files[i].name),
                                             arena_slice(&set->arena, files[i].text)};
    return set;
}

struct defset *defset_share(const struct defset *set)
{
    struct defset *shared = (struct defset *)set;
    __atomic_add_fetch(&shared->references, 1, __ATOMIC_RELAXED);
    return shared;
}

void defset_free(struct defset *set)
{
    while (set && __atomic_sub_fetch(&set->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct defset *before = set->before;
        arena_free(&set->arena);
        free(set);
        set = before;
    }
}

/* ---- former versions of journeys ------------------------------------------------------------- */

static bool is_current(const struct journey_set *set, const struct journey *j)
{
    return j->id < set->journey_count && set->journeys[j->id] && set->journeys[j->id]->version == j->version;
}

/* People inside finish on their version: what is not current any more stays to be walked. */
static void keep_older(struct defset *set, const struct defset *previous)
{
    struct journey_set *now = &set->journeys;
    const struct journey_set *then = &previous->journeys;
    const struct journey **older =
        ARENA_ARRAY(&set->arena, const struct journey *, then->older_count + then->journey_count + 1);
    for (uint32_t i = 0; i < then->older_count; i++)
        if (!is_current(now, then->older[i])) older[now->older_count++] = then->older[i];
    for (uint32_t i = 0; i < then->journey_count; i++)
        if (then->journeys[i] && !is_current(now, then->journeys[i]))
            older[now->older_count++] = then->journeys[i];
    now->older = older;
    if (now->older_count) set->before = defset_share(previous);
}

void defset_forget(struct defset *set, bool (*inside)(void *self, uint16_t journey, uint16_t version),
                   void *self)
{
    struct journey_set *j = &set->journeys;
    const struct journey **kept = ARENA_ARRAY(&set->arena, const struct journey *, j->older_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < j->older_count; i++)
        if (inside(self, j->older[i]->id, j->older[i]->version)) kept[count++] = j->older[i];
    j->older = kept;
    j->older_count = count;
    if (!count) {
        defset_free(set->before);
        set->before = NULL;
    }
    bundle_write(set);
}

/* ---- compiling --------------------------------------------------------------------------------- */

static bool is_definition(struct slice name)
{
    return name.n > 5 && memcmp(name.p + name.n - 5, ".yaml", 5) == 0;
}

static struct key sources_hash(const struct defset *set)
{
    struct buf all = {0};
    for (uint32_t i = 0; i < set->file_count; i++) {
        buf_put_le32(&all, set->files[i].name.n);
        buf_put_slice(&all, set->files[i].name);
        buf_put_le32(&all, set->files[i].text.n);
        buf_put_slice(&all, set->files[i].text);
    }
    struct key hash = hash128_plain(all.p, all.n);
    buf_free(&all);
    return hash;
}

static struct node *parse_files(struct compile *c)
{
    struct node **roots = ARENA_ARRAY(c->scratch, struct node *, c->file_count + 1);
    for (uint32_t i = 0; i < c->file_count; i++) {
        if (!is_definition(c->files[i].name)) continue;
        roots[i] = yaml_parse(&c->files[i], c->scratch, c->d);
        if (!roots[i]) continue;
        shape_check(roots[i], &definition_block, c->for_running, c->d);
        if (roots[i]->kind != NODE_MAPPING || roots[i]->bad) roots[i] = NULL;
    }
    return merge_files(c, roots, c->file_count);
}

static void forget_nodes(struct registry *r)
{
    for (uint32_t i = 0; i < r->count; i++) r->list[i]->node = NULL;
}

static void read_all(struct compile *c)
{
    c->root = parse_files(c);
    declare_names(c);
    read_calendar(c);
    read_values(c);
    read_model(c);
    read_channels(c);
    read_segments(c);
    read_journeys(c);
    check_templates(c);
    read_later(c);
}

struct defset *compile_set(const struct compile_order *order, struct diagnostics *d)
{
    struct arena scratch;
    arena_init(&scratch);
    struct defset *set = set_new(order->files, order->count, order->version);
    struct compile c = {.set = set,
                        .arena = &set->arena,
                        .scratch = &scratch,
                        .d = d,
                        .zone_dir = order->zone_dir,
                        .for_running = order->for_running,
                        .versions = order->versions,
                        .version_count = order->version_count,
                        .files = set->files,
                        .file_count = set->file_count};
    uint32_t errors_before = d->errors;
    c.registry = set->registry =
        order->registry ? registry_copy(order->registry, &set->arena) : registry_new(&set->arena);
    c.pool = expr_pool_create(&set->arena);
    read_all(&c);
    forget_nodes(set->registry);
    arena_free(&scratch);
    bool failed = d->errors != errors_before;
    diagnostics_sort(d);
    if (failed) {
        defset_free(set);
        return NULL;
    }
    set->hash = sources_hash(set);
    if (order->previous) keep_older(set, order->previous);
    journey_set_index(&set->journeys, &set->arena);
    bundle_write(set);
    return set;
}

struct defset *defset_compile(const struct source_file *files, uint32_t count, const struct defset *previous,
                              const char *zone_dir, struct diagnostics *d)
{
    struct compile_order order = {files,
                                  count,
                                  .previous = previous,
                                  .registry = previous ? previous->registry : NULL,
                                  .zone_dir = zone_dir,
                                  .version = previous ? previous->version + 1 : 1,
                                  .for_running = true};
    return compile_set(&order, d);
}

struct defset *defset_check(const struct source_file *files, uint32_t count, const struct defset *previous,
                            const char *zone_dir, struct diagnostics *d)
{
    struct compile_order order = {files,
                                  count,
                                  .previous = previous,
                                  .registry = previous ? previous->registry : NULL,
                                  .zone_dir = zone_dir,
                                  .version = previous ? previous->version + 1 : 1};
    return compile_set(&order, d);
}

struct defset *defset_empty(void)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct compile_order order = {.for_running = true};
    struct defset *set = compile_set(&order, &d);
    diagnostics_free(&d);
    return set;
}

/* ---- names ---------------------------------------------------------------------------------------- */

static uint16_t find(const struct defset *set, enum registry_kind kind, struct slice name)
{
    const struct registry_entry *e = registry_find(set->registry, kind, 0, name);
    return e ? e->id : ID_NONE;
}

uint16_t defset_segment(const struct defset *set, struct slice name) { return find(set, REG_SEGMENT, name); }
uint16_t defset_journey(const struct defset *set, struct slice name) { return find(set, REG_JOURNEY, name); }
uint16_t defset_channel(const struct defset *set, struct slice name) { return find(set, REG_CHANNEL, name); }

struct slice defset_journey_name(const struct defset *set, uint16_t id)
{
    for (uint32_t i = 0; i < set->registry->count; i++) {
        const struct registry_entry *e = set->registry->list[i];
        if (e->kind == REG_JOURNEY && e->id == id) return e->name;
    }
    return (struct slice){0};
}
