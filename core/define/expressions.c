/* expressions.c - what names mean inside an expression, and where in a file its mistakes are. */
#include "core/define/compile.h"

#include <ctype.h>

struct scope_self {
    struct compile *c;
    const struct journey_draft *journey;
    const struct node *text;     /* where the expression stands; NULL: in no file */
    const struct as_name *early; /* out: an awaited event that has not come there */
};

static bool known(struct expr_symbol *out, const struct registry_entry *e)
{
    if (!e) return false;
    out->id = e->id;
    out->type = e->type;
    out->shape = e->shape;
    return true;
}

static bool resolve_event(const struct compile *c, struct slice name, struct expr_symbol *out)
{
    uint16_t id = schema_find(&c->set->schema, NAME_EVENT, name); /* knows aliases too */
    if (id == ID_NONE) return false;
    out->id = id;
    const struct schema_event *e = &c->set->schema.events[id];
    out->cap = e->cap;
    out->keep_s = e->keep_s == UINT32_MAX ? 0 : e->keep_s;
    return true;
}

static bool resolve_step(const struct journey_draft *j, struct slice name, struct expr_symbol *out)
{
    for (uint32_t i = 0; j && i < j->name_count; i++) {
        if (!slice_eq(j->names[i].name, name)) continue;
        out->id = j->names[i].step;
        return true;
    }
    return false;
}

static bool inside(const struct node *n, const struct node *of)
{
    return n && of && n->file == of->file && n->at >= of->at && n->end <= of->end;
}

static bool resolve_as(struct scope_self *s, struct slice name, struct expr_symbol *out)
{
    const struct journey_draft *j = s->journey;
    for (uint32_t i = 0; j && i < j->as_count; i++) {
        if (!slice_eq(j->as[i].name, name)) continue;
        out->id = (uint16_t)(2 + i); /* scopes 0 and 1 are e and trigger */
        out->type = j->as[i].event;
        if (inside(s->text, j->as[i].otherwise)) s->early = &j->as[i];
        return true;
    }
    return false;
}

static bool resolve_value(const struct compile *c, struct slice name, struct expr_symbol *out)
{
    for (uint32_t i = 0; i < c->set->value_count; i++) {
        if (!slice_eq(c->set->values[i].name, name)) continue;
        out->constant = value_double(c->set->values[i].number);
        return true;
    }
    return false;
}

/* The number of a collection or catalog is its place in the block. */
static bool resolve_block(const struct compile *c, const char *block, struct slice name,
                          struct expr_symbol *out)
{
    struct node *map = node_find(c->root, block);
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++) {
        if (!slice_eq(node_key(map, i)->text, name)) continue;
        out->id = (uint16_t)i;
        return true;
    }
    return false;
}

static struct node *fields_in(const struct compile *c, const char *block, uint32_t number)
{
    struct node *map = node_find(c->root, block), *fields = get(node_value(map, number), "fields");
    return fields && fields->kind == NODE_MAPPING ? fields : NULL;
}

/* What is declared, and the key, whose type is that of the events' property. */
static bool resolve_field(const struct compile *c, const char *block, uint32_t number, struct slice name,
                          struct expr_symbol *out)
{
    struct node *fields = fields_in(c, block, number), *map = node_find(c->root, block);
    for (uint32_t i = 0; fields && i < fields->count; i++) {
        if (!slice_eq(node_key(fields, i)->text, name)) continue;
        out->type = type_of(node_value(fields, i));
        return true;
    }
    out->type = T_RAW;
    return slice_eq(get_text(node_value(map, number), "key"), name);
}

static bool resolve_lane(const struct compile *c, struct slice name)
{
    struct node *journeys = node_find(c->root, "journeys");
    for (uint32_t i = 0; journeys && journeys->kind == NODE_MAPPING && i < journeys->count; i++)
        if (slice_eq(get_text(get(node_value(journeys, i), "lane"), "name"), name)) return true;
    return false;
}

