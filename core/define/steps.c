/* steps.c - the steps of a journey: nested lists in the file, one table with next indices in the set.
 * First every step gets its number and its id, a step before the steps inside it; then each is read, knowing the
 * numbers of all. A list's node carries the number of its first step in `mark`, a step's node its own. */
#include "core/define/compile.h"
#include "core/base/check.h"

static const char *const STEP_WORDS[STEP_KIND_COUNT] = {
#define X(name, word) word,
    STEP_KINDS(X)
#undef X
};

/* ---- numbers, ids, names ------------------------------------------------------------------ */

/* The lists of steps inside a step, in the order of the file: calls f with the path that leads there. */
typedef void sub_list(void *self, struct node *list, const char *path);

static void each_in_map(struct node *map, const char *word, struct arena *a, sub_list *f, void *self)
{
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++)
        if (!node_value(map, i)->bad)
            f(self, node_value(map, i), arena_printf(a, "%s.%.*s", word, SHOWN(node_key(map, i)->text)));
}

static void each_sub_list(struct node *step, struct arena *a, sub_list *f, void *self)
{
    static const char *const words[] = {"then", "else"};
    struct node *list, *wait_for = get(step, "wait_for"), *any = get(wait_for, "any"),
                       *choose = get(step, "switch");
    for (uint32_t w = 0; w < 2; w++) {
        if ((list = get(step, words[w]))) f(self, list, words[w]);
        if ((list = get(wait_for, words[w]))) f(self, list, words[w]);
    }
    for (uint32_t i = 0; i < item_count(any); i++)
        if ((list = get(item(any, i), "then"))) f(self, list, arena_printf(a, "any.%u.then", i));
    each_in_map(get(choose, "cases"), "cases", a, f, self);
    if ((list = get(choose, "default"))) f(self, list, "default");
    each_in_map(get(step, "paths"), "paths", a, f, self);
}

struct counting {
    struct arena *arena; /* for paths nobody looks at */
    uint32_t steps;
};

static void count_list(void *self, struct node *list, const char *path)
{
    struct counting *counting = self;
    for (uint32_t i = 0; i < item_count(list); i++) {
        counting->steps++;
        if (item(list, i)->kind == NODE_MAPPING)
            each_sub_list(item(list, i), counting->arena, count_list, counting);
    }
}

/* Steps inside a step, itself not counted. */
static uint32_t steps_inside(struct node *step, struct arena *a)
{
    struct counting counting = {a, 0};
    if (step->kind == NODE_MAPPING) each_sub_list(step, a, count_list, &counting);
    return counting.steps;
}

/* The key of a step that says what it does: `wait`, `send` ... */
static const char *step_word(const struct node *n, uint32_t *kind)
{
    if (n->kind != NODE_MAPPING) return *kind = STEP_FINISH, STEP_WORDS[STEP_FINISH];
    for (uint32_t k = 0; k < STEP_KIND_COUNT; k++) {
        if (!has(n, STEP_WORDS[k])) continue;
        *kind = k;
        return STEP_WORDS[k];
    }
    return NULL;
}

static struct node *id_node(struct node *step)
{
    uint32_t kind;
    const char *word = step->kind == NODE_MAPPING ? step_word(step, &kind) : NULL;
    struct node *id = get(step, "id"),
                *body = word && kind != STEP_SET && kind != STEP_SPLIT ? get(step, word) : NULL;
    return id ? id : get(body, "id");
}

static void add_name(struct compile *c, struct journey_draft *j, struct node *id, uint16_t step)
{
    for (uint32_t i = 0; i < j->name_count; i++) {
        if (!slice_eq(j->names[i].name, id->text)) continue;
        report_wrong(c->d, id, "give each step a name of its own",
                     "two steps of this journey have the id '%.*s'", SHOWN(id->text));
        return;
    }
    j->names[j->name_count++] = (struct step_name){arena_slice(c->arena, id->text), step};
}

