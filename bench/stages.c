/* hourglass-stages - what one event costs inside the engine, stage by stage, without network and disk: the same batches
 * that a worker applies, on one thread, beside the arithmetic of the whole. Prints ns of CPU time per event (median of
 * runs, min..max).
 * usage: hourglass-stages [--users N] [--events N] [--runs N] [--warm EVENTS_EACH] [--shape NAME] [--segments N] [--journeys N | --definitions DIR] */
#include "bench/hourglass-load/generator.h"
#include "core/base/check.h"
#include "core/shard.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bench {
    struct defset *set;
    struct hash_secret secret;
    struct shard *shards[LOGICAL_SHARDS];
    struct effects effects;
    struct arena scratch;
    struct buf mail; /* between shards: {to u8, bytes u32, payload} ... */
    struct event_shape shape;
    uint8_t *entries;
    size_t *starts;
    uint32_t events, users, segments, journeys, runs, warm;
    uint32_t now;
    const char *messages;    /* shape of them */
    const char *definitions; /* NULL: made up, so many segments and journeys */
};

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const struct defset *definitions(void *host, uint32_t version, struct key hash)
{
    return ((struct bench *)host)->set;
}

/* Segments over what the events bring: thresholds of counts, windows and sums spread so that some flip all the time. */
static void write_definitions(const struct bench *b, struct buf *out)
{
    static const char *events[] = {"Order Completed", "Product Viewed", "Product Added", "Checkout Started"};
    buf_put_str(
        out,
        "timezone: UTC\nevents:\n"
        "  Order Completed: {keep: 365d, properties: {order_id: string, total: number, category: string}}\n"
        "  Product Viewed: {keep: 30d, properties: {product_id: string, category: string, price: number}}\n"
        "  Product Added: {keep: 30d, properties: {product_id: string, price: number}}\n"
        "  Product Removed: {keep: 30d, properties: {product_id: string}}\n"
        "  Cart Viewed: {keep: 7d}\n"
        "  Checkout Started: {keep: 7d, properties: {total: number}}\n"
        "channels: {email: {consent: not_needed, caps: [1 per 1d]}}\nsegments:\n");
    for (uint32_t i = 0; i < b->segments; i++) {
        const char *e = events[i % 4];
        uint32_t n = 1 + i / 4;
        switch (i / 4 % 4) {
        case 0: buf_printf(out, "  s%u: count(\"%s\") >= %u\n", i, e, n); break;
        case 1: buf_printf(out, "  s%u: count(\"%s\", days(%u)) >= %u\n", i, e, 1 + i % 7, n % 20 + 1); break;
        case 2:
            buf_printf(out, "  s%u: count(\"%s\", hours(%u)) >= %u && count(\"Cart Viewed\") < %u\n", i, e,
                       6 + i % 40, n % 10 + 1, n);
            break;
        default:
            buf_printf(out, "  s%u: sum(\"Order Completed\", e.total, days(%u)) > %u && count(\"%s\") > %u\n",
                       i, 1 + i % 30, 1000 * n, e, n / 2);
        }
    }
    buf_put_str(out, "journeys:\n");
    for (uint32_t i = 0; i < b->journeys; i++)
        buf_printf(out,
                   "  j%u:\n    trigger: {event: %s, where: e.price > %u}\n    reentry: {after: 7d}\n"
                   "    goal: {event: Order Completed, within: 3d, value: e.total}\n"
                   "    steps: [{wait: %um}, {send: {id: mail, channel: email, template: t%u}}]\n",
                   i, i % 2 ? "Product Viewed" : "Product Added", 900 + i * 7 % 90, 30 + i, i);
}

static void open_bench(struct bench *b)
{
    struct buf text = {0};
    write_definitions(b, &text);
    struct diagnostics d;
    diagnostics_init(&d);
    struct source_file made_up = {SLICE("bench.yaml"), buf_slice(&text)}, *files = &made_up;
    uint32_t count = 1;
    if (b->definitions) files = sources_read(b->definitions, &count, &d);
    b->set = defset_compile(files, count, NULL, NULL, &d);
    if (!b->set) {
        struct buf out = {0};
        diagnostics_print(&d, &out);
        fprintf(stderr, "%.*s\n", (int)out.n, (char *)out.p);
        exit(1);
    }
    hash_secret_from_seed(&b->secret, SLICE("bench"));
    effects_init(&b->effects);
    arena_init(&b->scratch);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        b->shards[i] = shard_create(&(struct shard_config){
            .index = (uint8_t)i, .secret = &b->secret, .definitions = definitions, .host = b});
}

