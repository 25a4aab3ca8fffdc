/* Forward clients: chunks in all four modes, acks awaited, everything unacknowledged sent again under a new chunk id. */
#include "core/base/msgpack.h"
#include "tests/sim/clients.h"
#include "tests/sim/model.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { CHUNK_EVENTS = 24, WINDOW = 4, QUEUE_MAX = EVENTS_MAX * 2, PATIENCE_US = 20 * 1000000 };

struct sent_chunk {
    uint64_t id;
    uint64_t at_us;
    uint32_t count, events[CHUNK_EVENTS];
};
struct sender {
    uint32_t index;
    struct wire *wire;
    struct buf in;
    struct sent_chunk window[WINDOW];
    uint32_t open;
    uint32_t queue[QUEUE_MAX]; /* events to send again, before new ones */
    uint32_t queued;
    bool resting; /* nothing to do, and no appointment */
    uint64_t next_chunk;
};

static struct sender senders[SENDERS];
static uint32_t to_make;
static bool paused;

static void wake(void *self, uint64_t number);

/* ---- connections ------------------------------------------------------------------------------- */

static void requeue(struct sender *s, const struct sent_chunk *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        CHECK(s->queued < QUEUE_MAX);
        uint32_t at = s->queued++;
        s->queue[at] = c->events[i];
        if (!chance(30)) continue; /* order is not sacred */
        uint32_t other = chance_below(s->queued), event = s->queue[other];
        s->queue[other] = s->queue[at];
        s->queue[at] = event;
    }
}

static void lost(void *self)
{
    struct sender *s = self;
    if (s->wire) detail("sender %u: connection lost, %u chunks open", s->index, s->open);
    s->wire = NULL;
    buf_clear(&s->in);
    for (uint32_t i = 0; i < s->open; i++) requeue(s, &s->window[i]);
    s->open = 0;
}

static void on_ack(struct sender *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->open; i++) {
        struct sent_chunk c = s->window[i];
        if (c.id != id) continue;
        EXPECT(i == 0, "acks of one connection came out of order");
        for (uint32_t k = 0; k < c.count; k++) {
            struct sent *e = &sent_events[c.events[k]];
            if (!e->acked) shared->acked++;
            if (!e->acked) e->acked_at = world_second();
            e->acked = true;
        }
        detail("sender %u: chunk %llu acked", s->index, (unsigned long long)id);
        memmove(s->window + i, s->window + i + 1, (--s->open - i) * sizeof c);
        if (chance_in(25)) requeue(s, &c); /* as if the ack had been lost on the client's side */
        return;
    }
    fault("sender %u: an ack of a chunk it does not wait for", s->index);
}

static void received(void *self, const uint8_t *p, size_t n)
{
    struct sender *s = self;
    buf_put(&s->in, p, n);
    for (;;) {
        struct mp m = mp_of(buf_slice(&s->in));
        if (!s->in.n || mp_item(&m).n == 0) return;
        size_t used = (size_t)(m.p - s->in.p);
        m = mp_of(slice_of(s->in.p, used));
        char id[32] = "";
        EXPECT(mp_map(&m) == 1 && slice_is(mp_str(&m), "ack"), "not an ack");
        struct slice text = mp_str(&m);
        EXPECT(text.n > 0 && text.n < sizeof id, "an ack without id");
        memcpy(id, text.p, text.n);
        on_ack(s, strtoull(id + 1, NULL, 10));
        memmove(s->in.p, s->in.p + used, s->in.n - used);
        s->in.n -= used;
        if (!s->wire) return;
    }
}

/* ---- chunks -------------------------------------------------------------------------------------- */

static uint8_t *put_time(uint8_t *p, const struct sent *e)
{
    bool entry = e->time_kind == TIME_ENTRY;
    int64_t ms = entry ? e->own_ms : e->time_kind == TIME_NONE ? 0 : (int64_t)e->made_at * 1000;
    if (ms == 0) return chance(50) ? mpw_nil(p) : mpw_int(p, 0);
    if (chance(50)) return mpw_int(p, ms / 1000);
    *p++ = 0xd7; /* fixext 8, type 0: EventTime */
    *p++ = 0;
    store_be32(p, (uint32_t)(ms / 1000));
    store_be32(p + 4, 0);
    return p + 8;
}

static void put_entries(struct buf *out, const struct sent_chunk *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct sent *e = &sent_events[c->events[i]];
        uint8_t head[32], *p = put_time(mpw_array(head, 2), e);
        buf_put(out, head, (size_t)(p - head));
        buf_put(out, e->bytes, e->n);
        e->sent = true;
    }
}