/* otherwise: the steps of the timeout, where the event has not come. */
static void add_as(struct compile *c, struct journey_draft *j, struct node *branch, struct node *otherwise)
{
    struct node *as = get(branch, "as"), *event = get(branch, "event");
    if (!as) return;
    if (!event) {
        report_wrong(c->d, as, "leave 'as' out", "'as' names an awaited event: it goes with 'event' only");
        return;
    }
    uint16_t type = schema_find(&c->set->schema, NAME_EVENT, event->text);
    for (uint32_t i = 0; i < j->as_count; i++) {
        if (!slice_eq(j->as[i].name, as->text)) continue;
        if (j->as[i].event != type)
            report_wrong(c->d, as, "give this event a name of its own",
                         "'%.*s' is the name of another awaited event already", SHOWN(as->text));
        j->as[i].otherwise = NULL; /* it may have come before */
        return;
    }
    if (word_in(as->text, "profile|context|e|trigger|now", NULL)) {
        report_wrong(c->d, as, "take another name", "'%.*s' means something else in expressions",
                     SHOWN(as->text));
        return;
    }
    struct as_name *more = ARENA_ARRAY(c->scratch, struct as_name, j->as_count + 1);
    if (j->as_count) memcpy(more, j->as, sizeof *more * j->as_count);
    more[j->as_count++] = (struct as_name){arena_slice(c->arena, as->text), type, otherwise};
    j->as = more;
}

struct numbering {
    struct compile *c;
    struct journey_draft *j;
    const char *prefix;
    uint16_t next;
};
static void number_list(void *self, struct node *list, const char *path);

static void number_step(struct numbering *in, struct node *n, uint32_t place_in_list, uint16_t next)
{
    struct compile *c = in->c;
    struct journey_draft *j = in->j;
    uint16_t number = (uint16_t)j->step_count++;
    struct node *id = n->kind == NODE_MAPPING && !n->bad ? id_node(n) : NULL;
    const char *path = arena_printf(c->arena, "%s%u", in->prefix, place_in_list);
    n->mark = number;
    j->drafts[number] = (struct step_draft){n, next};
    j->steps[number].id = id ? arena_slice(c->arena, id->text) : slice_str(path);
    if (id) add_name(c, j, id, number);
    if (n->bad || n->kind != NODE_MAPPING) return;
    struct node *wait_for = get(n, "wait_for"), *any = get(wait_for, "any");
    struct node *otherwise = get(wait_for, "else");
    add_as(c, j, wait_for, otherwise);
    for (uint32_t i = 0; i < item_count(any); i++) add_as(c, j, item(any, i), otherwise);
    struct numbering inside = {c, j, arena_printf(c->scratch, "%s.", path), next};
    each_sub_list(n, c->scratch, number_list, &inside);
}

static void number_list(void *self, struct node *list, const char *path)
{
    struct numbering *in = self, inner = *in;
    inner.prefix = arena_printf(in->c->scratch, "%s%s%s", in->prefix, path, *path ? "." : "");
    uint32_t count = item_count(list);
    list->mark = count ? in->j->step_count : in->next;
    for (uint32_t i = 0; i < count; i++) {
        struct node *n = item(list, i);
        uint32_t behind = in->j->step_count + 1 + steps_inside(n, in->c->scratch);
        number_step(&inner, n, i, i + 1 < count ? (uint16_t)behind : in->next);
    }
}

void collect_steps(struct compile *c, struct journey_draft *j, struct node *steps)
{
    if (!steps) return;
    struct counting counting = {c->scratch, 0};
    count_list(&counting, steps, "");
    uint32_t count = counting.steps;
    if (count >= STEP_END) {
        report_wrong(c->d, steps, "let a second journey go on: `start: NAME`",
                     "a journey has at most %d steps", STEP_END - 1);
        return;
    }
    if (!count)
        report_wrong(c->d, steps, "for example steps: [{wait: 1d}]", "a journey needs at least one step");
    j->drafts = ARENA_ARRAY(c->scratch, struct step_draft, count + 1);
    j->names = ARENA_ARRAY(c->scratch, struct step_name, count + 1);
    j->steps = ARENA_ARRAY(c->arena, struct step, count + 1);
    struct numbering all = {c, j, "", STEP_END};
    number_list(&all, steps, "");
    CHECK(j->step_count == count);
}

