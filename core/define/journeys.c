/* journeys.c - the head of a journey: who enters, who leaves, what it is for. Its steps are in steps.c. */
#include "core/define/compile.h"

static struct place at_event(struct place place, uint16_t event) { return place.event = event, place; }
static struct place place_before(struct journey_draft *j)
{
    return (struct place){.event = j->trigger_event, .journey = j, .entering = true};
}

/* ---- what is waited for ----------------------------------------------------------------------- */

/* Which one of the words is written; NULL after a message when it is none, or several. */
static const char *only_one_of(struct compile *c, struct node *n, const char *const *words, const char *what)
{
    const char *found = NULL;
    for (; *words; words++) {
        if (!has(n, *words)) continue;
        if (found) {
            report_wrong(c->d, n, "keep one of them; several may stand in a list, each with its own dash",
                         "%s is either '%s' or '%s'", what, found, *words);
            return NULL;
        }
        found = *words;
    }
    if (!found && !n->bad)
        report_wrong(c->d, n, "begin it with what happens: event, segment, when ...",
                     "%s does not say what it waits for", what);
    return found;
}

static void check_companions(struct compile *c, struct node *n, const char *word,
                             const char *const (*pairs)[2])
{
    for (; (*pairs)[0]; pairs++) {
        struct node *value = get(n, (*pairs)[0]);
        if (value && strcmp((*pairs)[1], word) != 0)
            report_wrong(c->d, value, "leave it out", "'%s' goes with '%s' only", (*pairs)[0], (*pairs)[1]);
    }
}

bool read_match(struct compile *c, struct place place, struct node *n, const char *word, struct match *m)
{
    struct node *value = get(n, word);
    m->id = ID_NONE;
    if (!value) return false;
    if (strcmp(word, "event") == 0) {
        m->kind = MATCH_EVENT;
        m->id = event_id(c, value);
        if (m->id != ID_NONE) m->where = expression(c, at_event(place, m->id), get(n, "where"), WANT_BOOL);
        m->where_text = arena_slice(c->arena, get_text(n, "where"));
    } else if (strcmp(word, "segment_left") == 0) {
        m->kind = MATCH_SEGMENT_LEFT;
        m->id = name_id(c, REG_SEGMENT, value);
    } else if (strcmp(word, "segment") == 0 || strcmp(word, "segment_entered") == 0) {
        m->kind = MATCH_SEGMENT_ENTERED;
        m->id = name_id(c, REG_SEGMENT, value);
    } else if (strcmp(word, "when") == 0) {
        m->kind = MATCH_WHEN;
        m->where = expression(c, place, value, WANT_BOOL);
    } else {
        m->kind = strcmp(word, "silence") == 0 ? MATCH_SILENCE : MATCH_AFTER;
        m->seconds = positive(c, n, word);
    }
    return true;
}

/* Where that is written which decides whether it comes about. */
static struct node *condition_of(struct node *n, const struct match *m)
{
    switch (m->kind) {
    case MATCH_EVENT: return get(n, "where");
    case MATCH_WHEN: return get(n, "when");
    case MATCH_SEGMENT_LEFT: return get(n, "segment_left");
    default: return get(n, has(n, "segment") ? "segment" : "segment_entered");
    }
}

/* Does it come about, by what is written alone? Of who is inside the journey, or not. An event has to come first, and who
 * leaves a segment, be it that of a journey's people, was inside before. */
static enum expr_truth match_truth(const struct compile *c, const struct match *m, uint16_t journey,
                                   bool inside)
{
    bool segment = m->kind == MATCH_SEGMENT_ENTERED || m->kind == MATCH_SEGMENT_LEFT;
    const struct program *asks = segment && m->id != ID_NONE ? c->set->segments.list[m->id].when : m->where;
    enum expr_truth truth = asks ? program_truth(asks, segment ? ID_NONE : journey, inside) : TRUTH_OPEN;
    return truth == TRUTH_ALWAYS && m->kind != MATCH_WHEN ? TRUTH_OPEN : truth;
}

