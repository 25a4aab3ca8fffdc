/* doubts.c - what a walk does that its author may not have meant: only warnings, of journeys without mistakes. */
#include "core/define/compile.h"

#include <stdlib.h>

/* ---- an exit that comes before the end of a wait ------------------------------------------- */

enum { PASSES_MAX = 32 }; /* each settles the ways with one more `goto` backwards; then nothing is said */

/* When it goes on, in seconds since the entry. */
static uint64_t behind(const struct step *s, uint64_t at)
{
    if (s->kind != STEP_WAIT) return at;
    uint64_t seconds = (uint64_t)s->wait.seconds;
    switch (s->wait.kind) {
    case WAIT_FROM_ENTRY: return at > seconds ? at : seconds;
    case WAIT_FOR_TIME:
    case WAIT_SILENCE: return at + seconds;
    default: return at;
    }
}

static bool sooner(uint64_t *at, uint16_t step, uint64_t when)
{
    if (step == STEP_END || at[step] <= when) return false;
    at[step] = when;
    return true;
}

/* By the quickest way to each step. */
static bool quickest_pass(const struct journey *j, uint64_t *at, struct edges *next)
{
    bool changed = false;
    for (uint16_t i = 0; i < j->step_count; i++) {
        const struct step *s = &j->steps[i];
        if (at[i] == UINT64_MAX) continue;
        edges_of(s, next);
        if (s->kind == STEP_WAIT_FOR) { /* the last edge is that of the timeout: it takes its time */
            for (uint16_t k = 0; k < s->wait_for.count; k++)
                changed |= sooner(at, s->wait_for.any[k].then, at[i]);
            if (s->wait_for.timeout_s)
                changed |= sooner(at, s->wait_for.otherwise, at[i] + s->wait_for.timeout_s);
            continue;
        }
        for (uint32_t k = 0; k < next->count; k++) changed |= sooner(at, next->to[k], behind(s, at[i]));
    }
    return changed;
}

/* The exit that comes first by time alone, and when; NULL: none. */
static struct node *first_exit(const struct journey_draft *j, uint64_t *seconds)
{
    struct node *exits = get(j->node, "exit"), *first = NULL;
    *seconds = UINT64_MAX;
    for (uint32_t i = 0; i < item_count(exits); i++) {
        struct node *after = get(item(exits, i), "after");
        uint64_t when = (uint64_t)get_seconds(item(exits, i), "after", 0);
        if (after && when < *seconds) *seconds = when, first = after;
    }
    return first;
}

static void warn_exit_first(struct compile *c, const struct journey_draft *j)
{
    uint64_t over, *at = ARENA_ARRAY(c->scratch, uint64_t, j->step_count);
    struct edges next = {.arena = c->scratch};
    const struct node *exit = first_exit(j, &over);
    if (!exit) return;
    for (uint32_t i = 0; i < j->step_count; i++) at[i] = i == j->journey->first ? 0 : UINT64_MAX;
    uint32_t passes = 0;
    while (quickest_pass(j->journey, at, &next))
        if (++passes == PASSES_MAX) return;
    for (uint32_t i = 0; i < j->step_count; i++) {
        if (at[i] >= over || behind(&j->steps[i], at[i]) < over) continue;
        report_warning(c->d, j->drafts[i].node,
                       "nobody comes to the end of this wait: the exit after %.*s is before it",
                       SHOWN(exit->text));
        report_fix(c->d, "let the wait be shorter, or the exit later");
    }
}

/* ---- segments that are asked before they follow ---------------------------------------------- */

struct change { /* what a step changes, as segments may read it */
    uint8_t feature;
    uint16_t id, step;
};

/* The i-th of them; false: there are no more. */
static bool change_of(const struct journey *j, uint16_t step, uint16_t i, struct change *out)
{
    const struct step *s = &j->steps[step];
    if (i && s->kind != STEP_SET) return false;
    switch (s->kind) {
    case STEP_SET:
        if (i == s->set.count) return false;
        *out = (struct change){FEATURE_ATTRIBUTE, s->set.attributes[i], step};
        return true;
    case STEP_ADD_TO:
    case STEP_REMOVE_FROM: *out = (struct change){FEATURE_LIST, s->list.list, step}; return true;
    case STEP_UNSUBSCRIBE: *out = (struct change){FEATURE_CONSENT, s->unsubscribe.channel, step}; return true;
    case STEP_START:
    case STEP_STOP: *out = (struct change){FEATURE_JOURNEY, s->control.journey, step}; return true;
    default: return false;
    }
}

/* Does the program read a segment that reads the change? `seen`: segments that have been looked at. */
static bool reads_late(const struct compile *c, const struct program *p, struct change change, bool *seen)
{
    uint32_t n;
    const struct expr_dependency *list = program_dependencies(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].feature != FEATURE_SEGMENT || seen[list[i].id]) continue;
        seen[list[i].id] = true;
        uint32_t count;
        const struct program *when = c->set->segments.list[list[i].id].when;
        if (!when) continue; /* it asks for what does not run yet */
        const struct expr_dependency *of = program_dependencies(when, &count);
        for (uint32_t k = 0; k < count; k++)
            if (of[k].feature == change.feature && of[k].id == change.id) return true;
        if (reads_late(c, when, change, seen)) return true;
    }
    return false;
}

/* What the step decides by, and where that is written. */
static const struct program *decision_of(const struct step *s, const struct node *n, struct node **at)
{
    *at = get(s->kind == STEP_IF ? n : get(n, "switch"), s->kind == STEP_IF ? "if" : "on");
    return s->kind == STEP_IF ? s->branch.condition : s->kind == STEP_SWITCH ? s->choose.on : NULL;
}