/* ---- branches ------------------------------------------------------------------------------------ */

static void warn_one_way(struct compile *c, const struct journey_draft *j, struct node *n,
                         const struct program *condition)
{
    enum expr_truth truth = condition ? program_truth(condition, j->journey->id, true) : TRUTH_OPEN;
    if (truth == TRUTH_OPEN) return;
    bool always = truth == TRUTH_ALWAYS;
    report_warning(c->d, n, "this is %s true: '%s' is never walked", always ? "always" : "never",
                   always ? "else" : "then");
    report_fix(c->d, "ask for something in which people differ, or leave the 'if' out");
}

static void read_if(struct compile *c, struct journey_draft *j, struct node *step, struct step *out)
{
    out->branch.condition = expression(c, place_in(j), get(step, "if"), WANT_BOOL);
    out->branch.then = enter(get(step, "then"), out->next);
    out->branch.otherwise = enter(get(step, "else"), out->next);
    struct node *then = node_find(step, "then"), *otherwise = node_find(step, "else");
    bool empty = (!then || (!then->bad && !item_count(then))) &&
                 (!otherwise || (!otherwise->bad && !item_count(otherwise)));
    if (empty) report_wrong(c->d, step, "add `then:` with the steps for true", "'if' needs 'then' or 'else'");
    warn_one_way(c, j, get(step, "if"), out->branch.condition);
}

/* A case that the value can never be is a mistake: most often digits without quotes. */
static void check_case(struct compile *c, const struct program *on, struct node *key, struct value v)
{
    bool number = v.kind == V_INT || v.kind == V_DOUBLE, is_text = v.kind == V_STRING;
    const char *fix = NULL;
    switch (program_result(on)) {
    case WANT_BOOL: fix = v.kind == V_BOOL ? NULL : "write true or false"; break;
    case WANT_NUMBER: fix = number ? NULL : "write a number"; break;
    case WANT_STRING: fix = is_text ? NULL : "'on' is a text, and so is a case: put it in quotes"; break;
    case WANT_TIME: fix = "make a number or a text of the time, such as now.getMonth()"; break;
    default: break;
    }
    if (fix) report_wrong(c->d, key, fix, "'on' is never '%.*s': it is of another type", SHOWN(key->text));
    const char *never = program_never(on, v, &c->d->arena);
    if (never)
        report_warning(c->d, key, "'%.*s': %s", SHOWN(key->text), never), report_fix(c->d, "%s", PARTS_FIX);
    uint16_t attribute = is_text ? program_attribute(on) : ID_NONE;
    if (attribute != ID_NONE) warn_spelling(c, key, &c->set->schema.attributes[attribute]);
}

static const struct program *read_on(struct compile *c, struct journey_draft *j, struct node *on)
{
    const struct program *p = expression(c, place_in(j), on, WANT_ANY);
    if (!p || !program_yields_many(p)) return p;
    report_wrong(c->d, on, "ask for one of its values: if: '\"tea\" in profile.interests'",
                 "no case is ever a whole list or map");
    return NULL;
}

static void read_switch(struct compile *c, struct journey_draft *j, struct node *step, struct step *out)
{
    struct node *n = get(step, "switch"), *cases = get(n, "cases");
    if (!n) return;
    out->choose.on = read_on(c, j, get(n, "on"));
    uint32_t count = cases && cases->kind == NODE_MAPPING ? cases->count : 0;
    if (cases && !count)
        report_wrong(c->d, cases, "for example cases: {gold: [end]}", "a switch needs at least one case");
    struct value *values = ARENA_ARRAY(c->arena, struct value, count + 1);
    uint16_t *to = ARENA_ARRAY(c->arena, uint16_t, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        values[i] = literal_of(c, node_key(cases, i));
        if (out->choose.on) check_case(c, out->choose.on, node_key(cases, i), values[i]);
        to[i] = enter(node_value(cases, i), out->next);
    }
    out->choose.count = (uint16_t)count;
    out->choose.cases = values;
    out->choose.to = to;
    out->choose.otherwise = enter(get(n, "default"), out->next);
}