bool check_match(struct compile *c, struct journey_draft *j, struct node *n, const struct match *m,
                 const char *never)
{
    struct node *where = get(n, "where"), *at = condition_of(n, m);
    if (where && m->kind != MATCH_EVENT)
        report_wrong(c->d, where, "put the condition into 'when'", "'where' goes with 'event' only");
    enum expr_truth truth = match_truth(c, m, j->journey->id, true);
    if (truth == TRUTH_NEVER) {
        report_warning(c->d, at, "this is never true: %s", never);
        report_fix(c->d, "ask for something that may happen, or leave it out");
    }
    return truth == TRUTH_ALWAYS;
}

/* ---- triggers -------------------------------------------------------------------------------------- */

void warn_spelling(struct compile *c, struct node *n, const struct schema_attribute *a)
{
    struct slice kept = attribute_spelling(a, n->text);
    if (slice_eq(kept, n->text)) return;
    report_warning(c->d, n, "'%.*s' never holds this text: `normalize` keeps it under another spelling",
                   SHOWN(a->name));
    report_fix(c->d, "write %.*s", SHOWN(kept));
}

/* What an attribute is compared with, as the program the walk wants. */
static const struct program *compared_with(struct compile *c, struct journey_draft *j, struct node *n,
                                           uint16_t attribute)
{
    if (!n || attribute == ID_NONE) return NULL;
    enum declared_type type = c->set->schema.attributes[attribute].type;
    if (is_computed(n)) return field_of(c, place_before(j), n->text, n, want_of(type)).program;
    struct value literal = literal_of(c, n), fitted;
    bool null = literal.kind == V_NULL, text = type == T_STRING && !null;
    if (text) literal = value_string(arena_slice(c->arena, n->text));
    if (!null && !value_fit(literal, type, false, &fitted)) {
        report_node(c->d, n, "the attribute is never this: it is declared as another type");
        report_fix(c->d, "write a value of that type: %s", type_word(type));
        return NULL;
    }
    if (text && n->text.n > 1 && n->text.p[0] == '"') {
        report_warning(c->d, n, "the quotes are part of this value: it is literal");
        report_fix(c->d, "leave the inner quotes out");
    }
    if (text) warn_spelling(c, n, &c->set->schema.attributes[attribute]);
    return expr_constant(c->pool, null ? literal : fitted);
}

static void read_date_trigger(struct compile *c, struct journey_draft *j, struct node *n, struct match *m)
{
    m->kind = MATCH_DATE;
    m->date = expression(c, at_event(place_before(j), ID_NONE), get(n, "date"), WANT_TIME);
    m->every_year = has(n, "every");
    m->offset_s = (int32_t)get_seconds(n, "offset", 0);
    m->clock_s = get_clock(n, "at", 0);
    struct node *offset = get(n, "offset");
    if (offset && m->offset_s % 86400) {
        report_node(c->d, offset, "the offset of a date is whole days");
        report_fix(c->d, "`at` gives the time of day");
    }
}

static void read_attribute_trigger(struct compile *c, struct journey_draft *j, struct node *n,
                                   struct match *m)
{
    m->kind = MATCH_ATTRIBUTE;
    m->id = name_id(c, REG_ATTRIBUTE, get(n, "attribute_changed"));
    m->from = compared_with(c, j, get(n, "from"), m->id);
    m->to = compared_with(c, j, get(n, "to"), m->id);
    m->from_text = arena_slice(c->arena, get_text(n, "from"));
    m->to_text = arena_slice(c->arena, get_text(n, "to"));
}

