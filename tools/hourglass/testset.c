/* testset.c - the definitions as one test wants them: a shallow copy in which other journeys are drafts, splits go where
 * the test says, and everybody is held out where a holdout is declared. */
#include "tools/hourglass/testrun.h"

#include <string.h>

enum { EVERYBODY_PPM = 1000000 };

static bool named(const struct node *only, struct slice name)
{
    for (uint32_t i = 0; i < only->count; i++)
        if (slice_eq(only->list[i]->text, name)) return true;
    return false;
}

/* ---- variants ------------------------------------------------------------------------------------- */

bool names_step(struct slice name, struct slice journey, struct slice step)
{
    uint32_t n = journey.n;
    if (slice_eq(step, name)) return true;
    return name.n > n + 1 && name.p[n] == '.' && memcmp(name.p, journey.p, n) == 0 &&
           slice_eq(slice_of(name.p + n + 1, name.n - n - 1), step);
}

bool is_split(const struct journey *j, const struct step *s, struct slice name)
{
    return s->kind == STEP_SPLIT && names_step(name, j->name, s->id);
}

uint32_t path_named(const struct step *s, struct slice path)
{
    uint32_t i = 0;
    while (i < s->split.count && !slice_eq(s->split.names[i], path)) i++;
    return i;
}

static void send_all_to(struct step *s, uint32_t path, struct arena *a)
{
    uint32_t *ppm = ARENA_ARRAY(a, uint32_t, s->split.count);
    for (uint32_t i = 0; i < s->split.count; i++) ppm[i] = i == path ? EVERYBODY_PPM : 0;
    s->split.ppm = ppm;
}

static void choose_paths(struct journey *j, const struct node *variant, struct arena *a)
{
    struct step *steps = ARENA_ARRAY(a, struct step, j->step_count + 1);
    memcpy(steps, j->steps, j->step_count * sizeof *steps);
    for (uint32_t i = 0; i < j->step_count; i++)
        for (uint32_t k = 0; k < variant->count; k++)
            if (is_split(j, &steps[i], node_key(variant, k)->text))
                send_all_to(&steps[i], path_named(&steps[i], node_value(variant, k)->text), a);
    j->steps = steps;
}

/* ---- the copy ---------------------------------------------------------------------------------------- */

static struct journey *journey_for(const struct test_case *t, const struct journey *from, struct arena *a)
{
    struct journey *j = arena_alloc(a, sizeof *j);
    *j = *from;
    if (t->only && !named(t->only, j->name)) j->state = JOURNEY_DRAFT;
    if (t->holdout == HOLDOUT_EVERYBODY && j->holdout_ppm) j->holdout_ppm = EVERYBODY_PPM;
    if (t->variant) choose_paths(j, t->variant, a);
    return j;
}

const struct defset *set_for_test(const struct defset *set, const struct test_case *t, struct arena *a)
{
    if (!t->only && !t->variant && t->holdout != HOLDOUT_EVERYBODY) return set;
    struct defset *copy = arena_alloc(a, sizeof *copy);
    const struct journey **list = ARENA_ARRAY(a, const struct journey *, set->journeys.journey_count + 1);
    *copy = *set;
    for (uint32_t i = 0; i < set->journeys.journey_count; i++)
        list[i] = set->journeys.journeys[i] ? journey_for(t, set->journeys.journeys[i], a) : NULL;
    copy->journeys.journeys = list;
    if (t->holdout == HOLDOUT_EVERYBODY && set->journeys.global_holdout_ppm)
        copy->journeys.global_holdout_ppm = EVERYBODY_PPM;
    return copy;
}

uint16_t list_of(const struct defset *set, struct slice name)
{
    for (uint32_t i = 0; i < set->journeys.list_count; i++)
        if (slice_eq(set->journeys.lists[i], name)) return (uint16_t)i;
    return ID_NONE;
}