static void check_paths(struct compile *c, struct node *shares, struct node *paths)
{
    for (uint32_t i = 0; paths && i < paths->count; i++) {
        struct node *key = node_key(paths, i);
        if (node_find(shares, (const char *)key->text.p)) continue;
        report_wrong(c->d, key, "name it in 'split' with its share, or leave the path out",
                     "'split' gives no share to the path '%.*s'", SHOWN(key->text));
    }
}

static void read_split(struct compile *c, struct node *step, struct step *out)
{
    struct node *shares = get(step, "split"), *paths = get(step, "paths");
    if (!shares || shares->kind != NODE_MAPPING) return;
    struct slice *names = ARENA_ARRAY(c->arena, struct slice, shares->count + 1);
    uint32_t *ppm = ARENA_ARRAY(c->arena, uint32_t, shares->count + 1), sum = 0;
    uint16_t *to = ARENA_ARRAY(c->arena, uint16_t, shares->count + 1);
    bool whole = true;
    for (uint32_t i = 0; i < shares->count; i++) {
        struct node *key = node_key(shares, i), *list = paths ? get(paths, (const char *)key->text.p) : NULL;
        names[i] = arena_slice(c->arena, key->text);
        ppm[i] = get_percent(shares, (const char *)key->text.p, 0);
        if (!ppm[i] && !node_value(shares, i)->bad)
            report_wrong(c->d, node_value(shares, i), "give this path a share, or leave it out",
                         "a share of 0%% is nobody's");
        whole &= !node_value(shares, i)->bad;
        sum += ppm[i];
        to[i] = enter(list, out->next);
    }
    if (whole && sum > 1000000)
        report_wrong(c->d, shares, "change the shares so that they add up to 100%",
                     "the shares add up to %u.%02u%%, more than 100%%", sum / 10000, sum % 10000 / 100);
    else if (whole && sum < 1000000)
        report_wrong(c->d, shares, "change the shares so that they add up to 100%",
                     "the shares add up to %u.%02u%%, not 100%%", sum / 10000, sum % 10000 / 100);
    check_paths(c, shares, paths);
    out->split.count = (uint16_t)shares->count;
    out->split.names = names;
    out->split.ppm = ppm;
    out->split.to = to;
}

/* ---- sends and other actions ------------------------------------------------------------------------ */

static void read_options(struct compile *c, struct node *list, struct step *out)
{
    uint32_t count = item_count(list);
    struct send_option *options = ARENA_ARRAY(c->arena, struct send_option, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct node *n = item(list, i);
        if (n->bad) continue;
        bool map = n->kind == NODE_MAPPING;
        options[i].channel = name_id(c, REG_CHANNEL, map ? get(n, "channel") : n);
        options[i].wait_s = map ? positive(c, n, "wait") : 0;
    }
    if (!count && list && !list->bad)
        report_wrong(c->d, list, "name a channel of `channels:`", "at least one channel is needed");
    out->send.options = options;
    out->send.option_count = (uint16_t)count;
}

static const char *route_of(struct compile *c, struct node *n)
{
    static const char *const words[] = {"channel", "first_of", "best_of", "cascade"};
    const char *found = NULL;
    for (uint32_t i = 0; i < 4; i++) {
        if (!has(n, words[i])) continue;
        if (found)
            report_wrong(c->d, n, "keep one of them", "a message goes either by '%s' or by '%s'", found,
                         words[i]);
        found = words[i];
    }
    if (!found) {
        report_at(c->d, SEVERITY_ERROR, n->file, n->at, 1, "this message has no channel");
        report_fix(c->d, "one of: channel, first_of, cascade");
    }
    return n->bad ? NULL : found;
}