static void check_trigger_keys(struct compile *c, struct node *n, const char *word)
{
    static const char *const pairs[][2] = {{"where", "event"},
                                           {"to", "attribute_changed"},
                                           {"from", "attribute_changed"},
                                           {"every", "date"},
                                           {"offset", "date"},
                                           {"at", "date"},
                                           {0}};
    bool later = word_in(slice_str(word), "item|schedule|broadcast|catalog|rfm_changed", NULL);
    if (!later) check_companions(c, n, word, pairs);
    struct node *existing = get(n, "existing");
    if (existing && strncmp(word, "segment_", 8) != 0)
        report_wrong(c->d, existing,
                     "it says who is inside already: use segment_entered or segment_left, or leave it out",
                     "'existing' goes with a segment only");
}

static bool read_trigger(struct compile *c, struct journey_draft *j, struct node *n, struct match *m)
{
    static const char *const words[] = {"event",     "segment_entered", "segment_left", "attribute_changed",
                                        "date",      "manual",          "item",         "schedule",
                                        "broadcast", "catalog",         "rfm_changed",  NULL};
    *m = (struct match){.kind = MATCH_MANUAL, .id = ID_NONE};
    if (n->bad) return false;
    if (n->kind == NODE_SCALAR) return true;
    const char *word = only_one_of(c, n, words, "a trigger");
    if (!word) return false;
    check_trigger_keys(c, n, word);
    if (strcmp(word, "attribute_changed") == 0)
        read_attribute_trigger(c, j, n, m);
    else if (strcmp(word, "date") == 0)
        read_date_trigger(c, j, n, m);
    else if (strcmp(word, "event") == 0 || strncmp(word, "segment_", 8) == 0)
        read_match(c, place_before(j), n, word, m);
    else if (strcmp(word, "manual") != 0)
        return check_later_trigger(c, j, n), false;
    m->existing = get_word(n, "existing", "ignore|enter", 0) == 1;
    return true;
}

/* `trigger.x` is known when every trigger is the same event. */
static void find_trigger_event(struct compile *c, struct journey_draft *j, struct node *triggers)
{
    j->trigger_event = ID_NONE;
    for (uint32_t i = 0; i < item_count(triggers); i++) {
        struct slice name = get_text(item(triggers, i), "event");
        if (!name.n) name = get_text(item(triggers, i), "broadcast");
        uint16_t id = name.n ? schema_find(&c->set->schema, NAME_EVENT, name) : ID_NONE;
        if (i && id != j->trigger_event) id = ID_NONE;
        j->trigger_event = id;
        if (id == ID_NONE) return;
    }
}

/* Who is inside is let in again only by another key, or where a trigger may start the journey anew. */
static uint16_t who_enters_is_outside_of(const struct journey *j)
{
    return j->reentry != REENTRY_KEYED && j->while_active == ACTIVE_IGNORE ? j->id : ID_NONE;
}

/* Why this trigger never starts anything, and where that is written; NULL: it may. */
static const char *never_starts(const struct compile *c, const struct journey *j, const struct match *m,
                                struct node *trigger, struct node **at)
{
    *at = condition_of(trigger, m);
    if (match_truth(c, m, who_enters_is_outside_of(j), false) == TRUTH_NEVER) return "this is never true";
    bool same = m->from && m->to && program_identity(m->from) == program_identity(m->to);
    if (m->kind != MATCH_ATTRIBUTE || !same) return NULL;
    *at = get(trigger, "to");
    return "'from' and 'to' are the same, which is no change";
}

static void check_entry(struct compile *c, const struct journey_draft *j, struct node *triggers)
{
    for (uint32_t i = 0; i < item_count(triggers); i++) {
        struct node *at;
        const char *why = never_starts(c, j->journey, &j->journey->triggers[i], item(triggers, i), &at);
        if (why && item_count(triggers) == 1)
            report_wrong(c->d, at, "state: draft holds a journey back", "no one can enter: %s", why);
        else if (why)
            report_warning(c->d, at, "%s: the trigger starts nothing", why),
                report_fix(c->d, "leave this trigger out");
    }
}