static bool resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    struct scope_self *s = self;
    const struct registry *r = s->c->registry;
    *out = (struct expr_symbol){0};
    switch (space) {
    case SPACE_ATTRIBUTE: return known(out, registry_find(r, REG_ATTRIBUTE, 0, name));
    case SPACE_EVENT: return resolve_event(s->c, name, out);
    case SPACE_PROPERTY:
        out->channel = within > TYPE_ALIAS && within < TYPE_DECLARED_BASE && slice_is(name, "channel");
        return known(out, registry_find(r, REG_PROPERTY, (uint16_t)within, name));
    case SPACE_SEGMENT: return known(out, registry_find(r, REG_SEGMENT, 0, name));
    case SPACE_LIST: return known(out, registry_find(r, REG_LIST, 0, name));
    case SPACE_CHANNEL: return known(out, registry_find(r, REG_CHANNEL, 0, name));
    case SPACE_JOURNEY: return known(out, registry_find(r, REG_JOURNEY, 0, name));
    case SPACE_TOPIC: return true; /* topics are not declared: any text is one */
    case SPACE_STEP: return resolve_step(s->journey, name, out);
    case SPACE_AS: return resolve_as(s, name, out);
    case SPACE_VALUE: return resolve_value(s->c, name, out);
    case SPACE_LANE: return resolve_lane(s->c, name);
    case SPACE_COLLECTION: return resolve_block(s->c, "collections", name, out);
    case SPACE_FIELD: return resolve_field(s->c, "collections", within, name, out);
    case SPACE_CATALOG: return resolve_block(s->c, "catalogs", name, out);
    case SPACE_ROW: return resolve_field(s->c, "catalogs", within, name, out);
    case SPACE_VARIABLE: return false;
    }
    return false;
}

static void consider(struct slice name, struct slice candidate, struct slice *found, uint32_t *best)
{
    uint32_t distance = text_distance(name, candidate, *best);
    if (distance > *best || (found->n && distance == *best)) return;
    *best = distance;
    *found = candidate;
}

static struct slice nearest_in_journey(const struct journey_draft *j, enum expr_space space,
                                       struct slice name)
{
    struct slice found = {0};
    uint32_t best = name.n < 4 ? 1 : name.n / 3;
    for (uint32_t i = 0; j && space == SPACE_STEP && i < j->name_count; i++)
        consider(name, j->names[i].name, &found, &best);
    for (uint32_t i = 0; j && space == SPACE_AS && i < j->as_count; i++)
        consider(name, j->as[i].name, &found, &best);
    return found;
}

static struct slice nearest_key(const struct node *map, struct slice name)
{
    struct slice found = {0};
    uint32_t best = name.n < 4 ? 1 : name.n / 3;
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++)
        consider(name, node_key(map, i)->text, &found, &best);
    return found;
}

static struct slice nearest(void *self, enum expr_space space, uint32_t within, struct slice name)
{
    const struct scope_self *s = self;
    const struct registry *r = s->c->registry;
    switch (space) {
    case SPACE_ATTRIBUTE: return registry_nearest(r, REG_ATTRIBUTE, 0, name);
    case SPACE_EVENT: return registry_nearest(r, REG_EVENT, 0, name);
    case SPACE_PROPERTY: return registry_nearest(r, REG_PROPERTY, (uint16_t)within, name);
    case SPACE_SEGMENT: return registry_nearest(r, REG_SEGMENT, 0, name);
    case SPACE_LIST: return registry_nearest(r, REG_LIST, 0, name);
    case SPACE_CHANNEL: return registry_nearest(r, REG_CHANNEL, 0, name);
    case SPACE_JOURNEY: return registry_nearest(r, REG_JOURNEY, 0, name);
    case SPACE_STEP:
    case SPACE_AS: return nearest_in_journey(s->journey, space, name);
    case SPACE_VALUE: return nearest_key(node_find(s->c->root, "values"), name);
    case SPACE_COLLECTION: return nearest_key(node_find(s->c->root, "collections"), name);
    case SPACE_FIELD: return nearest_key(fields_in(s->c, "collections", within), name);
    case SPACE_ROW: return nearest_key(fields_in(s->c, "catalogs", within), name);
    case SPACE_CATALOG: return nearest_key(node_find(s->c->root, "catalogs"), name);
    default: return (struct slice){0};
    }
}