static void check_parts(struct compile *c, struct node *name, const struct step *out)
{
    const struct template *t = out->send.template;
    for (uint16_t i = 0; t && i < out->send.option_count; i++) {
        uint16_t channel = out->send.options[i].channel;
        if (channel == ID_NONE || template_has_part(t, channel)) continue;
        report_wrong(c->d, name, "add a part for this channel to the template, or send by another channel",
                     "template '%.*s' says nothing for channel '%.*s'", SHOWN(name->text),
                     SHOWN(c->set->journeys.channels[channel].name));
        return;
    }
}

/* A computed name is known to the receiver only: what `templates:` holds is rendered under fixed names. */
static const struct program *read_template_name(struct compile *c, struct journey_draft *j, struct node *name)
{
    if (!name || !is_computed(name)) return NULL;
    if (has(c->root, "templates")) {
        report_warning(c->d, name, "a computed name is none of `templates:`: its receiver must know it");
        report_fix(c->d, "to choose among `templates:`, write a `switch` with a send in each case");
    }
    return field_of(c, place_in(j), SLICE("template"), name, WANT_STRING).program;
}

/* n: the braces of `send`, or the step itself for `cascade`, whose keys stand beside it. */
static void read_send(struct compile *c, struct journey_draft *j, struct node *n, struct step *out)
{
    const char *route = n ? route_of(c, n) : NULL;
    if (!route) return;
    struct node *template = get(n, "template"), *until = get(n, "until");
    if (!has(n, "template")) {
        report_at(c->d, SEVERITY_ERROR, n->file, n->at, 1, "a cascade needs 'template': what is sent");
        report_fix(c->d, "add `template:`");
        n->bad = true;
    }
    out->send.best = strcmp(route, "best_of") == 0;
    out->send.cascade = strcmp(route, "cascade") == 0;
    if (out->send.cascade) out->kind = STEP_CASCADE;
    read_options(c, get(n, route), out);
    out->send.cascade_until =
        (uint8_t)get_word(n, "until", "sent|delivered|opened|clicked|replied", SEND_CLICKED);
    if (until && !out->send.cascade)
        report_wrong(c->d, until, "leave it out, or turn 'channel' into 'cascade'",
                     "'until' goes with 'cascade' only");
    out->send.template_name = arena_slice(c->arena, template ? template->text : (struct slice){0});
    out->send.template_by = read_template_name(c, j, template);
    out->send.template = template_of(c, j, template);
    check_parts(c, template, out);
    out->send.topic = arena_slice(c->arena, get_text(n, "topic"));
    out->send.field_count = fields_of(c, place_in(j), get(n, "vars"), &out->send.vars);
    out->send.type = (uint8_t)get_word(n, "type", "transactional|trigger|mass", SEND_TRIGGER);
    out->send.once = get_bool(n, "once", false);
    out->send.best_hour = get_word(n, "when", "now|best_hour", 0) == 1;
    out->send.exit_on_expired = get_word(n, "on_expired", "continue|exit", 0) == 1;
    out->send.priority = (int32_t)get_integer(n, "priority", INT32_MIN);
    out->send.value = expression(c, place_in(j), get(n, "value"), WANT_NUMBER);
    out->send.expires_s = has(n, "expires") ? positive(c, n, "expires") : 86400;
}

/* `due: 3d` is an expression too: now and so long. */
static const struct program *read_due(struct compile *c, struct journey_draft *j, struct node *due)
{
    int64_t seconds;
    if (!due || due->kind != NODE_SCALAR) return NULL;
    if (due->text.n && due->text.p[0] == '=')
        return expression_part(c, place_in(j), due, 1, slice_of(due->text.p + 1, due->text.n - 1), WANT_TIME);
    if (!parse_duration(due->text, &seconds) || seconds > SECONDS_MAX) {
        report_wrong(c->d, due, "due: 3d, or due: =now + days(3)",
                     "'due': expected a duration such as 3d, or = and an expression that gives a time");
        return NULL;
    }
    const char *text = arena_printf(c->scratch, "now + duration(\"%llds\")", (long long)seconds);
    return expression_part(c, place_in(j), due, 0, slice_str(text), WANT_TIME);
}