/* The same events again would be repeats, so every run brings new ones. */
static void make_events(struct bench *b, struct generator *g)
{
    size_t at = 0;
    for (uint32_t i = 0; i < b->events; i++) {
        b->starts[i] = at;
        at += generator_entry(g, (int64_t)b->now * 1000 + i / 1000, b->entries + at);
    }
    b->starts[b->events] = at;
}

enum stage { STAGE_COPY, STAGE_WALK, STAGE_DECODE, STAGE_APPLY };

static void tick_all(struct bench *b)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        uint32_t ran;
        do {
            CHECK(shard_reserve_tick(b->shards[i], 256, &b->effects));
            ran = shard_tick(b->shards[i], b->now, 256, &b->effects);
            effects_reset(&b->effects);
        } while (ran == 256);
    }
}

static void collect_mail(struct bench *b)
{
    for (uint32_t i = 0; i < b->effects.count; i++) {
        const struct effect *e = &b->effects.list[i];
        if (e->kind != EFFECT_MESSAGE) continue;
        buf_put_u8(&b->mail, e->message.to);
        buf_put_le32(&b->mail, MESSAGE_HEADER_BYTES + e->message.body.n);
        buf_put_le16(&b->mail, e->shard);
        buf_put_le16(&b->mail, e->message.message_kind);
        buf_put_le64(&b->mail, e->message.sequence);
        buf_put_slice(&b->mail, e->message.body);
        shard_ack_messages(b->shards[e->shard], e->message.to, e->message.sequence);
    }
    effects_reset(&b->effects);
}

/* Merges ask other shards, and their answers release what waits for them. */
static void deliver(struct bench *b)
{
    collect_mail(b);
    while (b->mail.n) {
        struct buf mail = b->mail;
        b->mail = (struct buf){0};
        for (size_t at = 0; at < mail.n;) {
            uint32_t bytes = load_le32(mail.p + at + 1);
            struct batch_item item = {.shard = b->shards[mail.p[at]],
                                      .record = {.kind = RECORD_MESSAGE, .shard = mail.p[at]}};
            item.record.payload = slice_of(mail.p + at + 5, bytes);
            CHECK(shards_reserve(&item, 1, &b->effects));
            shards_apply(&item, 1, &b->scratch, &b->effects);
            collect_mail(b);
            at += 5 + bytes;
        }
        buf_free(&mail);
    }
}

static double run_stage(struct bench *b, enum stage stage)
{
    static struct batch_item items[BATCH_EVENTS];
    static uint8_t chunk[64 << 10];
    uint64_t sum = 0;
    double begin = cpu_ns();
    for (uint32_t from = 0; from < b->events; from += BATCH_EVENTS) {
        uint32_t n = b->events - from < BATCH_EVENTS ? b->events - from : BATCH_EVENTS;
        memcpy(chunk, b->entries + b->starts[from], b->starts[from + n] - b->starts[from]);
        if (stage == STAGE_COPY) continue;
        arena_reset(&b->scratch);
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t *p = chunk + (b->starts[from + i] - b->starts[from]);
            struct mp m = mp_of(slice_of(p, b->starts[from + i + 1] - b->starts[from + i]));
            mp_array(&m);
            mp_skip(&m);
            struct slice raw = mp_item(&m);
            if (stage == STAGE_WALK) {
                sum += raw.n;
                continue;
            }
            struct batch_item *item = &items[i];
            item->record = (struct record){.kind = RECORD_EVENT, .head_bytes = 8, .payload = raw};
            store_le64(item->record.head, (uint64_t)b->now * 1000);
            item->shard = b->shards[event_route(item, &b->set->schema, &b->secret, &b->shape, &b->scratch)];
        }
        if (stage < STAGE_APPLY) continue;
        CHECK(shards_reserve(items, n, &b->effects));
        shards_apply(items, n, &b->scratch, &b->effects);
        deliver(b);
    }
    CHECK(sum != 1);
    return (cpu_ns() - begin) / b->events;
}

