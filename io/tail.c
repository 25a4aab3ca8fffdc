/* tail.c - events.tail: what happens, as it happens, for whoever looks on. Never confirms, never holds anything up: a line
 * that does not fit is dropped and counted. Workers make lines only while somebody reads them. */
#include "io/admin.h"

#include <stdlib.h>

static const char *const outcome_names[] = {"applied", "duplicate", "late", "rejected"};
static const char *const transition_names[] = {"enter", "step", "leave", "convert", "suppress", "defer"};

/* ---- on each worker: kind u8, then the packed line ------------------------------------------------------- */

static const struct defset *set_of(const struct worker *w, const struct effect *e)
{
    return shard_definitions(w->engine->shards[e->shard]);
}

static void pack_event(pk_t *pk, const struct worker *w, const struct effect *e)
{
    const struct schema_event *type = schema_event(&set_of(w, e)->schema, e->event.type);
    pk_map(pk, 6);
    pk_text(pk, "kind");
    pk_text(pk, e->event.outcome == OUTCOME_REJECTED ? "reject" : "event");
    pk_key_uint(pk, "shard", e->shard);
    pk_key_uint(pk, "lsn", e->lsn);
    pk_text(pk, "outcome");
    pk_text(pk, outcome_names[e->event.outcome]);
    if (e->event.outcome == OUTCOME_REJECTED) {
        pk_text(pk, "reason");
        pk_text(pk, reject_text((enum reject)e->event.reject));
    } else {
        pk_text(pk, "event");
        pk_text_or_nil(pk, type ? type->name : (struct slice){0});
    }
    pk_text(pk, "person");
    pk_hex(pk, e->event.person);
}

static void pack_transition(pk_t *pk, const struct worker *w, const struct effect *e)
{
    const struct transition *t = &e->transition;
    const struct journey_set *set = &set_of(w, e)->journeys;
    const struct journey *j = journey_version(set, t->journey, t->version);
    pk_map(pk, 9);
    pk_text(pk, "kind");
    pk_text(pk, "transition");
    pk_text(pk, "what");
    pk_text(pk, transition_names[t->kind]);
    pk_text(pk, "journey");
    pk_text_or_nil(pk, j ? j->name : (struct slice){0});
    pk_key_uint(pk, "version", t->version);
    pk_text(pk, "step");
    pk_text_or_nil(pk, j && t->step < j->step_count ? j->steps[t->step].id : (struct slice){0});
    pk_text(pk, "decision");
    pk_text(pk, decision_name((enum decision)t->decision));
    pk_key_uint(pk, "at", t->at);
    pk_text(pk, "person");
    pk_hex(pk, t->person);
    pk_text(pk, "instance");
    pk_hex(pk, t->instance);
}

/* As whoever delivers it gets it; nothing, if the same batch confirmed it. */
static void put_action(const struct worker *w, const struct effect *e, struct buf *out)
{
    struct action a;
    const struct outbox *outbox = shard_outbox(w->engine->shards[e->shard]);
    if (!outbox_next(outbox, e->action.sequence - 1, &a) || a.sequence != e->action.sequence) return;
    buf_put_u8(out, TAIL_ACTIONS);
    buf_put_slice(out, a.content);
}

void tail_encode(struct worker *w, const struct effect *e, struct buf *out)
{
    pk_t pk;
    if (e->kind == EFFECT_ACTION) {
        put_action(w, e, out);
        return;
    }
    pk_init(&pk, out);
    bool event = e->kind == EFFECT_EVENT;
    buf_put_u8(out, !event                                 ? TAIL_TRANSITIONS
                    : e->event.outcome == OUTCOME_REJECTED ? TAIL_REJECTS
                                                           : TAIL_EVENTS);
    if (event)
        pack_event(&pk, w, e);
    else
        pack_transition(&pk, w, e);
}

/* ---- on worker 0 ---------------------------------------------------------------------------------------------- */

void admin_tail(struct engine *e, struct slice line)
{
    for (struct admin_conn *c = admin_conn_next(e, NULL); c; c = admin_conn_next(e, c)) {
        if (!(admin_conn_tails(c) & line.p[0])) continue;
        if (admin_conn_queued(c) > TAIL_BYTES_MAX)
            e->admin->tail_dropped++;
        else
            admin_conn_notify(c, "tail", slice_of(line.p + 1, line.n - 1));
    }
}

static enum call_state set_tailing(struct worker *w, struct part *p)
{
    w->tailing = p->scatter->owner != NULL;
    w->intake.effects.want_events = w->intake.effects.want_transitions = w->tailing;
    return CALL_DONE;
}

void tail_update(struct engine *e)
{
    bool any = false;
    for (struct admin_conn *c = admin_conn_next(e, NULL); c; c = admin_conn_next(e, c))
        any |= admin_conn_tails(c) != 0;
    struct scatter *s = scatter_new(e, any ? e : NULL);
    s->run = set_tailing;
    s->done = scatter_free;
    scatter_start(s);
}

static uint32_t tail_kinds(const msgpack_object *list)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"events", TAIL_EVENTS},
                 {"transitions", TAIL_TRANSITIONS},
                 {"actions", TAIL_ACTIONS},
                 {"rejects", TAIL_REJECTS}};
    uint32_t kinds = 0;
    struct slice text;
    if (!list) return TAIL_EVENTS | TAIL_REJECTS;
    uint32_t count = list->type == MSGPACK_OBJECT_ARRAY ? list->via.array.size : 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!object_text(list->type == MSGPACK_OBJECT_ARRAY ? &list->via.array.ptr[i] : list, &text))
            return 0;
        uint32_t bit = 0;
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (slice_is(text, names[k].name)) bit = names[k].bit;
        if (!bit) return 0;
        kinds |= bit;
    }
    return kinds;
}

void method_events_tail(struct request *r)
{
    uint32_t kinds = tail_kinds(param(r, 0, "kinds"));
    if (!kinds) {
        request_bad(r, "kinds are events, transitions, actions, rejects");
        return;
    }
    admin_conn_set_tails(r->conn, kinds);
    tail_update(r->engine);
    pk_map(&r->pack, 0);
    request_reply(r);
}
