/* explain.c - segment.explain: a predicate part by part, each with its value for one person and when that can change. */
#include "core/expr/explain.h"
#include "core/define/yaml.h"
#include "io/introspect.h"

#include <stdio.h>

struct part_value {
    struct value v;
    int truth; /* 1, 0, -1: unknown */
    uint32_t next_change;
    const char *unknown; /* why there is no value, or NULL */
    uint32_t event_at;   /* the value is that of an event of this second; 0: of the person now */
};

/* ---- an event of history as the one at hand ------------------------------------------------------------- */

static bool is_recalled(const struct looking *l, uint16_t scope)
{
    return l->event != ID_NONE && scope <= 1 && !l->person.instance;
}

static struct value recalled_property(void *self, uint16_t scope, struct slice name, uint16_t index)
{
    const struct looking *l = self;
    const struct history_view *h = &l->history;
    if (!is_recalled(l, scope)) return person_source.property(self, scope, name, index);
    if (!h->n || !h->type || index >= h->type->prop_count) return value_none();
    return cell_value(history_cell_at(h, l->entry, index), h->type->props[index].type, h->heap);
}

static struct value recalled_context(void *self, uint16_t scope, struct slice path)
{
    struct looking *l = self;
    if (!is_recalled(l, scope)) return person_source.context(self, scope, path);
    l->context_asked = true;
    return value_none();
}

static uint32_t recalled_time(void *self, uint16_t scope)
{
    const struct looking *l = self;
    if (!is_recalled(l, scope)) return person_source.event_time(self, scope);
    return l->history.n ? history_time(&l->history, l->entry) : l->history.last;
}

void looking_recall(struct looking *l, uint16_t type)
{
    l->event = type;
    if (type == ID_NONE || !behaviour_view(l->person.store, l->person.row, type, &l->history))
        l->history = (struct history_view){0};
    l->entry = l->history.n ? l->history.n - 1 : 0;
}

uint16_t looking_trigger(const struct journey *j)
{
    uint16_t type = j->trigger_count ? j->triggers[0].id : ID_NONE;
    for (uint32_t i = 0; i < j->trigger_count; i++)
        if (j->triggers[i].kind != MATCH_EVENT || j->triggers[i].id != type) return ID_NONE;
    return type;
}

/* ---- looking at somebody ------------------------------------------------------------------------------------ */

void looking_begin(struct looking *l, const struct person_at *p)
{
    uint32_t shard = shard_now(p->shard), wall = p->worker->now, now = shard > wall ? shard : wall;
    arena_init(&l->scratch);
    l->set = shard_definitions(p->shard);
    l->person = (struct person){.store = shard_store(p->shard),
                                .row = p->row,
                                .set = &l->set->journeys,
                                .schema = &l->set->schema,
                                .scratch = &l->scratch,
                                .now = now};
    l->event = ID_NONE;
    l->source = person_source;
    l->source.property = recalled_property;
    l->source.context = recalled_context;
    l->source.event_time = recalled_time;
    l->context = (struct expr_context){.source = &l->source,
                                       .self = l,
                                       .now = now,
                                       .week = &l->set->journeys.week,
                                       .scratch = &l->scratch,
                                       .next_change = UINT32_MAX};
    l->context.zone = person_zone(&l->person);
}

void looking_end(struct looking *l) { arena_free(&l->scratch); }

/* ---- values ------------------------------------------------------------------------------------------------- */

/* Of the recalled event, which is not the one that decides: neither true nor false. */
static struct part_value ask_recalled(struct looking *l, const struct program *p)
{
    struct part_value x = {.truth = -1, .event_at = recalled_time(l, 0)};
    l->context_asked = false;
    if (l->history.n) x.v = program_run(p, &l->context);
    if (!l->history.count)
        x.unknown = "such an event never happened";
    else if (!l->history.n)
        x.unknown = "what it brought is not kept";
    else if (l->context_asked)
        x.unknown = "the context of an event is not kept";
    else if (x.v.kind == V_NONE)
        x.unknown = "it brought none, or none is kept";
    return x;
}