static struct slice spelling(void *self, uint16_t attribute, struct slice text)
{
    const struct scope_self *s = self;
    const struct schema *schema = &s->c->set->schema;
    return attribute < schema->attribute_count ? attribute_spelling(&schema->attributes[attribute], text)
                                               : text;
}

/* Is there a comment behind a text that YAML does not quote? */
static bool comment_follows(const struct node *n)
{
    struct slice text = n->file->text;
    uint32_t at = n->end;
    while (at < text.n && text.p[at] == ' ') at++;
    return n->kind == NODE_SCALAR && n->style == STYLE_PLAIN && at > n->end && at < text.n &&
           text.p[at] == '#';
}

static void report_expression_fix(struct compile *c, const struct node *n, uint32_t from,
                                  const struct expr_error *e)
{
    if (from + e->at + e->length >= n->text.n && comment_follows(n))
        report_fix(c->d, "YAML takes what follows ' #' for a comment: put the whole between single quotes");
    else if (e->fix)
        report_fix(c->d, "%s", e->fix);
}

/* What the language has and this version does not run: `check` takes it with a warning. Returns the real errors. */
static uint32_t report_errors(struct compile *c, struct node *n, uint32_t from,
                              const struct expr_errors *errors)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < errors->count; i++) {
        const struct expr_error *e = &errors->list[i];
        bool mild = e->warning || (!c->for_running && strncmp(e->reason, "not yet", 7) == 0);
        report_at(c->d, mild ? SEVERITY_WARNING : SEVERITY_ERROR, n->file, node_byte(n, from + e->at),
                  e->length, "%s", e->reason);
        report_expression_fix(c, n, from, e);
        wrong += !mild;
    }
    return wrong;
}

static struct expr_scope scope_of(struct scope_self *self, struct place place)
{
    const struct journey_draft *j = place.journey;
    return (struct expr_scope){.self = self,
                               .resolve = resolve,
                               .nearest = nearest,
                               .spelling = spelling,
                               .event = place.event,
                               .trigger = j ? j->trigger_event : ID_NONE,
                               .any_event = place.any_event || (j && j->any),
                               .any_trigger = j && j->any,
                               .items = place.items,
                               .item_count = place.item_count,
                               .alarm = place.alarm,
                               .unsent = !j || place.entering};
}

const struct program *expression_part(struct compile *c, struct place place, struct node *n, uint32_t from,
                                      struct slice text, enum expr_want want)
{
    struct scope_self self = {c, place.journey, n, NULL};
    struct expr_scope scope = scope_of(&self, place);
    struct expr_errors errors = {0};
    const struct program *p = expr_compile(c->pool, &scope, text, want, &errors);
    if (self.early) {
        report_warning(c->d, n, "'%.*s' has not come when the steps of 'else' are walked",
                       SHOWN(self.early->name));
        report_fix(c->d, "ask for it in 'then', or for `trigger` here");
    }
    if (report_errors(c, n, from, &errors)) n->bad = true;
    return p;
}

const struct program *expression(struct compile *c, struct place place, struct node *n, enum expr_want want)
{
    if (!n || n->bad) return NULL;
    return expression_part(c, place, n, 0, n->text, want);
}

/* ---- values of `vars`, `set`, `from`, `to` ------------------------------------------------------ */

static struct value scalar_value(const struct node *n)
{
    bool flag;
    int64_t integer;
    double number;
    if (n->style == STYLE_PLAIN) {
        if (text_is_null(n->text)) return value_null();
        if (parse_bool(n->text, &flag)) return value_bool(flag);
        if (parse_integer(n->text, &integer)) return value_int(integer);
        if (parse_number(n->text, &number)) return value_double(number);
    }
    return value_string(n->text);
}

