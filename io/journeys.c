/* journeys.c - journey.list, journey.show, the operator's commands on one person's journey and test messages. */
#include "core/journey/parts.h"
#include "io/lookup.h"

#include <stdlib.h>

static const char *const state_names[] = {"draft", "live", "paused", "closing"};
static const char *const step_names[] = {
#define X(name, word) word,
    STEP_KINDS(X)
#undef X
};

struct report {
    struct request *request;
    const struct defset *set;
    uint16_t only; /* ID_NONE: all */
    pthread_mutex_t lock;
    struct journey_counters counters[];
};

static enum call_state add_up(struct worker *w, struct part *p)
{
    struct report *t = p->scatter->owner;
    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < w->shard_count; i++) {
        uint32_t count;
        const struct journey_counters *list = shard_journey_counters(w->shards[i], &count);
        for (uint32_t k = 0; k < count && k < t->set->journeys.journey_count; k++)
            journey_counters_add(&t->counters[k], &list[k]);
    }
    pthread_mutex_unlock(&t->lock);
    return CALL_HELD;
}

static void pack_steps(pk_t *pk, const struct journey *j)
{
    pk_text(pk, "steps");
    pk_list(pk, j->step_count);
    for (uint32_t i = 0; i < j->step_count; i++) {
        pk_map(pk, 2);
        pk_text(pk, "id");
        pk_slice(pk, j->steps[i].id);
        pk_text(pk, "kind");
        pk_text(pk, j->steps[i].kind < STEP_KIND_COUNT ? step_names[j->steps[i].kind] : "");
    }
}

static void pack_journey(pk_t *pk, const struct journey *j, const struct journey_counters *c, bool steps)
{
    pk_map(pk, steps ? 6 : 5);
    pk_text(pk, "name");
    pk_slice(pk, j->name);
    pk_text(pk, "description");
    pk_text_or_nil(pk, j->description);
    pk_text(pk, "state");
    pk_text(pk, state_names[j->state & 3]);
    pk_key_uint(pk, "version", j->version);
    pk_text(pk, "counters");
    pack_journey_counters(pk, c);
    if (steps) pack_steps(pk, j);
}

static void added_up(struct scatter *s)
{
    struct report *t = s->owner;
    struct request *r = t->request;
    const struct journey_set *set = &t->set->journeys;
    scatter_free(s);
    if (t->only != ID_NONE) {
        pack_journey(&r->pack, set->journeys[t->only], &t->counters[t->only], true);
    } else {
        uint32_t n = 0;
        size_t at = pk_open(&r->pack, PK_LIST);
        for (uint32_t i = 0; i < set->journey_count; i++) {
            if (!set->journeys[i]) continue;
            pack_journey(&r->pack, set->journeys[i], &t->counters[i], false);
            n++;
        }
        pk_close(&r->pack, at, n);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
    request_reply(r);
}

static void start(struct request *r, uint16_t only)
{
    const struct defset *set = sets_newest(r->engine->sets);
    struct report *t = calloc(1, sizeof *t + (set->journeys.journey_count + 1) * sizeof t->counters[0]);
    CHECK(t != NULL);
    t->request = r;
    t->set = set;
    t->only = only;
    pthread_mutex_init(&t->lock, NULL);
    struct scatter *s = scatter_new(r->engine, t);
    s->run = add_up;
    s->done = added_up;
    scatter_start(s);
}

/* ID_NONE: the request was answered. */
static uint16_t named_journey(struct request *r, uint32_t index, const char *key)
{
    struct slice name;
    const struct defset *set = sets_newest(r->engine->sets);
    if (!param_text(r, index, key, &name)) {
        request_bad(r, "the journey's name is a text");
        return ID_NONE;
    }
    uint16_t id = defset_journey(set, name);
    if (id != ID_NONE && set->journeys.journeys[id]) return id;
    request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no journey %.*s", (int)name.n,
                 (const char *)name.p);
    return ID_NONE;
}

void method_journey_list(struct request *r) { start(r, ID_NONE); }

void method_journey_show(struct request *r)
{
    uint16_t id = named_journey(r, 0, "name");
    if (id != ID_NONE) start(r, id);
}

/* ---- journey.control --------------------------------------------------------------------------------------- */

static int command_of(const struct request *r)
{
    static const char *const names[] = {"enroll", "cancel", "skip", "restart"}; /* enum journey_command */
    struct slice text;
    for (int i = 0; i < 4 && param_text(r, 0, "command", &text); i++)
        if (slice_is(text, names[i])) return i;
    return -1;
}