static struct part_value ask(struct looking *l, struct slice text)
{
    struct expr_errors errors = {0}, again = {0};
    const struct program *p = defset_expression(l->set, ID_NONE, text, WANT_ANY, &l->scratch, &errors);
    if (!p && l->event != ID_NONE) {
        p = defset_expression(l->set, l->event, text, WANT_ANY, &l->scratch, &again);
        if (p) return ask_recalled(l, p);
    }
    if (!p)
        return (struct part_value){
            .truth = -1, .unknown = errors.count ? errors.list[0].reason : "it cannot be asked by itself"};
    l->context.next_change = UINT32_MAX;
    struct part_value x = {.v = program_run(p, &l->context)};
    x.next_change = l->context.next_change;
    x.truth = x.v.kind == V_BOOL && x.v.b; /* an error is false, as a segment takes it */
    return x;
}

static int negated(int truth) { return truth < 0 ? truth : !truth; }

/* What a part that cannot be asked itself follows from those below it. The first child stands right behind it. */
static int follows(const struct expr_part *parts, const struct part_value *values, uint32_t count, uint32_t i)
{
    bool all = parts[i].kind == PART_ALL;
    bool unknown = false;
    if (parts[i].kind == PART_NOT && i + 1 < count) return negated(values[i + 1].truth);
    if (parts[i].kind != PART_ALL && parts[i].kind != PART_ANY) return -1;
    for (uint32_t k = i + 1; k < count && parts[k].depth > parts[i].depth; k++) {
        if (parts[k].depth != parts[i].depth + 1) continue;
        if (values[k].truth == !all) return !all; /* one false settles &&, one true || */
        unknown |= values[k].truth < 0;
    }
    return unknown ? -1 : all;
}

