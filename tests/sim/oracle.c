#include "core/shard/state.h"
#include "tests/sim/oracle.h"
#include "persist/recover.h"
#include "tests/sim/disk.h"
#include "tests/sim/model.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- recovery --------------------------------------------------------------------------------- */

static struct {
    bool known;
    uint64_t lsn;
    struct key hash;
} live[LOGICAL_SHARDS];

void oracle_remember(struct engine *e)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        live[i].known = true;
        live[i].lsn = shard_lsn(e->shards[i]);
        live[i].hash = shard_hash(e->shards[i]);
    }
}

void oracle_forget(void) { memset(live, 0, sizeof live); }

struct twin { /* shards of a second recovery */
    struct engine *engine;
    struct shard *shards[LOGICAL_SHARDS];
};

static const struct defset *twin_set(void *host, uint32_t version, struct key hash)
{
    (void)hash;
    return sets_find(((struct twin *)host)->engine->sets, version);
}

static struct shard *twin_shard(void *self, uint32_t index) { return ((struct twin *)self)->shards[index]; }

/* The node has compiled it already; what it has not, its own recovery did not need (a log cut back, say). */
static bool twin_definitions(void *self, uint32_t version, struct key hash, struct slice bundle)
{
    (void)hash, (void)bundle;
    return sets_find(((struct twin *)self)->engine->sets, version) != NULL;
}

/* A second recovery into `t`; the files of `disk` are read only up to where they end or are refused. */
static enum persist_status start_twin(struct twin *t, struct disk *disk, struct buf *why)
{
    struct datadir dir = t->engine->dir;
    struct recovered out;
    dir.disk = disk;
    dir.error = (struct buf){0};
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct shard_config config = {
            .index = (uint8_t)i, .secret = &t->engine->dir.secret, .definitions = twin_set, .host = t};
        t->shards[i] = shard_create(&config);
        CHECK(t->shards[i] != NULL);
    }
    struct recovery_host host = {t, twin_shard, twin_definitions, NULL};
    enum persist_status status = recover(&dir, &host, true, &out);
    buf_put_slice(why, buf_slice(&dir.error));
    buf_free(&dir.error);
    return status;
}

static void destroy_twin(struct twin *t)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(t->shards[i]);
}

enum persist_status oracle_start_on(struct engine *e, struct disk *disk)
{
    struct twin t = {.engine = e};
    struct buf why = {0};
    enum persist_status status = start_twin(&t, disk, &why);
    destroy_twin(&t);
    buf_free(&why);
    return status;
}

/* The same people in the same slots: what comes next must get the same slot, too. */
static void same_slots(struct shard *a, struct shard *b)
{
    const struct store *x = shard_store(a), *y = shard_store(b);
    PROMISE(P6, x->row_limit == y->row_limit, "shard %u: %u slots from the snapshot, %u from zero",
            shard_index(a), x->row_limit, y->row_limit);
    for (uint32_t r = 0; r < x->row_limit; r++)
        PROMISE(P6, x->rows[r].flags == y->rows[r].flags && key_eq(x->rows[r].key, y->rows[r].key),
                "shard %u: somebody else lies in slot %u from zero", shard_index(a), r);
}

static void replay_from_zero(struct engine *e)
{
    struct twin t = {.engine = e};
    struct disk *copy = sim_disk_copy(sim_disk());
    struct buf why = {0};
    enum persist_status status = start_twin(&t, copy, &why);
    PROMISE(P6, status == PERSIST_OK, "replay from zero: %.*s", (int)why.n, (char *)why.p);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        PROMISE(P6, shard_lsn(t.shards[i]) == shard_lsn(e->shards[i]),
                "shard %u: recovered to LSN %llu, from zero to %llu", i,
                (unsigned long long)shard_lsn(e->shards[i]), (unsigned long long)shard_lsn(t.shards[i]));
        PROMISE(P6, key_eq(shard_hash(t.shards[i]), shard_hash(e->shards[i])),
                "shard %u: another state from zero than from the snapshot (LSN %llu)", i,
                (unsigned long long)shard_lsn(e->shards[i]));
        same_slots(e->shards[i], t.shards[i]);
    }
    destroy_twin(&t);
    buf_free(&why);
    sim_disk_copy_free(copy);
}

