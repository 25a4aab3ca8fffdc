/* arrives.c - `check --live`: the server's counts by event name against the `events:` of the files, and for each property
 * and attribute the number of people who have it. */
#include "tools/hourglass/arrives.h"

#include "core/define/yaml.h"
#include "tools/hourglass/ask.h"

struct arrivals {
    struct slice names; /* events.by_name: {name: how many} */
    struct rpc *rpc;
    const struct defset *set;
    struct diagnostics *d;
    struct arena arena;
    const struct node
        *events; /* the first `events:`, where what is missing could stand; NULL: there is none */
};

static int64_t arrived(const struct arrivals *a, struct slice name)
{
    for (struct items i = items_of(a->names); items_next(&i);)
        if (slice_eq(i.key, name)) return view_int(i.value, "");
    return 0;
}

static bool is_declared(const struct arrivals *a, struct slice name)
{
    return schema_find(&a->set->schema, NAME_EVENT, name) != ID_NONE;
}

/* Does the server know the expression, and is it true of nobody? */
static bool of_nobody(struct arrivals *a, const char *expression)
{
    struct request r = {0};
    struct buf params = {0};
    struct slice reply;
    struct rpc_error e;
    request_text(&r, "expression", expression);
    bool known = rpc_call(a->rpc, "query.count", request_params(&r, &params), &reply, &e);
    bool nobody = known && view_int(reply, "count") == 0;
    request_free(&r);
    buf_free(&params);
    return nobody;
}

/* ---- events ------------------------------------------------------------------------------------------- */

/* The name that comes and is not declared, and is most like this one; empty: none is near. */
static struct slice near_arrival(const struct arrivals *a, struct slice name)
{
    struct slice found = {0};
    uint32_t best = name.n / 3 + 1;
    for (struct items i = items_of(a->names); items_next(&i);) {
        uint32_t distance = text_distance(name, i.key, best);
        if (distance >= best || is_declared(a, i.key)) continue;
        best = distance;
        found = i.key;
    }
    return found;
}

static void check_properties(struct arrivals *a, const struct node *event, const struct node *body)
{
    const struct node *all = body->kind == NODE_MAPPING ? node_find(body, "properties") : NULL;
    for (uint32_t i = 0; all && i < all->count; i++) {
        const struct node *key = node_key(all, i);
        if (!of_nobody(a, arena_printf(&a->arena, "count(\"%.*s\", has(e.%.*s)) > 0", SHOWN(event->text),
                                       SHOWN(key->text))))
            continue;
        report_warning(a->d, key, "no '%.*s' that is kept has brought '%.*s'", SHOWN(event->text),
                       SHOWN(key->text));
        report_fix(a->d, "look at its name and type, or say `from:` where it stands in the message");
    }
}

static void check_events(struct arrivals *a, const struct node *events)
{
    for (uint32_t i = 0; i < events->count; i++) {
        const struct node *key = node_key(events, i);
        if (arrived(a, key->text)) {
            check_properties(a, key, node_value(events, i));
            continue;
        }
        struct slice near = near_arrival(a, key->text);
        report_warning(a->d, key, "'%.*s' has never arrived", SHOWN(key->text));
        if (near.n)
            report_fix(a->d, "'%.*s' arrives: is it that? `also: [...]` joins names", SHOWN(near));
        else
            report_fix(a->d, "does the site send it, under this name?");
    }
}

static void check_undeclared(struct arrivals *a)
{
    const struct source_file *file = a->events ? a->events->file : &a->set->files[0];
    for (struct items i = items_of(a->names); items_next(&i);) {
        if (!i.key.n || is_declared(a, i.key)) continue;
        report_at(a->d, SEVERITY_WARNING, file, a->events ? a->events->at : 0, 1,
                  "'%.*s' arrives (%lld) and is not declared", SHOWN(i.key),
                  (long long)view_int(i.value, ""));
        report_fix(a->d, "declare it, or name it in the `also:` of an event");
    }
}

/* ---- people -------------------------------------------------------------------------------------------- */

static void check_attributes(struct arrivals *a, const struct node *attributes)
{
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct node *key = node_key(attributes, i);
        if (!of_nobody(a, arena_printf(&a->arena, "has(profile.%.*s)", SHOWN(key->text)))) continue;
        report_warning(a->d, key, "nobody has '%.*s'", SHOWN(key->text));
        report_fix(a->d, "look at the traits that `identify` sends, or say `from:` where it stands");
    }
}

/* ---- together --------------------------------------------------------------------------------------------- */

static const struct node *block(const struct node *root, const char *name)
{
    const struct node *n = root && root->kind == NODE_MAPPING ? node_find(root, name) : NULL;
    return n && n->kind == NODE_MAPPING ? n : NULL;
}

void check_arrivals(struct cli *c, const struct defset *set, struct diagnostics *d)
{
    struct arrivals a = {.set = set, .d = d};
    struct request none = {0};
    struct slice stats = ask(c, "stats.get", &none);
    arena_init(&a.arena);
    a.names = view(stats, "events.by_name");
    a.rpc = rpc_connect(cli_setting(c, "admin"));
    for (uint32_t i = 0; i < set->file_count; i++) {
        struct slice name = set->files[i].name;
        bool yaml = name.n > 5 && memcmp(name.p + name.n - 5, ".yaml", 5) == 0;
        const struct node *root = yaml ? yaml_parse(&set->files[i], &a.arena, d) : NULL;
        const struct node *events = block(root, "events"), *attributes = block(root, "attributes");
        if (events) check_events(&a, events);
        if (attributes) check_attributes(&a, attributes);
        if (!a.events) a.events = events;
    }
    check_undeclared(&a);
    diagnostics_sort(d);
    rpc_close(a.rpc);
    arena_free(&a.arena);
}
