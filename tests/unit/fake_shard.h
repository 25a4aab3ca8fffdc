/* fake_shard.h - a shard as recovery and snapshots see it, with a state that a test can predict: eight rows that events
 * add to, a count of things to wake up, and a hash that chains every record. Defines the functions of core/shard.h that
 * persist calls, so that nothing of core above its ground floor is linked. */
#ifndef HG_TESTS_FAKE_SHARD_H
#define HG_TESTS_FAKE_SHARD_H

#include "core/base/check.h"
#include "core/shard.h"

#include <stdlib.h>

enum { FAKE_ROWS = 8 };
struct shard {
    uint8_t index;
    uint64_t lsn;
    uint32_t now, waiting; /* an event waits for a wake-up */
    uint64_t rows[FAKE_ROWS];
    struct key hash;
    uint32_t definitions;
    /* snapshot */
    struct snapshot_sink sink;
    uint64_t saved[FAKE_ROWS];
    uint32_t next_row;
    bool saving;
};

static void fake_chain(struct shard *s, const void *p, size_t n)
{
    uint8_t bytes[16 + 64] = {0};
    struct key h = hash128_plain(p, n);
    memcpy(bytes, &s->hash, 16);
    memcpy(bytes + 16, &h, 16);
    s->hash = hash128_plain(bytes, 32);
}

uint64_t shard_lsn(const struct shard *s) { return s->lsn; }
uint32_t shard_now(const struct shard *s) { return s->now; }
uint8_t shard_index(const struct shard *s) { return s->index; }
struct key shard_hash(const struct shard *s) { return s->hash; }

void effects_init(struct effects *e) { *e = (struct effects){0}; }
void effects_reset(struct effects *e) { e->count = 0; }
void effects_free(struct effects *e) { (void)e; }

uint32_t shards_reserve(struct batch_item *items, uint32_t count, struct effects *out)
{
    return items && out ? count : 0;
}

static void fake_apply(struct shard *s, struct record *r)
{
    uint8_t first = r->head_bytes ? r->head[0] : r->payload.n ? r->payload.p[0] : 0;
    uint8_t bytes[65536];
    CHECK(r->head_bytes + r->payload.n <= sizeof bytes);
    memcpy(bytes, r->head, r->head_bytes);
    if (r->payload.n) memcpy(bytes + r->head_bytes, r->payload.p, r->payload.n);
    fake_chain(s, bytes, r->head_bytes + r->payload.n);
    r->lsn = ++s->lsn;
    s->rows[first % FAKE_ROWS] += 1 + first;
    if (r->kind == RECORD_EVENT) s->waiting++;
    if (r->kind == RECORD_DEFINITIONS) s->definitions = load_le32(bytes);
}

uint32_t shards_apply(struct batch_item *items, uint32_t count, struct arena *scratch, struct effects *out)
{
    (void)scratch, (void)out;
    for (uint32_t i = 0; i < count; i++) fake_apply(items[i].shard, &items[i].record);
    return count;
}

bool shard_reserve_tick(struct shard *s, uint32_t quota, struct effects *out)
{
    return s && out && quota < 1000000;
}
uint32_t shard_tick(struct shard *s, uint32_t now, uint32_t quota, struct effects *out)
{
    uint32_t ran = s->waiting < quota ? s->waiting : quota;
    (void)out;
    CHECK(now >= s->now);
    if (now == s->now && !ran) return 0;
    s->now = now;
    s->waiting -= ran;
    s->lsn++;
    fake_chain(s, &now, 4);
    return ran;
}

static uint32_t fake_ballast; /* bytes that every snapshot file carries besides, in frames of kind 3 */
enum { FAKE_BALLAST_FRAME = 1000 };
static void fake_put_ballast(const struct snapshot_sink *sink)
{
    uint8_t bytes[FAKE_BALLAST_FRAME];
    for (uint32_t i = 0; i < FAKE_BALLAST_FRAME; i++) bytes[i] = (uint8_t)(i * 7);
    for (uint32_t left = fake_ballast, n; left; left -= n) {
        n = left < FAKE_BALLAST_FRAME ? left : FAKE_BALLAST_FRAME;
        sink->put(sink->self, 3, slice_of(bytes, n));
    }
}

/* Frame 1: everything but the rows; frame 2: a row. */
void shard_snapshot_begin(struct shard *s, const struct snapshot_sink *sink, uint64_t *lsn)
{
    uint8_t bytes[40];
    CHECK(!s->saving);
    s->saving = true;
    s->sink = *sink;
    s->next_row = 0;
    memcpy(s->saved, s->rows, sizeof s->rows);
    *lsn = s->lsn;
    store_le64(bytes, s->lsn);
    store_le32(bytes + 8, s->now);
    store_le32(bytes + 12, s->waiting);
    store_le64(bytes + 16, s->hash.hi);
    store_le64(bytes + 24, s->hash.lo);
    store_le32(bytes + 32, s->definitions);
    sink->put(sink->self, 1, slice_of(bytes, 36));
    fake_put_ballast(sink);
}

bool shard_snapshot_step(struct shard *s, uint32_t rows)
{
    for (; rows && s->next_row < FAKE_ROWS; rows--, s->next_row++) {
        uint8_t bytes[12];
        store_le32(bytes, s->next_row);
        store_le64(bytes + 4, s->saved[s->next_row]);
        s->sink.put(s->sink.self, 2, slice_of(bytes, 12));
    }
    s->saving = s->next_row < FAKE_ROWS;
    return !s->saving;
}

void shard_snapshot_abandon(struct shard *s) { s->saving = false; }

bool shard_restore(struct shard *s, uint8_t kind, struct slice bytes)
{
    struct reader in = reader_of(bytes);
    if (kind == 3) return fake_ballast != 0;
    if (kind == 1) {
        s->lsn = read_le64(&in);
        s->now = read_le32(&in);
        s->waiting = read_le32(&in);
        s->hash.hi = read_le64(&in);
        s->hash.lo = read_le64(&in);
        s->definitions = read_le32(&in);
    } else {
        uint32_t slot = read_le32(&in);
        uint64_t value = read_le64(&in);
        if (kind != 2 || slot >= FAKE_ROWS) return false;
        s->rows[slot] = value;
    }
    return !in.bad && in.p == in.end;
}

static bool fake_restore_refuses;
bool shard_restore_end(struct shard *s) { return s && !fake_restore_refuses; }

/* All of them, and whether two sets are the same. */
struct fake_shards {
    struct shard list[LOGICAL_SHARDS];
};
static struct fake_shards *fake_shards_create(void)
{
    struct fake_shards *s = calloc(1, sizeof *s);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) s->list[i].index = (uint8_t)i;
    return s;
}
static bool fake_shard_eq(const struct shard *a, const struct shard *b)
{
    return a->lsn == b->lsn && a->now == b->now && a->waiting == b->waiting && key_eq(a->hash, b->hash) &&
           memcmp(a->rows, b->rows, sizeof a->rows) == 0;
}
static bool fake_shards_eq(const struct fake_shards *a, const struct fake_shards *b)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (!fake_shard_eq(&a->list[i], &b->list[i])) return false;
    return true;
}

#endif
