/* actions.c - from the outboxes to whoever delivers: subscribers on the admin socket and Forward sinks.
 *
 * A reader has one cursor per shard. When a shard has newer durable actions than the cursor says and the reader has room
 * in its window, worker 0 sends an errand to the workers that have them; each copies what the reader may have out of the
 * outboxes of its shards; worker 0 hands it over. What is not confirmed stays in the outbox: a reader that comes back
 * starts from zero. An id does not tell its shard, so it is remembered for as long as an action given is likely to be
 * unconfirmed; of an id that was forgotten every shard is asked.
 * A channel goes to exactly one reader: the one its definition names, else the default reader (the first sink, else the
 * subscriber that came first). */
#include "io/admin.h"
#include "core/base/planted.h"
#include "persist/crash.h"

#include <stdlib.h>

enum {
    FETCH_BYTES_MAX = 256 << 10,
    GIVEN_REMEMBERED = 4 * ACTIONS_WINDOW, /* a power of two */
    NOBODY_KNOWS = LOGICAL_SHARDS
};

struct actions {
    struct action_reader *readers; /* oldest first */
    struct given {                 /* by the id's low bits; a later one takes the place */
        struct key id;
        uint8_t shard;
    } given[GIVEN_REMEMBERED];
};

struct fetch { /* of one reader; one at a time */
    struct engine *engine;
    struct action_reader *reader;
    uint32_t room;      /* how many it may be given */
    struct arena arena; /* copies of its names: it may go meanwhile */
    struct slice name, *channels;
    uint32_t channel_count;
    bool is_default;
    uint64_t cursor[LOGICAL_SHARDS], durable[LOGICAL_SHARDS];
    struct queue found
        [LOGICAL_SHARDS]; /* by worker: shard u8, channel u16, created u32, sequence u64, id 16, content */
};
enum { FOUND_HEAD = 1 + 2 + 4 + 8 + 16 };

void actions_create(struct engine *e)
{
    e->admin->actions = calloc(1, sizeof *e->admin->actions);
    CHECK(e->admin->actions != NULL);
}

void actions_destroy(struct engine *e) { free(e->admin->actions); }

/* ---- where an action lies ------------------------------------------------------------------------------------ */

static struct given *given_place(struct engine *e, struct key id)
{
    return &e->admin->actions->given[id.lo % GIVEN_REMEMBERED];
}

static void remember_given(struct engine *e, struct key id, uint8_t shard)
{
    *given_place(e, id) = (struct given){id, shard};
}

static uint8_t shard_given(struct engine *e, struct key id)
{
    const struct given *g = given_place(e, id);
    return key_eq(g->id, id) ? g->shard : NOBODY_KNOWS;
}

/* ---- who gets what ---------------------------------------------------------------------------------------- */

static bool wants(const struct fetch *f, const struct journey_set *set, uint16_t channel)
{
    if (channel >= set->channel_count) return f->is_default;
    const struct channel *c = &set->channels[channel];
    if (c->to.n ? !slice_eq(c->to, f->name) : !f->is_default) return false;
    if (!f->channel_count) return true;
    for (uint32_t i = 0; i < f->channel_count; i++)
        if (slice_eq(f->channels[i], c->name)) return true;
    return false;
}

/* ---- on each worker ------------------------------------------------------------------------------------------ */

static void put_found(struct queue *q, uint8_t shard, const struct action *a)
{
    uint8_t *p = queue_push(q, FOUND_HEAD + a->content.n);
    p[0] = shard;
    store_le16(p + 1, a->channel);
    store_le32(p + 3, a->created_at);
    store_le64(p + 7, a->sequence);
    memcpy(p + 15, &a->id, 16);
    if (a->content.n) memcpy(p + FOUND_HEAD, a->content.p, a->content.n);
}

static enum call_state collect(struct worker *w, struct part *p)
{
    struct fetch *f = p->scatter->owner;
    uint32_t room = f->room / w->engine->threads + 1;
    struct queue *q = &f->found[w->index];
    for (uint32_t i = 0; i < w->shard_count; i++) {
        uint8_t shard = shard_index(w->shards[i]);
        const struct journey_set *set = &shard_definitions(w->shards[i])->journeys;
        struct action a;
        while (f->cursor[shard] < f->durable[shard] &&
               outbox_next(shard_outbox(w->shards[i]), f->cursor[shard], &a)) {
            if (a.sequence > f->durable[shard]) break;
            bool wanted = wants(f, set, a.channel);
            if (wanted && (!room || queue_bytes(q) > FETCH_BYTES_MAX)) return CALL_DONE;
            f->cursor[shard] = a.sequence;
            room -= wanted;
            if (wanted) put_found(q, shard, &a);
        }
        if (f->cursor[shard] < f->durable[shard] &&
            !outbox_next(shard_outbox(w->shards[i]), f->cursor[shard], &a))
            f->cursor[shard] = f->durable[shard]; /* confirmed meanwhile */
    }
    return CALL_DONE;
}