/* What is in an outbox now was made in an earlier life. */
static void remember_outboxes(struct engine *e)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct action a = {0};
        while (outbox_next(shard_outbox(e->shards[i]), a.sequence, &a)) model_action(a.id)->recovered = true;
    }
}

void oracle_recovered(struct engine *e, bool log_is_whole)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        if (!live[i].known || shard_lsn(e->shards[i]) != live[i].lsn) continue;
        PROMISE(P5, key_eq(shard_hash(e->shards[i]), live[i].hash),
                "shard %u: recovered another state than it had at LSN %llu", i,
                (unsigned long long)live[i].lsn);
    }
    oracle_forget();
    remember_outboxes(e);
    PROMISE(P6, !e->recovered.damaged_snapshot, "snapshot %llu is damaged, and nothing damaged it",
            (unsigned long long)e->recovered.damaged_snapshot);
    if (log_is_whole) replay_from_zero(e);
}

/* ---- events -------------------------------------------------------------------------------------- */

static void learn_hashes(struct engine *e)
{
    struct arena scratch;
    arena_init(&scratch);
    const struct schema *schema = &shard_definitions(e->shards[0])->schema;
    for (uint32_t i = 0; i < sent_count; i++) {
        struct sent *s = &sent_events[i];
        struct event event;
        if (s->hashed || !s->sent) continue;
        int64_t entry = s->time_kind == TIME_ENTRY  ? s->own_ms
                        : s->time_kind == TIME_NONE ? 0
                                                    : (int64_t)s->made_at * 1000;
        enum reject r =
            event_parse(schema, &e->dir.secret, slice_of(s->bytes, s->n), entry, &scratch, &event);
        CHECK(r == REJECT_NONE && event.type != ID_NONE);
        s->hash = (uint32_t)event.message_hash;
        s->type = event.type;
        s->hashed = true;
        arena_reset(&scratch);
    }
    arena_free(&scratch);
}

static int id_number(struct slice id)
{
    char text[16] = "";
    memcpy(text, id.p + 1, id.n < 16 ? id.n - 1 : 14);
    return atoi(text);
}

struct holder {         /* a person of the node */
    int user;           /* -1: none */
    uint64_t anonymous; /* bits */
    struct shard *shard;
    row_t row;
};

static bool belongs(const struct holder *h, const struct sent *s)
{
    if (s->user >= 0) return h->user == s->user;
    return h->anonymous >> s->anonymous & 1;
}

static struct sent *find_sent(const struct holder *h, uint16_t type, uint32_t hash, uint32_t at)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        struct sent *s = &sent_events[i];
        if (!s->hashed || s->type != type || s->hash != hash || !belongs(h, s)) continue;
        int64_t own = s->own_ms / 1000;
        bool clamped = s->own_ms && own > (int64_t)s->made_at + 20 * 3600;
        if (s->time_kind == TIME_NONE || clamped || own == at) return s;
    }
    return NULL;
}

static struct holder holder_of(struct shard *shard, row_t row)
{
    struct holder h = {.user = -1, .shard = shard, .row = row};
    const struct store *store = shard_store(shard);
    struct slice user = ids_user(store, row), anonymous[ALIASES_MAX];
    if (user.n) h.user = id_number(user);
    uint32_t n = ids_anonymous(store, row, anonymous, ALIASES_MAX);
    for (uint32_t i = 0; i < n; i++) h.anonymous |= 1ull << id_number(anonymous[i]);
    return h;
}

enum { TYPES = 256 };
static uint64_t lifetime[TYPES]; /* by type: of all people together */

