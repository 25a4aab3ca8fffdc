/* A Forward session: any bytes, cut anywhere, have the same effect as whole; and never more than the caps allow. The first
 * byte says where the input is cut; above 127 a key is asked for, and nothing has an effect before it was proven. Entries
 * go through the event decoder, too: at once in one session, in the other when their frame is whole. */
#include "core/base/check.h"
#include "io/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct trace {
    uint64_t hash;
    uint32_t frames, entries, replies;
    struct forward *forward;
};

static struct hash_secret secret;
static const struct schema *schema;
static struct arena arena;

static void mix(struct trace *t, const void *p, size_t n)
{
    t->hash = t->hash * 0x9E3779B97F4A7C15ull + hash64_plain(p, n);
}

static bool begin(void *self, const struct forward_chunk *c)
{
    CHECK(forward_greeted(((struct trace *)self)->forward));
    mix(self, c->tag.p, c->tag.n);
    return true;
}
enum { STAGED_MAX = 8 };
static struct event staged[STAGED_MAX];
static struct arena staged_scratch;
static struct event_shape shape;

static uint32_t decode(void *self, uint32_t nth, struct slice bytes, int64_t time_ms)
{
    if (nth >= STAGED_MAX) return 0;
    if (nth == 0) arena_reset(&staged_scratch);
    struct event *e = &staged[nth];
    return event_parse_front(schema, &secret, &shape, bytes, time_ms, &staged_scratch, e) ? 0 : e->raw.n;
}

static void mix_event(struct trace *t, const struct event *e)
{
    uint64_t parts[] = {e->key.hi, e->key.lo, e->message_hash, (uint64_t)e->own_ms, e->type, e->raw.n};
    mix(t, parts, sizeof parts);
}

static void entry(void *self, const struct forward_entry *e)
{
    struct trace *t = self;
    t->entries++;
    mix(t, e->record.p, e->record.n);
    mix(t, &e->time_ms, sizeof e->time_ms);
    if (e->reject) return;
    if (e->decoded) {
        mix_event(t, &staged[e->decoded - 1]);
        return;
    }
    struct arena scratch;
    arena_init(&scratch);
    struct event event;
    if (event_parse(schema, &secret, e->record, e->time_ms, &scratch, &event) == REJECT_NONE)
        mix_event(t, &event);
    arena_free(&scratch);
}
static void end(void *self, const struct forward_chunk *c)
{
    struct trace *t = self;
    t->frames++;
    mix(t, c->chunk.p, c->chunk.n);
}
static void reply(void *self, const void *p, size_t n) { ((struct trace *)self)->replies++; }

static enum forward_close run(const uint8_t *data, size_t n, size_t cut, bool key, bool decodes,
                              struct trace *t)
{
    static const struct forward_security security = {{(const uint8_t *)"secret", 6},
                                                     {(const uint8_t *)"server", 6}};
    struct forward_sink sink = {t, begin, entry, end, reply, decodes ? decode : NULL};
    struct forward *f = forward_create(&sink, key ? &security : NULL, (const uint8_t *)"0123456789abcdef");
    enum forward_close c = FORWARD_CLOSE_NONE;
    t->forward = f;
    forward_start(f);
    for (size_t at = 0; at < n && !c; at += cut) c = forward_feed(f, data + at, n - at < cut ? n - at : cut);
    CHECK(forward_memory(f) <= FRAME_BYTES_MAX + INFLATED_BYTES_MAX + (1 << 20));
    forward_destroy(f);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!schema) {
        arena_init(&arena);
        schema = schema_minimal(&arena);
        hash_secret_from_seed(&secret, SLICE("fuzz"));
    }
    if (!n) return 0;
    struct trace whole = {0}, cut = {0};
    bool key = data[0] > 127;
    enum forward_close a = run(data + 1, n - 1, n, key, true, &whole),
                       b = run(data + 1, n - 1, 1 + (data[0] & 127), key, false, &cut);
    /* A frame that is both malformed and too large may be closed for either reason, depending on what came first. */
    CHECK(!a == !b && whole.frames == cut.frames && whole.entries == cut.entries &&
          whole.replies == cut.replies && whole.hash == cut.hash);
    return 0;
}