static void read_triggers(struct compile *c, struct journey_draft *j)
{
    struct node *triggers = get(j->node, "trigger");
    uint32_t count = item_count(triggers), used = 0;
    struct match *list = ARENA_ARRAY(c->arena, struct match, count + 1);
    for (uint32_t i = 0; i < count; i++)
        if (read_trigger(c, j, item(triggers, i), &list[used])) used++;
    j->journey->triggers = list;
    j->journey->trigger_count = (uint16_t)used;
    if (used == count) check_entry(c, j, triggers); /* else the numbers of both lists differ */
    if (triggers && !count)
        report_wrong(c->d, triggers, "write at least one: trigger: {event: NAME}",
                     "no one can enter: the list of triggers is empty");
}

/* ---- re-entry, goal, exits ----------------------------------------------------------------------------- */

static void read_reentry(struct compile *c, struct journey_draft *j)
{
    struct node *n = get(j->node, "reentry");
    struct journey *out = j->journey;
    if (!n) return;
    if (n->kind == NODE_SCALAR) {
        out->reentry = slice_is(n->text, "always") ? REENTRY_ALWAYS : REENTRY_ONCE;
        return;
    }
    out->key = expression(c, place_before(j), get(n, "key"), WANT_ANY);
    out->reentry_after_s = positive(c, n, "after");
    out->reentry = has(n, "key") ? REENTRY_KEYED : has(n, "after") ? REENTRY_AFTER : REENTRY_ALWAYS;
    out->while_active = (uint8_t)get_word(n, "while_active", "ignore|restart|parallel", ACTIVE_IGNORE);
}

static void read_goal(struct compile *c, struct journey_draft *j)
{
    static const char *const words[] = {"event", "segment", "when", NULL};
    struct node *n = get(j->node, "goal");
    struct journey *out = j->journey;
    if (!n) return;
    const char *word = only_one_of(c, n, words, "a goal");
    if (!word || !read_match(c, place_in(j), n, word, &out->goal)) return;
    if (check_match(c, j, n, &out->goal, "nobody reaches the goal"))
        report_wrong(c->d, get(n, "when"), "ask for what the journey is to bring about",
                     "everybody reaches the goal at once: this is always true");
    out->has_goal = true;
    out->goal_stay = get_bool(n, "stay", false);
    out->goal_within_s = positive(c, n, "within");
    struct place place = at_event(place_in(j), out->goal.kind == MATCH_EVENT ? out->goal.id : ID_NONE);
    if (out->goal.kind != MATCH_EVENT || out->goal.id != ID_NONE)
        out->goal_value = expression(c, place, get(n, "value"), WANT_NUMBER);
}