static void deflate_entries(struct buf *b)
{
    uLong most = compressBound(b->n) + 64;
    uint8_t *packed = malloc(most);
    z_stream z = {0};
    CHECK(packed && deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = b->p;
    z.avail_in = (uInt)b->n;
    z.next_out = packed;
    z.avail_out = (uInt)most;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    buf_clear(b);
    buf_put(b, packed, most - z.avail_out);
    deflateEnd(&z);
    free(packed);
}

static void put_option(struct buf *out, const struct sent_chunk *c, bool gzip)
{
    uint8_t text[96], *p = mpw_map(text, gzip ? 2 : 1);
    char id[32];
    snprintf(id, sizeof id, "c%llu", (unsigned long long)c->id);
    p = mpw_str(mpw_str(p, SLICE("chunk")), slice_str(id));
    if (gzip) p = mpw_str(mpw_str(p, SLICE("compressed")), SLICE("gzip"));
    buf_put(out, text, (size_t)(p - text));
}

static void send_chunk(struct sender *s, struct sent_chunk *c)
{
    struct buf frame = {0}, entries = {0};
    uint8_t head[32], *p;
    enum {
        MESSAGE,
        FORWARD,
        PACKED,
        GZIP
    } mode = c->count == 1 && chance(50) ? MESSAGE : 1 + chance_below(3);
    put_entries(&entries, c);
    p = mpw_str(mpw_array(head, mode == MESSAGE ? 4 : 3), SLICE("shop"));
    if (mode == FORWARD) p = mpw_array(p, c->count);
    buf_put(&frame, head, (size_t)(p - head));
    if (mode == GZIP) deflate_entries(&entries);
    if (mode == PACKED || mode == GZIP) {
        uint8_t *text = malloc(entries.n + 16);
        CHECK(text != NULL);
        p = mpw_bin(text, buf_slice(&entries));
        buf_put(&frame, text, (size_t)(p - text));
        free(text);
    } else {
        size_t skip = mode == MESSAGE ? 1 : 0; /* the entry's own array header */
        buf_put(&frame, entries.p + skip, entries.n - skip);
    }
    put_option(&frame, c, mode == GZIP);
    char list[200];
    int at = 0;
    for (uint32_t i = 0; i < c->count; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, " %u", c->events[i]);
    detail("sender %u: chunk %llu, mode %d, events%s", s->index, (unsigned long long)c->id, mode, list);
    net_send(s->wire, frame.p, frame.n);
    buf_free(&frame);
    buf_free(&entries);
}

static void fill(struct sender *s, struct sent_chunk *c)
{
    uint32_t most = chance(80) ? chance_between(1, 4) : chance_between(1, CHUNK_EVENTS);
    *c = (struct sent_chunk){.id = ++s->next_chunk * SENDERS + s->index, .at_us = world_us};
    while (c->count < most && s->queued) c->events[c->count++] = s->queue[--s->queued];
    while (c->count < most && to_make && !paused) {
        c->events[c->count++] = model_make_event();
        shared->events++;
        to_make--;
    }
}

/* ---- once in a while ------------------------------------------------------------------------------- */

static void wake(void *self, uint64_t number)
{
    struct sender *s = self;
    (void)number;
    if (!s->wire) {
        s->wire = net_connect(PORT_INGEST, &(struct wire_user){s, received, lost});
        world_after(s->wire ? 100 : chance_between(200, 5000) * (chance_in(3) ? 20 : 1), wake, s, 0);
        return;
    }
    bool impatient = s->open && world_us - s->window[0].at_us > PATIENCE_US;
    if (impatient || (s->open && chance_in(150))) {
        story("sender %u: %s", s->index, impatient ? "waited too long for an ack, hangs up" : "hangs up");
        net_cut(s->wire);
        lost(s);
    } else if (s->open < WINDOW && (s->queued || (to_make && !paused))) {
        struct sent_chunk *c = &s->window[s->open++];
        fill(s, c);
        send_chunk(s, c);
    }
    s->resting = !s->open && !s->queued && (!to_make || paused);
    if (s->resting) return;
    world_after(chance_in(12) ? chance_between(20000, 100000) : chance_between(200, 30000), wake, s, 0);
}

void senders_create(uint32_t events)
{
    to_make = events;
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        world_after(chance_below(1000), wake, &senders[i], 0);
    }
}

void senders_machine_died(void)
{
    for (uint32_t i = 0; i < SENDERS; i++) lost(&senders[i]);
}

void senders_pause(bool on)
{
    paused = on;
    for (uint32_t i = 0; !on && i < SENDERS; i++) {
        if (senders[i].resting) world_after(chance_below(200000), wake, &senders[i], 0);
        senders[i].resting = false;
    }
}

uint32_t senders_open(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SENDERS; i++) n += senders[i].open + senders[i].queued;
    return n;
}

bool senders_finished(void) { return !to_make && !senders_open(); }