/* Literal, computed or rendered; what is literal stays a text, be it digits. */
static struct field read_text(struct compile *c, struct journey_draft *j, const char *name, struct node *n,
                              enum expr_want want)
{
    struct field f = field_of(c, place_in(j), slice_str(name), n, want);
    if (!f.program && !f.text) f.literal = value_string(arena_slice(c->arena, n->text));
    return f;
}

/* A title travels among the other values. */
static void read_title(struct compile *c, struct journey_draft *j, struct node *title, struct step *out)
{
    if (!title) return;
    struct field *fields = ARENA_ARRAY(c->arena, struct field, out->act.field_count + 1u);
    if (out->act.field_count) memcpy(fields, out->act.vars, sizeof *fields * out->act.field_count);
    fields[out->act.field_count++] = read_text(c, j, "title", title, WANT_ANY);
    out->act.vars = fields;
}

static void read_act(struct compile *c, struct journey_draft *j, struct node *n, struct step *out)
{
    if (!n) return;
    struct node *template = get(n, "template"), *to = get(n, "to");
    out->act.channel = name_id(c, REG_CHANNEL, get(n, "channel"));
    out->act.template_name = arena_slice(c->arena, get_text(n, "template"));
    out->act.template_by = read_template_name(c, j, template);
    out->act.template = template_of(c, j, template);
    if (to) out->act.to = read_text(c, j, "to", to, WANT_STRING);
    out->act.field_count = fields_of(c, place_in(j), get(n, "vars"), &out->act.vars);
    read_title(c, j, get(n, "title"), out);
    out->act.due = read_due(c, j, get(n, "due"));
}

static void read_audience(struct compile *c, struct node *n, struct step *out)
{
    if (!n) return;
    struct node *add = get(n, "add"), *remove = get(n, "remove"), *name = add ? add : remove;
    if (!name || (add && remove)) {
        report_wrong(c->d, n, "for example audience: {add: NAME}; two steps do both",
                     "'audience' is either 'add' or 'remove'");
        return;
    }
    struct node *channel = get(n, "channel");
    if (!channel) channel = get(get(get(c->root, "audiences"), (const char *)name->text.p), "channel");
    if (!channel) {
        report_node(c->d, n, "no audience '%.*s' is declared, and no channel is given", SHOWN(name->text));
        report_fix(c->d, "add `channel: NAME` of the ad cabinet");
        return;
    }
    out->act.channel = name_id(c, REG_CHANNEL, channel);
    out->act.op = add ? SLICE("add") : SLICE("remove");
    out->act.audience = arena_slice(c->arena, name->text);
}

/* ---- changes ------------------------------------------------------------------------------------------ */

/* A rendered text is a string, which may name a date or a time; of a computed value the compiler knows. */
static bool field_fits(const struct field *f, enum declared_type type)
{
    if (f->program) return true;
    return f->text ? type == T_STRING || type == T_TIME || type == T_DATE : literal_fits(f->literal, type);
}

/* A zone that nobody knows would silently be the set's. */
static void check_zone(struct compile *c, struct node *n, const struct field *f)
{
    if (f->program || f->text || f->literal.kind != V_STRING || !f->literal.n) return;
    if (zone_load(c->zone_dir, value_text(f->literal))) return;
    report_wrong(c->d, n, "a name such as Europe/Moscow, or an offset such as +03:00",
                 "unknown time zone '%.*s'", SHOWN(n->text));
}

