/* walkable.c - can a journey be walked: every step is reached, no circle turns without time passing. */
#include "core/define/compile.h"

static void edge(struct edges *e, uint16_t to)
{
    if (to == STEP_END) return;
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? e->capacity * 2 : 16;
        uint16_t *more = ARENA_ARRAY(e->arena, uint16_t, e->capacity);
        if (e->count) memcpy(more, e->to, sizeof *more * e->count);
        e->to = more;
    }
    e->to[e->count++] = to;
}

void edges_of(const struct step *s, struct edges *e)
{
    e->count = 0;
    switch (s->kind) {
    case STEP_WAIT_FOR:
        for (uint16_t i = 0; i < s->wait_for.count; i++) edge(e, s->wait_for.any[i].then);
        if (s->wait_for.timeout_s) edge(e, s->wait_for.otherwise);
        break;
    case STEP_IF: edge(e, s->branch.then), edge(e, s->branch.otherwise); break;
    case STEP_SWITCH:
        for (uint16_t i = 0; i < s->choose.count; i++) edge(e, s->choose.to[i]);
        edge(e, s->choose.otherwise);
        break;
    case STEP_SPLIT:
        for (uint16_t i = 0; i < s->split.count; i++) edge(e, s->split.to[i]);
        break;
    case STEP_GOTO: edge(e, s->jump.to); break;
    case STEP_FINISH: break;
    default: edge(e, s->next);
    }
}

struct walker walker_of(const struct journey *j, struct arena *a)
{
    return (struct walker){.journey = j,
                           .reached = ARENA_ARRAY(a, bool, j->step_count + 1u),
                           .stack = ARENA_ARRAY(a, uint16_t, j->step_count + 1u),
                           .next = {.arena = a}};
}

void reach(struct walker *w, uint16_t from)
{
    uint32_t depth = 0;
    if (w->reached[from]) return;
    w->stack[depth++] = from;
    w->reached[from] = true;
    while (depth) {
        const struct step *s = &w->journey->steps[w->stack[--depth]];
        edges_of(s, &w->next);
        for (uint32_t i = 0; i < w->next.count; i++) {
            uint16_t to = w->next.to[i];
            if (w->reached[to] || (w->passes && !w->passes(w->self, s, to))) continue;
            w->reached[to] = true;
            w->stack[depth++] = to;
        }
    }
}

/* One message for the first step of each dead end: what hangs on it is dead for the same reason. */
static void check_reached(struct compile *c, struct journey_draft *j)
{
    struct walker w = walker_of(j->journey, c->scratch);
    reach(&w, j->journey->first);
    for (uint16_t i = 0; i < j->step_count; i++) {
        if (w.reached[i]) continue;
        report_wrong(c->d, j->drafts[i].node, "remove it, or let a `goto` or a branch lead to it",
                     "unreachable step: no path leads here");
        reach(&w, i);
    }
}

bool takes_time(const struct step *s) { return s->kind == STEP_WAIT || s->kind == STEP_WAIT_FOR; }

/* Takes away steps that nothing leads to, until none is left or only circles are. Steps that take time are no part
 * of a circle that turns at once. */
static uint32_t peel(const struct journey *j, bool *gone, struct arena *a)
{
    struct edges next = {.arena = a};
    uint16_t *into = ARENA_ARRAY(a, uint16_t, j->step_count + 1u),
             *ready = ARENA_ARRAY(a, uint16_t, j->step_count + 1u);
    uint32_t ready_count = 0, left = 0;
    for (uint16_t i = 0; i < j->step_count; i++) {
        gone[i] = takes_time(&j->steps[i]);
        if (gone[i]) continue;
        left++;
        edges_of(&j->steps[i], &next);
        for (uint32_t k = 0; k < next.count; k++) into[next.to[k]]++;
    }
    for (uint16_t i = 0; i < j->step_count; i++)
        if (!gone[i] && !into[i]) ready[ready_count++] = i;
    while (ready_count) {
        uint16_t step = ready[--ready_count];
        gone[step] = true;
        left--;
        edges_of(&j->steps[step], &next);
        for (uint32_t k = 0; k < next.count; k++)
            if (--into[next.to[k]] == 0 && !gone[next.to[k]]) ready[ready_count++] = next.to[k];
    }
    return left;
}

/* Every circle has a step that leads back to an earlier one: that is where it is told. */
static void check_circles(struct compile *c, struct journey_draft *j)
{
    struct edges next = {.arena = c->scratch};
    bool *gone = ARENA_ARRAY(c->scratch, bool, j->step_count + 1);
    if (!peel(j->journey, gone, c->scratch)) return;
    for (uint16_t i = 0; i < j->step_count; i++) {
        if (gone[i]) continue;
        edges_of(&j->steps[i], &next);
        for (uint32_t k = 0; k < next.count; k++) {
            if (next.to[k] > i || gone[next.to[k]]) continue;
            report_node(c->d, j->drafts[i].node,
                        "a loop without a wait: from here back to step '%.*s' no time passes",
                        SHOWN(j->steps[next.to[k]].id));
            report_fix(c->d, "put a `wait` inside the loop");
            return;
        }
    }
}

void check_graph(struct compile *c, struct journey_draft *j)
{
    if (!j->step_count) return;
    check_reached(c, j);
    check_circles(c, j);
}