/* A duration as people write it: 16d22h9m. Anything else as value_write has it. */
static void pack_readable(pk_t *pk, struct value v)
{
    static const struct {
        uint32_t seconds;
        char unit;
    } UNITS[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    char text[64];
    int n = 0;
    int64_t left = v.i < 0 ? -v.i : v.i;
    if (v.kind != V_DURATION) {
        value_write(v, pk->data);
        return;
    }
    if (v.i < 0) text[n++] = '-';
    for (uint32_t i = 0; i < 4; i++) {
        int64_t many = left / UNITS[i].seconds;
        left %= UNITS[i].seconds;
        if (many || (i == 3 && n <= (v.i < 0)))
            n += snprintf(text + n, sizeof text - (size_t)n, "%lld%c", (long long)many, UNITS[i].unit);
    }
    pk_slice(pk, slice_of(text, (size_t)n));
}

static const char *type_of(struct value v)
{
    switch (v.kind) {
    case V_BOOL: return "bool";
    case V_INT:
    case V_UINT:
    case V_DOUBLE: return "number";
    case V_STRING: return "text";
    case V_TIME: return "time";
    case V_DURATION: return "duration";
    case V_LIST:
    case V_MAP:
    case V_RAW: return "list";
    default: return "none";
    }
}

static void pack_part(pk_t *pk, struct slice text, const struct expr_part *part, const struct part_value *x)
{
    static const char *const KINDS[] = {"all", "any", "not", "choice", "compare", "value"};
    pk_map(pk, 9);
    pk_text(pk, "text");
    pk_slice(pk, slice_of(text.p + part->at, part->length));
    pk_key_uint(pk, "depth", part->depth);
    pk_text(pk, "kind");
    pk_text(pk, KINDS[part->kind]);
    pk_text(pk, "value");
    pack_readable(pk, x->v);
    pk_text(pk, "type");
    pk_text(pk, type_of(x->v));
    pk_text(pk, "true");
    x->truth < 0 ? pk_nil(pk) : pk_bool(pk, x->truth);
    pk_text(pk, "next_change");
    pk_second(pk, x->next_change);
    pk_text(pk, "event_at");
    pk_second(pk, x->event_at);
    pk_text(pk, "unknown");
    if (x->unknown)
        pk_text(pk, x->unknown);
    else if (x->v.kind == V_ERROR)
        pk_slice(pk, value_text(x->v));
    else
        pk_nil(pk);
}

int pack_parts(pk_t *pk, struct looking *l, struct slice text)
{
    struct expr_part *parts;
    uint32_t count = expr_explain(text, &l->scratch, &parts);
    struct part_value *values = ARENA_ARRAY(&l->scratch, struct part_value, count + 1);
    for (uint32_t i = 0; i < count; i++) values[i] = ask(l, slice_of(text.p + parts[i].at, parts[i].length));
    for (uint32_t i = count; i-- > 0;)
        if (values[i].truth < 0) values[i].truth = follows(parts, values, count, i);
    pk_list(pk, count);
    for (uint32_t i = 0; i < count; i++) pack_part(pk, text, &parts[i], &values[i]);
    return count ? values[0].truth : -1;
}

/* ---- the text of a journey ------------------------------------------------------------------------------------- */

static bool is_yaml(struct slice name) { return name.n > 5 && memcmp(name.p + name.n - 5, ".yaml", 5) == 0; }

struct slice journey_text(const struct defset *set, struct slice journey, const char *key, struct arena *a)
{
    struct diagnostics d;
    struct slice found = {0};
    diagnostics_init(&d);
    for (uint32_t i = 0; i < set->file_count && !found.n; i++) {
        const struct source_file *f = &set->files[i];
        bool mentions = is_yaml(f->name) && memmem(f->text.p, f->text.n, journey.p, journey.n);
        const struct node *root = mentions ? yaml_parse(f, a, &d) : NULL;
        const struct node *all = root && root->kind == NODE_MAPPING ? node_find(root, "journeys") : NULL;
        for (uint32_t k = 0; all && all->kind == NODE_MAPPING && k < all->count; k++) {
            const struct node *body = node_value(all, k);
            if (!slice_eq(node_key(all, k)->text, journey) || body->kind != NODE_MAPPING) continue;
            const struct node *value = node_find(body, key);
            if (value && value->kind == NODE_SCALAR) found = arena_slice(a, value->text);
        }
    }
    diagnostics_free(&d);
    return found;
}

/* ---- the method --------------------------------------------------------------------------------------------------- */

static enum call_state explain(struct request *r, const struct person_at *p)
{
    struct slice name;
    struct looking l;
    uint32_t entered = 0, left = 0;
    looking_begin(&l, p);
    uint16_t id = param_text(r, 0, "name", &name) ? defset_segment(l.set, name) : ID_NONE;
    if (id == ID_NONE) { /* a newer set on worker 0 knows it, this shard does not yet */
        pk_nil(&r->pack);
        looking_end(&l);
        return CALL_DONE;
    }
    const struct segment *s = &l.set->segments.list[id];
    bool value = program_true(s->when, &l.context);
    uint32_t next_change = l.context.next_change;
    member_times(l.person.store, p->row, id, &entered, &left);
    pk_map(&r->pack, 10);
    pk_text(&r->pack, "name");
    pk_slice(&r->pack, name);
    pk_text(&r->pack, "when");
    pk_slice(&r->pack, s->text);
    pk_text(&r->pack, "member");
    pk_bool(&r->pack, member_get(l.person.store, p->row, id));
    pk_text(&r->pack, "value");
    pk_bool(&r->pack, value);
    pk_text(&r->pack, "entered");
    pk_second(&r->pack, entered);
    pk_text(&r->pack, "left");
    pk_second(&r->pack, left);
    pk_text(&r->pack, "next_change");
    pk_second(&r->pack, next_change);
    pk_key_uint(&r->pack, "as_of", l.person.now);
    pk_key_uint(&r->pack, "errors", l.context.errors);
    pk_text(&r->pack, "parts");
    pack_parts(&r->pack, &l, s->text);
    looking_end(&l);
    return CALL_HELD;
}

void method_segment_explain(struct request *r)
{
    struct slice name, id;
    if (!param_text(r, 0, "name", &name) || !param_text(r, 1, "id", &id))
        request_bad(r, "name and id are texts");
    else if (defset_segment(sets_newest(r->engine->sets), name) == ID_NONE)
        request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no segment %.*s", SHOWN(name));
    else
        lookup_person(r, id, explain);
}