static void read_set(struct compile *c, struct journey_draft *j, struct node *map, struct step *out)
{
    if (!map) return;
    if (map->kind != NODE_MAPPING || !map->count) {
        report_wrong(c->d, map, "for example set: {stage: new}", "'set' needs at least one attribute");
        return;
    }
    uint16_t *ids = ARENA_ARRAY(c->arena, uint16_t, map->count + 1);
    struct field *fields = ARENA_ARRAY(c->arena, struct field, map->count + 1);
    for (uint32_t i = 0; i < map->count; i++) {
        struct node *key = node_key(map, i), *value = node_value(map, i);
        ids[i] = name_id(c, REG_ATTRIBUTE, key);
        enum declared_type type = ids[i] == ID_NONE ? T_RAW : c->set->schema.attributes[ids[i]].type;
        fields[i] = field_of(c, place_in(j), key->text, value, want_of(type));
        if (ids[i] == ID_NONE || value->bad) continue;
        if (ids[i] == c->set->schema.timezone) check_zone(c, value, &fields[i]);
        if (field_fits(&fields[i], type)) continue;
        report_node(c->d, value, "the attribute '%.*s' holds another type", SHOWN(key->text));
        report_fix(c->d, "write a value of the type that `attributes:` declares: %s", type_word(type));
    }
    out->set.count = (uint16_t)map->count;
    out->set.fields = fields;
    out->set.attributes = ids;
}

static void read_control(struct compile *c, struct node *n, const char *word, struct step *out)
{
    out->control.journey = ID_NONE;
    if (!n) return;
    struct node *name = n->kind == NODE_SCALAR ? n : get(n, "journey");
    if (!name && !has(n, "lane") && !has(n, "journey"))
        report_wrong(c->d, n, "for example `stop: NAME`", "'%s' names a journey", word);
    out->control.journey = name_id(c, REG_JOURNEY, name);
    if (strcmp(word, "pause") == 0 && !has(n, "for"))
        report_wrong(c->d, n, "for example pause: {journey: NAME, for: 3d}", "'pause' needs 'for': how long");
    if (n->kind != NODE_MAPPING) return;
    out->control.lane = arena_slice(c->arena, get_text(n, "lane"));
    out->control.for_s = positive(c, n, "for");
}

static void read_mute(struct compile *c, struct node *n, struct step *out)
{
    struct node *types = get(n, "types");
    uint32_t index;
    if (!n) return;
    out->mute.for_s = positive(c, n, "for");
    out->mute.types = types ? 0 : 1u << SEND_TRIGGER | 1u << SEND_MASS;
    if (types && !item_count(types))
        report_wrong(c->d, types, "name types, or leave it out for all but transactional",
                     "'types' needs at least one type of message");
    for (uint32_t i = 0; i < item_count(types); i++)
        if (word_in(item(types, i)->text, "transactional|trigger|mass", &index))
            out->mute.types |= (uint8_t)(1u << index);
}

static void read_goto(struct compile *c, struct journey_draft *j, struct node *name, struct step *out)
{
    out->jump.to = STEP_END;
    if (!name) return;
    const char **words = ARENA_ARRAY(c->scratch, const char *, j->name_count + 1);
    for (uint32_t i = 0; i < j->name_count; i++) {
        words[i] = (const char *)j->names[i].name.p;
        if (!slice_eq(j->names[i].name, name->text)) continue;
        out->jump.to = j->names[i].step;
        return;
    }
    report_node(c->d, name, "no step of this journey has the id '%.*s'", SHOWN(name->text));
    const char *near = nearest_word(name->text, words, j->name_count, &c->d->arena);
    report_fix(c->d, "%s", near ? near : "give the step to go on at `id: NAME`");
}

/* ---- one step --------------------------------------------------------------------------------------------- */

/* Keys that stand beside the step's word, and whose they are. */
static bool belongs(const char *key, uint32_t kind)
{
    if (strcmp(key, "id") == 0 || strcmp(key, STEP_WORDS[kind]) == 0) return true;
    if (kind == STEP_IF) return strcmp(key, "then") == 0 || strcmp(key, "else") == 0;
    if (kind == STEP_SPLIT) return strcmp(key, "paths") == 0;
    return kind == STEP_CASCADE &&
           word_in(slice_str(key),
                   "template|vars|topic|type|priority|value|expires|on_expired|once|when|until", NULL);
}