static void count_history(const struct holder *h)
{
    const struct store *store = shard_store(h->shard);
    uint16_t types[64];
    uint32_t n = behaviour_types(store, h->row, types, 64);
    for (uint32_t i = 0; i < n; i++) {
        struct history_view v;
        if (!behaviour_view(store, h->row, types[i], &v)) continue;
        CHECK(types[i] < TYPES);
        lifetime[types[i]] += v.count;
        for (uint32_t k = 0; k < v.n; k++) {
            uint32_t hash = v.hashes[(v.head + k) & v.mask], at = history_time(&v, k);
            struct sent *s = find_sent(h, types[i], hash, at);
            detail("u%d/%llx shard %u: event %d of type %u at %u", h->user, (unsigned long long)h->anonymous,
                   shard_index(h->shard), s ? (int)(s - sent_events) : -1, types[i], at);
            PROMISE(P3, s != NULL,
                    "person u%d/%llx of shard %u has an event that nobody sent: type %u, %u s, hash %08x",
                    h->user, (unsigned long long)h->anonymous, shard_index(h->shard), types[i], at, hash);
            s->found++;
        }
    }
}

static void each_person(struct engine *e, void (*run)(const struct holder *h))
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct store *store = shard_store(e->shards[i]);
        for (uint32_t r = 0; r < store->row_limit; r++) {
            if (!(store_row(store, (row_t){r})->flags & ROW_USED)) continue;
            struct holder h = holder_of(e->shards[i], (row_t){r});
            run(&h);
        }
    }
}

/* What was applied is counted somewhere, also when a full history has given it up. */
static void check_lifetimes(struct engine *e)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        uint64_t applied = 0;
        if (!s->hashed) continue;
        for (uint32_t k = 0; k < LOGICAL_SHARDS; k++) applied += shard_event_count(e->shards[k], s->type);
        PROMISE(P3, applied == lifetime[s->type], "%llu events of type %u were applied, people have %llu",
                (unsigned long long)applied, s->type, (unsigned long long)lifetime[s->type]);
    }
}

/* Whoever was seen together with a user is nobody of their own any more. */
static void check_links(const struct holder *h)
{
    for (int a = 0; a < ANONYMOUS && h->user < 0; a++)
        PROMISE(P23, !(h->anonymous >> a & 1) || !model_paired(a, true),
                "a%d belongs to u%d and still stands alone", a, model_owner(a));
}

void oracle_events(struct engine *e, bool all)
{
    learn_hashes(e);
    for (uint32_t i = 0; i < sent_count; i++) sent_events[i].found = 0;
    memset(lifetime, 0, sizeof lifetime);
    each_person(e, count_history);
    if (all) check_lifetimes(e);
    if (all) each_person(e, check_links);
    uint64_t applied = 0, counted = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        PROMISE(P2, s->found <= 1, "event %u was counted %u times (u%d a%d, time kind %u, own time %lld ms)",
                i, s->found, s->user, s->anonymous, s->time_kind, (long long)s->own_ms);
        if (s->kind == KIND_PING) continue; /* its history is short: the counters below speak for it */
        PROMISE(P1, s->found || !s->acked,
                "event %u was acknowledged and is lost (u%d a%d, own time %lld ms)", i, s->user, s->anonymous,
                (long long)s->own_ms);
        counted += s->found;
    }
    uint16_t viewed = ID_NONE, ordered = ID_NONE;
    for (uint32_t i = 0; i < sent_count; i++) {
        if (sent_events[i].hashed && sent_events[i].kind == KIND_VIEWED) viewed = sent_events[i].type;
        if (sent_events[i].hashed && sent_events[i].kind == KIND_ORDERED) ordered = sent_events[i].type;
    }
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        if (viewed != ID_NONE) applied += shard_event_count(e->shards[i], viewed);
        if (ordered != ID_NONE) applied += shard_event_count(e->shards[i], ordered);
    }
    PROMISE(P3, !all || applied == counted, "%llu events are counted, %llu lie in histories",
            (unsigned long long)applied, (unsigned long long)counted);
}

bool oracle_merges_done(struct engine *e)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (shard_pending_merges(e->shards[i])) return false;
    return true;
}