/* ---- on worker 0 ------------------------------------------------------------------------------------------------ */

static void hand_over(struct fetch *f, bool old)
{
    struct action_reader *r = f->reader;
    const struct journey_set *set = &sets_newest(f->engine->sets)->journeys;
    struct slice entry;
    for (uint32_t w = 0; w < f->engine->threads; w++) {
        for (; queue_front(&f->found[w], &entry); queue_pop(&f->found[w])) {
            if (old) continue;
            struct action a = {.channel = load_le16(entry.p + 1),
                               .created_at = load_le32(entry.p + 3),
                               .sequence = load_le64(entry.p + 7)};
            memcpy(&a.id, entry.p + 15, 16);
            a.content = slice_of(entry.p + FOUND_HEAD, entry.n - FOUND_HEAD);
            remember_given(f->engine, a.id, entry.p[0]);
            struct slice channel =
                a.channel < set->channel_count ? set->channels[a.channel].name : (struct slice){0};
            r->unconfirmed++;
            r->give(r, &a, channel);
        }
        queue_free(&f->found[w]);
    }
}

static void fetched(struct scatter *s)
{
    struct fetch *f = s->owner;
    struct action_reader *r = f->reader;
    scatter_free(s);
    r->fetching = NULL;
    bool more = r->rewound || memcmp(f->cursor, f->durable, sizeof f->cursor) != 0;
    if (!r->rewound) memcpy(r->cursor, f->cursor, sizeof r->cursor);
    hand_over(f, r->gone || r->rewound);
    r->rewound = false;
    if (more) atomic_store(&f->engine->action_news, 1);
    arena_free(&f->arena);
    free(f);
    if (r->gone) r->release(r);
}

static void start_fetch(struct engine *e, struct action_reader *r)
{
    struct fetch *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    uint64_t workers = 0; /* that have something new */
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        f->cursor[i] = r->cursor[i];
        f->durable[i] = atomic_load_explicit(&e->action_sequence[i], memory_order_acquire);
        if (f->cursor[i] < f->durable[i]) workers |= 1ull << engine_owner(e, i);
    }
    if (!workers) {
        free(f);
        return;
    }
    f->engine = e;
    f->reader = r;
    f->room = ACTIONS_WINDOW - r->unconfirmed;
    f->is_default = r->is_default;
    arena_init(&f->arena);
    f->name = arena_slice(&f->arena, r->name);
    f->channel_count = r->channel_count;
    f->channels = ARENA_ARRAY(&f->arena, struct slice, r->channel_count + 1);
    for (uint32_t i = 0; i < r->channel_count; i++) f->channels[i] = arena_slice(&f->arena, r->channels[i]);
    struct scatter *s = scatter_new(e, f);
    s->run = collect;
    s->done = fetched;
    r->fetching = s;
    scatter_look(s, workers);
}

bool actions_waiting(struct engine *e)
{
    return atomic_load_explicit(&e->action_readers, memory_order_relaxed) &&
           atomic_load_explicit(&e->action_news, memory_order_relaxed);
}

void actions_turn(struct engine *e)
{
    if (!atomic_load_explicit(&e->action_readers, memory_order_relaxed)) return;
    if (!atomic_exchange_explicit(&e->action_news, 0, memory_order_acquire)) return;
    for (struct action_reader *r = e->admin->actions->readers; r; r = r->next)
        if (!r->fetching && r->unconfirmed < ACTIONS_WINDOW && r->ready(r)) start_fetch(e, r);
}

static void choose_default(struct actions *a)
{
    for (struct action_reader *r = a->readers; r; r = r->next) r->is_default = r == a->readers;
}

void actions_add(struct engine *e, struct action_reader *r)
{
    struct action_reader **at = &e->admin->actions->readers;
    while (*at) at = &(*at)->next;
    *at = r;
    r->next = NULL;
    choose_default(e->admin->actions);
    atomic_fetch_add(&e->action_readers, 1);
    atomic_store(&e->action_news, 1);
}