static bool warn_if_late(struct compile *c, struct journey_draft *j, uint16_t step, struct change change,
                         bool *seen)
{
    struct node *at;
    const struct program *p = decision_of(&j->steps[step], j->drafts[step].node, &at);
    if (!p || !reads_late(c, p, change, seen)) return false;
    report_warning(c->d, at, "step '%.*s' before has an effect on this segment when the walk stands still",
                   SHOWN(j->steps[change.step].id));
    report_fix(c->d, "ask for what that step has changed, or put `wait: 1s` between");
    return true;
}

static int by_change(const void *pa, const void *pb)
{
    const struct change *a = pa, *b = pb;
    if (a->feature != b->feature) return (int)a->feature - (int)b->feature;
    return a->id != b->id ? (int)a->id - (int)b->id : (int)a->step - (int)b->step;
}

/* All that the steps change, sorted, so that the steps which change the same stand together. */
static struct change *changes_of(struct compile *c, const struct journey *j, uint32_t *count)
{
    struct change change;
    uint32_t n = 0;
    for (uint16_t i = 0; i < j->step_count; i++)
        for (uint16_t k = 0; change_of(j, i, k, &change); k++) n++;
    struct change *list = ARENA_ARRAY(c->scratch, struct change, n + 1);
    *count = 0;
    for (uint16_t i = 0; i < j->step_count; i++)
        for (uint16_t k = 0; change_of(j, i, k, &list[*count]); k++) ++*count;
    if (n) qsort(list, n, sizeof *list, by_change);
    return list;
}

static bool at_once(void *self, const struct step *from, uint16_t to)
{
    (void)self, (void)to;
    return !takes_time(from);
}

static void warn_late_segments(struct compile *c, struct journey_draft *j)
{
    struct walker w = walker_of(j->journey, c->scratch);
    bool *told = ARENA_ARRAY(c->scratch, bool, j->step_count);
    bool *seen = ARENA_ARRAY(c->scratch, bool, c->set->segments.count + 1);
    uint32_t count;
    const struct change *list = changes_of(c, j->journey, &count);
    w.passes = at_once;
    for (uint32_t i = 0; i < count; i++) {
        bool first = !i || list[i].feature != list[i - 1].feature || list[i].id != list[i - 1].id;
        if (first) memset(w.reached, 0, j->step_count);
        reach(&w, list[i].step);
        if (i + 1 < count && list[i].feature == list[i + 1].feature && list[i].id == list[i + 1].id) continue;
        for (uint16_t k = 0; k < j->step_count; k++) {
            if (!w.reached[k] || told[k]) continue;
            memset(seen, 0, c->set->segments.count);
            told[k] = warn_if_late(c, j, k, list[i], seen);
        }
    }
}

/* ---- dates that may be missing ------------------------------------------------------------------ */

static bool entry_assures(const struct journey *j, const struct program *date)
{
    if (j->only_if && program_assures(j->only_if, true, date)) return true;
    for (uint16_t i = 0; i < j->trigger_count; i++) {
        const struct match *m = &j->triggers[i];
        const struct program *known = m->kind == MATCH_DATE ? m->date : m->where;
        if (!known || !program_assures(known, true, date)) return false;
    }
    return true;
}

/* A way on which nothing has told that the date is there. */
static bool unasked(void *self, const struct step *from, uint16_t to)
{
    const struct program *date = self, *asked = from->kind == STEP_IF ? from->branch.condition : NULL;
    if (!asked) return true;
    return (to == from->branch.then && !program_assures(asked, true, date)) ||
           (to == from->branch.otherwise && !program_assures(asked, false, date));
}

static const struct program *date_of(const struct step *s)
{
    return s->kind == STEP_WAIT && s->wait.kind == WAIT_UNTIL_DATE ? s->wait.date : NULL;
}

static void warn_missing_date(struct compile *c, const struct journey_draft *j, uint32_t step)
{
    struct node *date = get(get(j->drafts[step].node, "wait"), "until_date");
    bool field = true; /* profile.paid_until and nothing else */
    for (uint32_t i = 0; i < date->text.n; i++) field &= !strchr(" ()+-", date->text.p[i]);
    report_warning(c->d, date, "who has no such date does not wait here, but goes on at once");
    report_fix(c->d, "let only those come here who have it: if: has(%.*s)",
               SHOWN(field ? date->text : SLICE("profile.paid_until")));
}

static void warn_missing_dates(struct compile *c, struct journey_draft *j)
{
    struct walker w = walker_of(j->journey, c->scratch);
    bool *done = ARENA_ARRAY(c->scratch, bool, j->step_count);
    w.passes = unasked;
    for (uint32_t i = 0; i < j->step_count; i++) {
        const struct program *date = date_of(&j->steps[i]);
        if (!date || done[i] || !program_misses(date) || entry_assures(j->journey, date)) continue;
        w.self = (void *)date;
        memset(w.reached, 0, j->step_count);
        reach(&w, j->journey->first);
        for (uint32_t k = i; k < j->step_count; k++) {
            if (date_of(&j->steps[k]) != date) continue;
            done[k] = true;
            if (w.reached[k]) warn_missing_date(c, j, k);
        }
    }
}

void check_doubts(struct compile *c, struct journey_draft *j)
{
    if (c->d->errors || !j->step_count) return; /* what is half read would only add guesses */
    warn_exit_first(c, j);
    warn_late_segments(c, j);
    warn_missing_dates(c, j);
}