struct value literal_of(struct compile *c, const struct node *n)
{
    if (n->kind == NODE_SCALAR) {
        struct value v = scalar_value(n);
        return v.kind == V_STRING ? value_string(arena_slice(c->arena, n->text)) : v;
    }
    if (n->kind == NODE_SEQUENCE) {
        struct value *list = ARENA_ARRAY(c->arena, struct value, n->count + 1);
        for (uint32_t i = 0; i < n->count; i++) list[i] = literal_of(c, n->list[i]);
        return (struct value){.kind = V_LIST, .n = n->count, .list = list};
    }
    struct value_pair *map = ARENA_ARRAY(c->arena, struct value_pair, n->count + 1);
    for (uint32_t i = 0; i < n->count; i++)
        map[i] = (struct value_pair){value_string(arena_slice(c->arena, node_key(n, i)->text)),
                                     literal_of(c, node_value(n, i))};
    return (struct value){.kind = V_MAP, .n = n->count, .map = map};
}

bool literal_fits(struct value v, enum declared_type type)
{
    struct value out;
    if (v.kind == V_NULL) return true;
    if (type == T_RAW) return v.kind == V_LIST || v.kind == V_MAP;
    if (type != T_STRINGS) return value_fit(v, type, false, &out);
    for (uint32_t i = 0; v.kind == V_LIST && i < v.n; i++)
        if (v.list[i].kind != V_STRING) return false;
    return v.kind == V_LIST;
}

const char *type_word(enum declared_type type)
{
    static const char *const words[] = {
        [T_NUMBER] = "number", [T_STRING] = "string", [T_BOOL] = "bool",       [T_TIME] = "time",
        [T_DATE] = "date",     [T_RAW] = "list",      [T_STRINGS] = "[string]"};
    return words[type];
}

enum expr_want want_of(enum declared_type type)
{
    static const uint8_t wants[] = {
        [T_NUMBER] = WANT_NUMBER, [T_STRING] = WANT_STRING,   [T_BOOL] = WANT_BOOL, [T_TIME] = WANT_TIME,
        [T_DATE] = WANT_TIME,     [T_STRINGS] = WANT_STRINGS, [T_RAW] = WANT_ANY};
    return wants[type];
}

struct text_host {
    struct compile *c;
    struct place place;
    struct node *node;
    enum missing missing;
};

static const struct program *text_compile(void *self, struct slice text, const struct expr_item *items,
                                          uint32_t count, uint32_t at)
{
    struct text_host *h = self;
    h->place.items = items;
    h->place.item_count = count;
    return expression_part(h->c, h->place, h->node, at, text, WANT_ANY);
}

static void text_error(void *self, uint32_t at, uint32_t length, const char *reason)
{
    struct text_host *h = self;
    report_at(h->c->d, SEVERITY_ERROR, h->node->file, node_byte(h->node, at), length, "%s", reason);
    report_fix(h->c->d, "%s",
               "{{ value }}, {% if ... %}{% else %}{% endif %} and {% for x in list %}{% endfor %}");
    h->node->bad = true;
}

static void text_bare(void *self, uint32_t at, uint32_t length)
{
    struct text_host *h = self;
    if (h->missing == MISSING_FALLS_BACK) return;
    report_at(h->c->d, SEVERITY_ERROR, h->node->file, node_byte(h->node, at), length,
              "this value may be missing");
    report_fix(h->c->d, "say what stands there then: {{ ... | default: \"...\" }}%s",
               h->missing == MISSING_IN_TEMPLATE ? ", or give the template a fallback" : "");
}

const struct template_text *text_of(struct compile *c, struct place place, struct node *n, bool html,
                                    enum missing missing)
{
    struct text_host self = {c, place, n, missing};
    struct template_host host = {
        .self = &self, .compile = text_compile, .error = text_error, .bare = text_bare};
    return template_parse(n->text, html, &host, c->arena);
}

static bool holds(struct slice s, const char *two)
{
    for (uint32_t i = 0; i + 1 < s.n; i++)
        if (s.p[i] == (uint8_t)two[0] && s.p[i + 1] == (uint8_t)two[1]) return true;
    return false;
}