void actions_remove(struct engine *e, struct action_reader *r)
{
    for (struct action_reader **at = &e->admin->actions->readers; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    struct action_reader *was_default = r->is_default ? e->admin->actions->readers : NULL;
    choose_default(e->admin->actions);
    if (was_default) action_reader_rewind(was_default); /* to what it did not get before */
    atomic_fetch_sub(&e->action_readers, 1);
    atomic_store(&e->action_news, 1);
    r->gone = true;
    if (!r->fetching) r->release(r);
}

void action_reader_rewind(struct action_reader *r)
{
    memset(r->cursor, 0, sizeof r->cursor);
    r->unconfirmed = 0;
    r->rewound = r->fetching != NULL;
}

void action_reader_confirmed(struct action_reader *r, uint32_t count)
{
    r->unconfirmed -= count < r->unconfirmed ? count : r->unconfirmed;
}

void actions_confirmed_by_another(struct engine *e, uint32_t count)
{
    for (struct action_reader *r = e->admin->actions->readers; r; r = r->next)
        action_reader_confirmed(r, count);
}

/* ---- confirming ---------------------------------------------------------------------------------------------------- */

struct confirm {
    void (*done)(void *owner, uint32_t confirmed);
    void *owner;
    _Atomic uint32_t confirmed;
    uint32_t begin[LOGICAL_SHARDS + 2]; /* of each shard's ids; of those of which nobody knows; the end */
    struct key ids[];
};

static uint32_t id_count(const struct confirm *c, uint32_t shard)
{
    return c->begin[shard + 1] - c->begin[shard];
}

/* Those of one group that shard s has. */
static uint32_t put_pending_ids(struct shard *s, const struct confirm *c, uint32_t group, struct buf *out)
{
    uint32_t n = 0;
    for (uint32_t i = c->begin[group]; i < c->begin[group + 1]; i++) {
        if (!outbox_get(shard_outbox(s), c->ids[i], &(struct action){0})) continue;
        buf_put_le64(out, c->ids[i].hi);
        buf_put_le64(out, c->ids[i].lo);
        n++;
    }
    return n;
}

static bool confirm_in(struct worker *w, struct shard *s, const struct confirm *c, uint32_t *found)
{
    uint8_t shard = shard_index(s);
    if (!id_count(c, shard) && !id_count(c, NOBODY_KNOWS)) return true;
    struct buf payload = {0};
    buf_put_le32(&payload, 0);
    uint32_t n = put_pending_ids(s, c, shard, &payload) + put_pending_ids(s, c, NOBODY_KNOWS, &payload);
    store_le32(payload.p, n);
    struct record r = {.kind = RECORD_CONFIRM, .shard = shard, .payload = buf_slice(&payload)};
    bool logged = !n || intake_record(w, &r);
    if (n && logged) CRASH_POINT(confirm_logged);
    if (logged) *found += n;
    buf_free(&payload);
    return logged;
}

static enum call_state confirm_part(struct worker *w, struct part *p)
{
    struct confirm *c = p->scatter->owner;
    for (; p->shard < w->shard_count; p->shard++) {
        uint32_t found = 0;
        if (!confirm_in(w, w->shards[p->shard], c, &found)) return CALL_WAIT;
        atomic_fetch_add(&c->confirmed, found);
    }
    return PLANTED(confirmed_before_durable) ? CALL_DONE : CALL_HELD;
}

static void confirmed(struct scatter *s)
{
    struct confirm *c = s->owner;
    CRASH_POINT(confirm_durable);
    scatter_free(s);
    c->done(c->owner, atomic_load(&c->confirmed));
    free(c);
}

/* By shard, each shard's in the order given. */
static void sort_ids(struct engine *e, struct confirm *c, const struct key *ids, uint32_t count)
{
    uint32_t next[LOGICAL_SHARDS + 1];
    for (uint32_t i = 0; i < count; i++) c->begin[shard_given(e, ids[i]) + 1]++;
    for (uint32_t i = 0; i <= LOGICAL_SHARDS; i++) {
        next[i] = c->begin[i];
        c->begin[i + 1] += c->begin[i];
    }
    for (uint32_t i = 0; i < count; i++) c->ids[next[shard_given(e, ids[i])]++] = ids[i];
}

void actions_confirm(struct engine *e, const struct key *ids, uint32_t count,
                     void (*done)(void *owner, uint32_t confirmed), void *owner)
{
    struct confirm *c = calloc(1, sizeof *c + count * sizeof c->ids[0]);
    CHECK(c != NULL);
    c->done = done;
    c->owner = owner;
    sort_ids(e, c, ids, count);
    struct scatter *s = scatter_new(e, c);
    s->run = confirm_part;
    s->done = confirmed;
    scatter_start(s);
}