static void read_exits(struct compile *c, struct journey_draft *j)
{
    static const char *const words[] = {
        "event", "segment_entered", "segment_left", "when", "silence", "after", NULL};
    struct node *exits = get(j->node, "exit");
    uint32_t count = item_count(exits), used = 0;
    struct match *list = ARENA_ARRAY(c->arena, struct match, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct node *n = item(exits, i);
        const char *word = n->bad ? NULL : only_one_of(c, n, words, "an exit");
        if (!word || !read_match(c, place_in(j), n, word, &list[used])) continue;
        if (check_match(c, j, n, &list[used++], "nobody leaves by it"))
            report_wrong(c->d, get(n, "when"), "ask for what makes the journey pointless",
                         "everybody leaves at once: this is always true");
    }
    j->journey->exits = list;
    j->journey->exit_count = (uint16_t)used;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static uint32_t local_midnight(const struct compile *c, struct node *date, int32_t plus_days)
{
    int32_t days;
    if (!date || !parse_date(date->text, &days)) return 0;
    int64_t utc = zone_to_utc(c->set->journeys.zone, ((int64_t)days + plus_days) * 86400);
    return utc > 0 && utc < UINT32_MAX ? (uint32_t)utc : 0;
}

static void warn_without(struct compile *c, const struct journey_draft *j, const char *key, const char *why,
                         const char *fix)
{
    struct node *n = node_find(j->node, key);
    if (n && (n->bad || item_count(n))) return;
    report_at(c->d, SEVERITY_WARNING, j->node->file, j->node->at, 1, "journey '%.*s' has no %s: %s",
              SHOWN(j->journey->name), key, why);
    report_fix(c->d, "%s", fix);
}

static void read_head(struct compile *c, struct journey_draft *j)
{
    struct journey *out = j->journey;
    struct node *n = j->node, *active = get(n, "active");
    out->description = arena_slice(c->arena, get_text(n, "description"));
    out->state = (uint8_t)get_word(n, "state", "draft|live|paused|closing", JOURNEY_LIVE);
    out->active_from = local_midnight(c, get(active, "from"), 0);
    out->active_until = local_midnight(c, get(active, "until"), 1);
    if (out->active_from && out->active_until && out->active_from >= out->active_until)
        report_wrong(c->d, active, "exchange the two dates", "no one can enter: 'until' lies before 'from'");
    out->only_if = expression(c, place_before(j), get(n, "only_if"), WANT_BOOL);
    if (out->only_if && program_truth(out->only_if, who_enters_is_outside_of(out), false) == TRUTH_NEVER)
        report_wrong(c->d, get(n, "only_if"), "state: draft holds a journey back",
                     "no one can enter: 'only_if' is never true");
    out->priority = (int32_t)get_integer(n, "priority", 0);
    out->holdout_ppm = get_percent(n, "holdout", 0);
    if (out->holdout_ppm == 1000000)
        report_wrong(c->d, get(n, "holdout"), "a control group is usually 5% to 15%",
                     "no one can enter: everybody is held out");
}

/* The version rises when the content changes; layout and comments do not count. */
static void give_version(struct compile *c, struct journey *out, struct registry_entry *r)
{
    struct buf text = {0};
    node_canonical(r->node, &text);
    out->text_hash = hash64_plain(text.p, text.n);
    buf_free(&text);
    for (uint32_t i = 0; i < c->version_count; i++)
        if (c->versions[i].id == r->id) r->version = c->versions[i].version, r->text_hash = out->text_hash;
    if (!r->version || r->text_hash != out->text_hash) r->version++;
    r->text_hash = out->text_hash;
    out->version = r->version;
}

static struct journey *read_journey(struct compile *c, struct registry_entry *r)
{
    struct journey_draft j = {.node = r->node, .journey = ARENA_NEW(c->arena, struct journey)};
    struct journey *out = j.journey;
    *out = (struct journey){.name = r->name, .id = r->id, .first = STEP_END};
    if (j.node->bad || j.node->kind != NODE_MAPPING) return out;
    give_version(c, out, r);
    find_trigger_event(c, &j, get(j.node, "trigger"));
    collect_steps(c, &j, get(j.node, "steps")); /* names of steps are used above them too */
    read_reentry(c, &j);
    read_triggers(c, &j);
    read_head(c, &j);
    read_goal(c, &j);
    read_exits(c, &j);
    read_steps(c, &j);
    check_doubts(c, &j);
    warn_without(c, &j, "goal", "nothing tells whether it works",
                 "for example goal: {event: NAME, within: 7d}");
    warn_without(c, &j, "exit", "people stay to its last step", "for example exit: [{after: 30d}]");
    return out;
}

void read_journeys(struct compile *c)
{
    struct journey_set *set = &c->set->journeys;
    set->journey_count = registry_limit(c->registry, REG_JOURNEY, 0);
    const struct journey **list = ARENA_ARRAY(c->arena, const struct journey *, set->journey_count + 1);
    for (uint32_t i = 0; i < c->registry->count; i++) {
        struct registry_entry *r = c->registry->list[i];
        if (r->kind == REG_JOURNEY && r->live) list[r->id] = read_journey(c, r);
    }
    set->journeys = list;
}