#if __has_attribute(noclone) /* gcc would give the copy another name */
#define BY_ITS_NAME __attribute__((noinline, noclone))
#else
#define BY_ITS_NAME __attribute__((noinline))
#endif

/* All of it, once everybody exists: what bench/instructions lets valgrind count. */
BY_ITS_NAME static double run_measured(struct bench *b) { return run_stage(b, STAGE_APPLY); }

static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

static void print_row(const char *name, double *ns, uint32_t n, double *before)
{
    qsort(ns, n, sizeof *ns, compare);
    printf("%-28s %7.1f ns/event [%.1f..%.1f]  +%.1f\n", name, ns[n / 2], ns[0], ns[n - 1],
           ns[n / 2] - *before);
    *before = ns[n / 2];
}

int main(int argc, char **argv)
{
    static struct bench b = {.users = 1000000,
                             .events = 400000,
                             .segments = 20,
                             .journeys = 5,
                             .runs = 7,
                             .warm = 3,
                             .messages = "shop",
                             .now = 1772359200};
    static const struct option options[] = {
        {"users", 1, 0, 'u'},    {"events", 1, 0, 'e'}, {"segments", 1, 0, 's'},
        {"journeys", 1, 0, 'j'}, {"runs", 1, 0, 'r'},   {"definitions", 1, 0, 'd'},
        {"warm", 1, 0, 'w'},     {"shape", 1, 0, 'S'},  {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint32_t v = (uint32_t)strtoul(optarg ? optarg : "0", NULL, 10);
        if (o == 'd')
            b.definitions = optarg;
        else if (o == 'S')
            b.messages = optarg;
        else if (o == 'u')
            b.users = v;
        else if (o == 'e')
            b.events = v;
        else if (o == 's')
            b.segments = v;
        else if (o == 'w')
            b.warm = v;
        else if (o == 'j')
            b.journeys = v;
        else if (o == 'r')
            b.runs = v;
        else
            return 2;
    }
    open_bench(&b);
    b.entries = malloc((size_t)b.events * ENTRY_BYTES_MAX);
    b.starts = malloc((b.events + 1) * sizeof *b.starts);
    struct generator g;
    CHECK(b.entries && b.starts && generator_init(&g, b.messages, b.users, 0, 1));
    tick_all(&b);
    for (uint32_t done = 0; done < b.warm * b.users;
         done += b.events, b.now++) { /* everybody exists before it counts */
        make_events(&b, &g);
        tick_all(&b); /* first: an event ahead of its shard's second would arm a wake-up for the next one */
        run_stage(&b, STAGE_APPLY);
    }
    static const char *names[] = {"copy", "walk of the entries", "decode and route", "apply"};
    double *ns = malloc(4 * b.runs * sizeof *ns), before = 0;
    for (uint32_t r = 0; r < b.runs; r++, b.now++) {
        make_events(&b, &g);
        tick_all(&b);
        for (int s = STAGE_COPY; s < STAGE_APPLY; s++) ns[(uint32_t)s * b.runs + r] = run_stage(&b, s);
        ns[STAGE_APPLY * b.runs + r] = run_measured(&b);
    }
    uint64_t people = 0, bytes = 0, applied = 0, created = 0, fired = 0, entered = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        const struct shard_counters *c = shard_counters(b.shards[i]);
        people += shard_store(b.shards[i])->profiles;
        bytes += shard_store(b.shards[i])->heap.bytes_used;
        applied += c->applied, created += c->actions.created, fired += c->timers_fired;
        uint32_t journeys;
        const struct journey_counters *j = shard_journey_counters(b.shards[i], &journeys);
        for (uint32_t k = 0; k < journeys; k++) entered += j[k].entered;
    }
    printf("people %llu, %.0f heap bytes each, events applied %llu, actions %llu, journeys entered %llu, "
           "wake-ups %llu\n",
           (unsigned long long)people, (double)bytes / (double)people, (unsigned long long)applied,
           (unsigned long long)created, (unsigned long long)entered, (unsigned long long)fired);
    for (int s = 0; s < 4; s++) print_row(names[s], ns + (uint32_t)s * b.runs, b.runs, &before);
    return 0;
}