/* Skipping and cancelling mean whoever is inside; nobody else's journey changes, and the answer says so. */
static enum call_state command(struct request *r, const struct person_at *p)
{
    struct slice name;
    param_text(r, 1, "name", &name);
    uint16_t journey = defset_journey(shard_definitions(p->shard), name);
    struct key key = store_row(shard_store(p->shard), p->row)->key;
    if (journey == ID_NONE) return CALL_WAIT; /* a new set is on its way to this shard */
    uint16_t word = (uint16_t)command_of(r);
    bool inside = is_inside(shard_store(p->shard), p->row, journey);
    uint8_t payload[22];
    store_le16(payload, ADMIN_JOURNEY);
    store_le16(payload + 2, word);
    store_le16(payload + 4, journey);
    store_le64(payload + 6, key.hi);
    store_le64(payload + 14, key.lo);
    struct record record = {
        .kind = RECORD_ADMIN, .shard = shard_index(p->shard), .payload = slice_of(payload, sizeof payload)};
    bool nothing = !inside && (word == JOURNEY_CANCEL || word == JOURNEY_SKIP);
    if (!nothing && !intake_record(p->worker, &record)) return CALL_WAIT;
    pk_map(&r->pack, 1);
    pk_text(&r->pack, "was_inside");
    pk_bool(&r->pack, inside);
    return nothing ? CALL_DONE : CALL_HELD;
}

void method_journey_control(struct request *r)
{
    struct slice id;
    if (command_of(r) < 0) {
        request_bad(r, "command is enroll, cancel, skip or restart");
        return;
    }
    if (named_journey(r, 1, "name") == ID_NONE) return;
    if (param_text(r, 2, "id", &id))
        lookup_person(r, id, command);
    else
        request_bad(r, "id is a text");
}

/* ---- actions.test ------------------------------------------------------------------------------------------ */

enum { ADDRESS_BYTES_MAX = 512, TEST_HEAD = 22, TEST_INSTANCE = 16 };

/* The id of what the record will make: nobody else's, since no other record has this number and these bytes. */
static struct key test_instance(const struct shard *s, struct buf *payload)
{
    store_le64(payload->p + TEST_HEAD, shard_lsn(s));
    struct key k = hash128_plain(payload->p, payload->n);
    store_le64(payload->p + TEST_HEAD, k.hi);
    store_le64(payload->p + TEST_HEAD + 8, k.lo);
    return k;
}

static void pack_test(struct buf *out, const struct test_send *t, struct key person)
{
    buf_put_le16(out, ADMIN_TEST);
    buf_put_le16(out, (uint16_t)t->step.n);
    buf_put_le16(out, t->journey);
    buf_put_le64(out, person.hi);
    buf_put_le64(out, person.lo);
    buf_put(out, &(struct key){0}, TEST_INSTANCE);
    buf_put_slice(out, t->step);
    buf_put_slice(out, t->to);
}

static enum call_state send_test(struct request *r, const struct person_at *p)
{
    const struct defset *set = shard_definitions(p->shard);
    struct slice name;
    struct test_send t;
    param_text(r, 0, "journey", &name);
    param_text(r, 1, "step", &t.step);
    param_text(r, 2, "to", &t.to);
    t.journey = defset_journey(set, name);
    const struct journey *j = t.journey == ID_NONE ? NULL : set->journeys.journeys[t.journey];
    if (!j || !journey_message(j, t.step)) return CALL_WAIT; /* a new set is on its way to this shard */
    struct buf payload = {0};
    pack_test(&payload, &t, store_row(shard_store(p->shard), p->row)->key);
    t.instance = test_instance(p->shard, &payload);
    struct record record = {
        .kind = RECORD_ADMIN, .shard = shard_index(p->shard), .payload = buf_slice(&payload)};
    bool logged = intake_record(p->worker, &record);
    buf_free(&payload);
    if (!logged) return CALL_WAIT;
    pk_map(&r->pack, 1);
    pk_text(&r->pack, "action_id");
    pk_hex(&r->pack, test_action_id(&t));
    return CALL_HELD;
}

void method_actions_test(struct request *r)
{
    struct slice step, to, id;
    uint16_t journey = named_journey(r, 0, "journey");
    if (journey == ID_NONE) return;
    const struct journey *j = sets_newest(r->engine->sets)->journeys.journeys[journey];
    if (!param_text(r, 1, "step", &step) || !param_text(r, 2, "to", &to) || !to.n || to.n > ADDRESS_BYTES_MAX)
        request_bad(r, "step and to are texts, to of at most 512 bytes");
    else if (!journey_message(j, step))
        request_fail(r, ERROR_NOT_FOUND, "not_found", "journey %.*s has no message %.*s", (int)j->name.n,
                     (const char *)j->name.p, (int)step.n, (const char *)step.p);
    else
        lookup_person(r, param_text(r, 3, "id", &id) ? id : to, send_test);
}