static void check_keys(struct compile *c, struct node *n, uint32_t kind)
{
    for (uint32_t i = 0; i < n->count; i++) {
        struct node *key = node_key(n, i);
        if (key->bad || belongs((const char *)key->text.p, kind)) continue;
        report_node(c->d, key, "'%.*s' does not belong to a step '%s'", SHOWN(key->text), STEP_WORDS[kind]);
        report_fix(c->d,
                   "each step is an item of its own, with a dash; the keys of a step stand inside its word");
    }
}

static bool any_bad(const struct node *n)
{
    if (!n || n->bad) return n != NULL;
    uint32_t children = n->kind == NODE_MAPPING ? n->count * 2 : n->count;
    for (uint32_t i = 0; i < children; i++)
        if (any_bad(n->list[i])) return true;
    return false;
}

static void read_step(struct compile *c, struct journey_draft *j, uint32_t number)
{
    struct node *n = j->drafts[number].node;
    struct step *s = &j->steps[number];
    uint32_t kind = STEP_FINISH;
    const char *word = step_word(n, &kind);
    s->kind = STEP_FINISH;
    s->next = j->drafts[number].next;
    if (n->bad || (!word && any_bad(n))) return;
    if (!word) {
        report_node(c->d, n, "this step does not say what it does");
        report_fix(c->d, "a step begins with one of: wait, wait_for, if, switch, split, send, webhook, task, "
                         "set, goto, end ...");
        return;
    }
    if (n->kind == NODE_MAPPING) check_keys(c, n, kind);
    s->kind = (uint8_t)kind;
    switch ((enum step_kind)kind) {
    case STEP_WAIT: read_wait(c, j, n, s); break;
    case STEP_WAIT_FOR: read_wait_for(c, j, n, s); break;
    case STEP_IF: read_if(c, j, n, s); break;
    case STEP_SWITCH: read_switch(c, j, n, s); break;
    case STEP_SPLIT: read_split(c, n, s); break;
    case STEP_SEND: read_send(c, j, get(n, word), s); break;
    case STEP_CASCADE: read_send(c, j, n, s); break;
    case STEP_WEBHOOK:
    case STEP_TASK: read_act(c, j, get(n, word), s); break;
    case STEP_AUDIENCE: read_audience(c, get(n, word), s); break;
    case STEP_UNSUBSCRIBE:
        s->unsubscribe.channel = name_id(c, REG_CHANNEL, get(get(n, word), "channel"));
        s->unsubscribe.topic = arena_slice(c->arena, get_text(get(n, word), "topic"));
        break;
    case STEP_SET: read_set(c, j, get(n, word), s); break;
    case STEP_ADD_TO:
    case STEP_REMOVE_FROM: s->list.list = name_id(c, REG_LIST, get(n, word)); break;
    case STEP_START:
    case STEP_STOP:
    case STEP_PAUSE: read_control(c, get(n, word), word, s); break;
    case STEP_MUTE: read_mute(c, get(n, word), s); break;
    case STEP_GOTO: read_goto(c, j, get(n, word), s); break;
    case STEP_FINISH: s->next = STEP_END; break;
    case STEP_KIND_COUNT: break;
    }
}

void read_steps(struct compile *c, struct journey_draft *j)
{
    struct journey *out = j->journey;
    for (uint32_t i = 0; i < j->step_count; i++) read_step(c, j, i);
    struct slice *as = ARENA_ARRAY(c->arena, struct slice, j->as_count + 1);
    for (uint32_t i = 0; i < j->as_count; i++) as[i] = j->as[i].name;
    out->as_names = as;
    out->as_count = (uint16_t)j->as_count;
    out->steps = j->steps;
    out->step_count = (uint16_t)j->step_count;
    out->first = j->step_count ? 0 : STEP_END;
    if (!any_bad(get(j->node, "steps")))
        check_graph(c, j); /* a broken step leads nowhere: what follows is not to blame */
}