static bool is_rendered(const struct node *n)
{
    return n->kind == NODE_SCALAR && (holds(n->text, "{{") || holds(n->text, "{%"));
}

bool is_computed(const struct node *n) { return n->kind == NODE_SCALAR && n->text.n && n->text.p[0] == '='; }

/* Inside of a list or map nothing is computed: the whole is one expression then. */
static void check_inside(struct compile *c, struct node *n)
{
    uint32_t children = n->kind == NODE_MAPPING ? n->count * 2 : n->count;
    for (uint32_t i = 0; i < children; i++) {
        struct node *child = n->list[i];
        if (is_computed(child) || is_rendered(child))
            report_wrong(c->d, child, "make the whole one expression: '=[trigger.a, trigger.b]'",
                         "inside of a list or a map nothing is computed");
        check_inside(c, child);
    }
}

/* profile.x and its like, right or not */
static bool is_path(struct slice text)
{
    static const char *const roots[] = {"profile.", "trigger.", "context.", "e."};
    bool path = false;
    for (uint32_t i = 0; i < sizeof roots / sizeof *roots; i++)
        path |= text.n > strlen(roots[i]) && memcmp(text.p, roots[i], strlen(roots[i])) == 0;
    for (uint32_t i = 0; i < text.n; i++) path &= text.p[i] == '.' || text.p[i] == '_' || isalnum(text.p[i]);
    return path && text.p[text.n - 1] != '.';
}

/* A text that would be an expression: who wrote it meant its value. */
static void warn_of_text(struct compile *c, struct place place, struct node *n)
{
    bool looks = n->kind == NODE_SCALAR && n->style == STYLE_PLAIN &&
                 (memchr(n->text.p, '.', n->text.n) || memchr(n->text.p, '(', n->text.n));
    struct scope_self self = {c, place.journey, n, NULL};
    struct expr_scope scope = scope_of(&self, place);
    struct expr_errors errors = {0};
    if (!looks || scalar_value(n).kind != V_STRING) return;
    if (!is_path(n->text) && !expr_compile(c->pool, &scope, n->text, WANT_ANY, &errors)) return;
    report_warning(c->d, n, "'%.*s' is a text here: nothing is computed", SHOWN(n->text));
    report_fix(c->d, "begin with = where its value is meant: =%.*s", SHOWN(n->text));
}

struct field field_of(struct compile *c, struct place place, struct slice name, struct node *n,
                      enum expr_want want)
{
    struct field f = {.name = arena_slice(c->arena, name)};
    if (n->bad) return f;
    if (is_computed(n)) {
        uint32_t from = 1;
        while (from < n->text.n && n->text.p[from] == ' ') from++;
        f.program = expression_part(c, place, n, from, slice_of(n->text.p + from, n->text.n - from), want);
    } else if (is_rendered(n)) {
        f.text = text_of(c, place, n, false, MISSING_IN_FIELD);
    } else {
        check_inside(c, n);
        warn_of_text(c, place, n);
        f.literal = literal_of(c, n);
    }
    return f;
}

uint16_t fields_of(struct compile *c, struct place place, struct node *map, const struct field **out)
{
    if (!map || map->bad || map->kind != NODE_MAPPING || !map->count) return 0;
    struct field *list = ARENA_ARRAY(c->arena, struct field, map->count);
    for (uint32_t i = 0; i < map->count; i++)
        list[i] = field_of(c, place, node_key(map, i)->text, node_value(map, i), WANT_ANY);
    *out = list;
    return (uint16_t)map->count;
}

const struct program *defset_expression(const struct defset *set, uint16_t event, struct slice text,
                                        enum expr_want want, struct arena *a, struct expr_errors *errors)
{
    struct compile c = {.set = (struct defset *)set, .registry = set->registry};
    struct scope_self self = {.c = &c};
    struct expr_scope scope = scope_of(&self, PLACE_NONE);
    scope.event = scope.trigger = event;
    return expr_compile(expr_pool_create(a), &scope, text, want, errors);
}
