/* testrun.c - the record of a test: its timeline, and the lists that expectations look at. */
#include "tools/hourglass/testrun.h"

#include <stdarg.h>
#include <stdio.h>

#include "tools/hourglass/json.h"
#include "tools/hourglass/outcome.h"
#include "tools/hourglass/view.h"

static void note(struct test_run *run, uint32_t at, struct slice text)
{
    struct happened *h = ARENA_NEW(run->arena, struct happened);
    *h = (struct happened){at, arena_slice(run->arena, text), NULL};
    if (!run->last) run->last = &run->first;
    *run->last = h;
    run->last = &h->next;
}

static void append(struct test_run *run, struct notices *list, struct notice n)
{
    struct notice *copy = arena_alloc(run->arena, sizeof *copy);
    *copy = n;
    copy->next = NULL;
    if (!list->last) list->last = &list->first;
    *list->last = copy;
    list->last = &copy->next;
}

void timeline_event(struct test_run *run, const struct test_event *e)
{
    struct buf b = {0};
    struct slice user = view_text(e->record, "userId"), event = view_text(e->record, "event");
    if (!user.n) user = view_text(e->record, "anonymousId");
    if (!event.n) event = view_text(e->record, "type");
    buf_printf(&b, "event       %.*s: %.*s ", SHOWN(user), SHOWN(event));
    struct slice properties = view(e->record, "properties");
    if (!properties.n) properties = view(e->record, "traits");
    if (properties.n) json_print(properties, 0, &b);
    note(run, run->test->at + e->after, buf_slice(&b));
    buf_free(&b);
}

/* ---- effects ------------------------------------------------------------------------------------------ */

static struct slice person_name(struct test_run *run, uint8_t shard, struct key person)
{
    row_t row;
    struct key target;
    struct store *store = shard_store(machine_shard(run->machine, shard));
    if (store_find(store, person, &row, &target) != FOUND_ROW) return SLICE("?");
    struct slice user = ids_user(store, row), anonymous;
    if (!user.n && ids_anonymous(store, row, &anonymous, 1)) user = anonymous;
    return arena_slice(run->arena, user);
}

static void take_action(struct test_run *run, const struct action *a)
{
    struct slice content = arena_slice(run->arena, a->content), user = view_text(content, "profile.user_id");
    struct buf b = {0};
    if (!user.n) user = view_text(content, "profile.anonymous_id");
    append(run, &run->actions,
           (struct notice){.at = a->created_at,
                           .content = content,
                           .user = user,
                           .journey = view_text(content, "journey"),
                           .step = view_text(content, "step")});
    buf_printf(&b, "action      %.*s: %.*s %.*s (%.*s.%.*s)", SHOWN(user),
               SHOWN(view_text(content, "channel")), SHOWN(view_text(content, "template")),
               SHOWN(view_text(content, "journey")), SHOWN(view_text(content, "step")));
    if (view(content, "vars").n > 1) {
        buf_put_u8(&b, ' ');
        json_print(view(content, "vars"), 0, &b);
    }
    note(run, a->created_at, buf_slice(&b));
    buf_free(&b);
}

static void take_transition(struct test_run *run, uint8_t shard, const struct transition *t)
{
    static const char *const WORDS[] = {"enters",      "goes to",     "leaves",
                                        "converts in", "is not sent", "is sent later"};
    const struct journey_set *set = &run->set->journeys;
    const struct journey *j = journey_version(set, t->journey, t->version);
    struct slice step = j && t->step < j->step_count ? j->steps[t->step].id : SLICE("end");
    struct slice journey = j ? j->name : SLICE("?"), user = person_name(run, shard, t->person);
    struct buf b = {0};
    struct notice n = {.at = t->at,
                       .user = user,
                       .journey = journey,
                       .step = step,
                       .reason = slice_str(decision_name(t->decision))};
    if (t->kind == TRANSITION_SUPPRESS) append(run, &run->suppressed, n);
    if (t->kind == TRANSITION_DEFER) append(run, &run->deferred, n);
    buf_printf(&b, "            %.*s %s %.*s", SHOWN(user), WORDS[t->kind], SHOWN(journey));
    if (t->kind == TRANSITION_STEP || t->kind >= TRANSITION_SUPPRESS) buf_printf(&b, ".%.*s", SHOWN(step));
    if (t->decision != DECISION_NONE) buf_printf(&b, ": %s", decision_text(t->decision));
    note(run, t->at, buf_slice(&b));
    buf_free(&b);
}

void test_on_effect(void *self, const struct effect *e)
{
    if (e->kind == EFFECT_ACTION) take_action(self, &e->action);
    if (e->kind == EFFECT_TRANSITION) take_transition(self, e->shard, &e->transition);
}

/* ---- outcomes ------------------------------------------------------------------------------------------- */

bool outcome_message(struct test_run *run, struct test_event *e)
{
    const struct notice *sent = NULL;
    struct buf b = {0};
    for (const struct notice *n = run->actions.first; n; n = n->next)
        if (slice_eq(n->user, e->user) && names_step(e->of, n->journey, n->step)) sent = n;
    if (sent) {
        e->record =
            outcome_pack(run->arena, sent->content, outcome_event(e->outcome), run->test->at + e->after);
        return true;
    }
    buf_printf(&b, "outcome     %.*s: %.*s of %.*s, which has sent nothing", SHOWN(e->user),
               SHOWN(e->outcome), SHOWN(e->of));
    note(run, run->test->at + e->after, buf_slice(&b));
    buf_free(&b);
    return false;
}