static bool merge_waits_before_walker(struct shard *s)
{
    const struct pending_merge *list = (const struct pending_merge *)s->merges.base;
    for (uint32_t i = 0; s->snapshot.active && i < s->merge_count; i++) {
        row_t row;
        struct key target;
        if (store_find(&s->store, list[i].user, &row, &target) == FOUND_ROW &&
            row.v >= s->snapshot.next_slot && row.v < s->snapshot.limit &&
            store_row(&s->store, row)->epoch != s->store.epoch)
            return true;
    }
    return false;
}

bool oracle_merge_before_walker(struct engine *e)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (merge_waits_before_walker(e->shards[i])) return true;
    return false;
}

/* ---- segments: counted anew from what was sent ------------------------------------------------------- */

static uint32_t seconds_of(const struct sent *s, const struct holder *h, uint32_t *unsure)
{
    int64_t own = s->own_ms / 1000;
    if (s->time_kind == TIME_NONE || own > (int64_t)s->made_at + 20 * 3600)
        *unsure += 1; /* when it came, who knows */
    (void)h;
    return (uint32_t)own;
}

static void check_segments(const struct holder *h)
{
    const struct defset *set = shard_definitions(h->shard);
    const struct store *store = shard_store(h->shard);
    uint32_t now = world_second(), unsure = 0, orders = 0, views = 0, recent = 0, lately = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        if (!s->found || !belongs(h, s)) continue;
        uint32_t at = s->kind == KIND_VIEWED ? seconds_of(s, h, &unsure) : 0;
        orders += s->kind == KIND_ORDERED;
        views += s->kind == KIND_VIEWED;
        recent += s->kind == KIND_VIEWED && at <= now && at + 20 * 60 > now;
        lately += s->kind == KIND_VIEWED && at <= now && at + 2 * 3600 > now;
    }
    uint16_t buyers = defset_segment(set, SLICE("buyers")), keen = defset_segment(set, SLICE("keen")),
             gone = defset_segment(set, SLICE("gone")), fans = defset_segment(set, SLICE("fans"));
    if (buyers == ID_NONE) return;
    EXPECT(member_get(store, h->row, buyers) == (orders > 0), "u%d/%llx: buyers is %d, %u orders", h->user,
           (unsigned long long)h->anonymous, member_get(store, h->row, buyers), orders);
    EXPECT(fans == ID_NONE || member_get(store, h->row, fans) == (views >= 2),
           "u%d/%llx: fans is %d, %u views", h->user, (unsigned long long)h->anonymous,
           member_get(store, h->row, fans), views);
    if (unsure) return;
    PROMISE(P13, member_get(store, h->row, keen) == (recent >= 3),
            "u%d/%llx: keen is %d, %u views in 20 minutes before %u", h->user,
            (unsigned long long)h->anonymous, member_get(store, h->row, keen), recent, now);
    PROMISE(P13, member_get(store, h->row, gone) == (views > 0 && lately == 0),
            "u%d/%llx: gone is %d, %u views, %u of them in 2 hours before %u", h->user,
            (unsigned long long)h->anonymous, member_get(store, h->row, gone), views, lately, now);
}

void oracle_segments(struct engine *e) { each_person(e, check_segments); }

uint32_t oracle_next_flip(void)
{
    static const uint32_t windows[] = {0, 20 * 60, 2 * 3600}; /* an event that lay ahead joins; windows end */
    uint32_t now = world_second(), next = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        if (s->kind != KIND_VIEWED || !s->found || s->time_kind == TIME_NONE) continue;
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t at = (uint32_t)(s->own_ms / 1000) + windows[k];
            if (at > now + 1 && (!next || at < next)) next = at;
        }
    }
    return next;
}

uint64_t oracle_merged(struct engine *e)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) n += shard_counters(e->shards[i])->merged;
    return n;
}

/* ---- time ----------------------------------------------------------------------------------------------------- */

void oracle_wakes(struct engine *e, uint32_t slack_s)
{
    uint32_t now = world_second();
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        PROMISE(P13, !shard_overdue(e->shards[i], now - slack_s),
                "shard %u: a wake-up is more than %u s late", i, slack_s);
}
