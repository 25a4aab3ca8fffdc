#include "io/engine.h"
#include "core/base/region.h"
#include "core/expr/kernel.h"
#include "io/address.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_FILE_BYTES_MAX = 1024,
    SEED_BYTES_MAX = 32,
    LOG_SEGMENT_MAX = 1 << 30,
    PROGRESS_EVERY_US = 1000000,
    BESIDE_NICE = 10 /* a tenth of a core that a worker keeps busy: a snapshot needs half of that */
};

/* ---- opening --------------------------------------------------------------------------------------- */

static bool parse_hex(const char *text, uint8_t *out, uint32_t *bytes)
{
    size_t n = strlen(text);
    if (n % 2 || n / 2 > SEED_BYTES_MAX || n == 0) return false;
    for (size_t i = 0; i < n / 2; i++) {
        unsigned value;
        char two[3] = {text[2 * i], text[2 * i + 1], 0}, end;
        if (sscanf(two, "%2x%c", &value, &end) != 1 || two[1] == ' ') return false;
        out[i] = (uint8_t)value;
    }
    *bytes = (uint32_t)(n / 2);
    return true;
}

static int fail(int code, const char *event, const struct buf *why)
{
    log_line(LOG_ERROR, event, "reason=\"%.*s\"", (int)why->n, (const char *)why->p);
    return code;
}

static int open_directory(struct engine *e)
{
    const struct options *o = e->options;
    uint8_t seed[SEED_BYTES_MAX], random[32];
    struct slice fixed = {seed, 0};
    struct buf error = {0};
    if (o->hash_secret) CHECK(parse_hex(o->hash_secret, seed, &fixed.n));
    CHECK(getrandom(random, sizeof random, 0) == sizeof random);
    e->disk = disk_posix_open(o->data, true, true, &error);
    if (!e->disk) {
        int code = fail(PERSIST_IO, "data_directory", &error);
        buf_free(&error);
        return code;
    }
    enum persist_status status = datadir_open(&e->dir, e->disk, fixed, random);
    return status == PERSIST_OK ? 0 : fail(status, "data_directory", &e->dir.error);
}

/* A key never comes by the command line or the environment, where others could read it. */
static int read_key_file(const char *path, struct slice *out)
{
    if (!path) return 0;
    struct buf why = {0};
    struct stat st;
    char *key = malloc(KEY_FILE_BYTES_MAX);
    CHECK(key != NULL);
    *out = slice_of(key, 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, key, KEY_FILE_BYTES_MAX);
    if (n < 0)
        buf_printf(&why, "%s: %s", path, strerror(errno));
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077))
        buf_printf(&why, "%s: must be a file that others cannot read (chmod 600)", path);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        buf_printf(&why, "%s: belongs to somebody else", path);
    else if (n == KEY_FILE_BYTES_MAX)
        buf_printf(&why, "%s: is longer than a key", path);
    if (fd >= 0) close(fd);
    while (n > 0 && (key[n - 1] == '\n' || key[n - 1] == '\r')) n--;
    if (!why.n && n == 0) buf_printf(&why, "%s: is empty", path);
    out->n = n > 0 ? (uint32_t)n : 0;
    int code = why.n ? fail(78, "key_file", &why) : 0;
    buf_free(&why);
    return code;
}

static void forget_key(struct slice key)
{
    if (key.p) OPENSSL_cleanse((void *)(uintptr_t)key.p, key.n);
    free((void *)(uintptr_t)key.p);
}

/* ---- what can be wrong is found before anything is read or written -------------------------------------------- */

/* Told to listen there; a TCP address is tried, so that one in use does not wait for a long recovery to be noticed. */
static bool can_listen(const struct engine *e, const char *url, bool is_admin, struct buf *why)
{
    struct address address;
    if (!address_parse(url, &address, why)) return false;
    if (is_admin && address.any.sa_family != AF_UNIX)
        buf_printf(why, "%s: the admin socket is a unix socket", url);
    else if (!address.loopback && !e->shared_key.n)
        buf_printf(why, "%s: not a loopback address; give --shared-key-file", url);
    if (why->n || address.any.sa_family == AF_UNIX) return !why->n;
    int fd = address_listen(&address, why);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static bool known_io(const char *io)
{
    return !io || strcmp(io, "auto") == 0 || strcmp(io, "uring") == 0 || strcmp(io, "epoll") == 0;
}

/* What --cpu says, or the best there is; NULL: an unknown level, or one that this machine has not. */
static const struct kernels *choose_kernels(const char *cpu)
{
    enum cpu_level level = cpu_best();
    if (cpu && strcmp(cpu, "auto") != 0 && !cpu_level_named(cpu, &level)) return NULL;
    return level <= cpu_best() ? kernels_at(level) : NULL;
}

static int check_options(const struct engine *e)
{
    const struct options *o = e->options;
    struct buf why = {0};
    struct address sink;
    uint32_t second;
    uint8_t seed[SEED_BYTES_MAX];
    if (o->hash_secret && !parse_hex(o->hash_secret, seed, &second))
        buf_put_str(&why, "--hash-secret: 1 to 32 bytes as hex digits");
    else if (o->fake_clock && !clock_parse(o->fake_clock, &second))
        buf_put_str(&why, "--fake-clock: a time like 2026-03-01T10:00:00Z");
    else if (o->log_segment < LOG_SEGMENT_BYTES_MIN || o->log_segment > LOG_SEGMENT_MAX)
        buf_put_str(&why, "--log-segment: from 1MiB to 1GiB");
    else if (!known_io(o->io))
        buf_printf(&why, "--io %s: auto, uring or epoll", o->io);
    else if (!order_known(o->order))
        buf_printf(&why, "--order %s: arrival or sender", o->order);
    else if (!choose_kernels(o->cpu))
        buf_printf(&why, "--cpu %s: auto, portable, avx2 or avx512, and no more than this machine has (%s)",
                   o->cpu, cpu_level_name(cpu_best()));
    for (uint32_t i = 0; i < o->ingest_count && !why.n; i++) can_listen(e, o->ingest[i], false, &why);
    if (!why.n) can_listen(e, o->admin, true, &why);
    for (uint32_t i = 0; i < o->emit_count && !why.n; i++)
        if (address_parse(o->emit[i], &sink, &why) && !sink.loopback && !e->emit_key.n)
            buf_printf(&why, "%s: not a loopback address; give --emit-key-file", o->emit[i]);
    int code = why.n ? fail(78, "bad_option", &why) : 0;
    buf_free(&why);
    return code;
}

/* ---- recovery -------------------------------------------------------------------------------------------- */

static const struct defset *find_set(void *host, uint32_t version, struct key hash)
{
    const struct defset *set = sets_find(((struct engine *)host)->sets, version);
    return set && (version == 0 || key_eq(set->hash, hash)) ? set : NULL;
}

static struct shard *recovery_shard(void *self, uint32_t index)
{
    return ((struct engine *)self)->shards[index];
}

static bool recovery_definitions(void *self, uint32_t version, struct key hash, struct slice bundle)
{
    struct engine *e = self;
    if (sets_find(e->sets, version)) return true;
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = defset_from_bundle(bundle, NULL, &d);
    struct buf text = {0};
    if (!set) diagnostics_print(&d, &text);
    if (!set)
        log_line(LOG_ERROR, "definitions", "version=%u reason=\"%.*s\"", version, (int)text.n,
                 (char *)text.p);
    buf_free(&text);
    diagnostics_free(&d);
    if (!set) return false;
    set->version = version;
    return sets_add(e->sets, set);
}

static double per_second(uint64_t n, uint64_t us) { return us ? (double)n * 1e6 / (double)us : 0; }

/* A line each second: how far, how fast, and how long it will take at that rate. */
static void recovery_progress(void *self, const struct recovery_progress *p)
{
    struct engine *e = self;
    uint64_t now = loop_now_us(), us = now - e->started_us;
    if (now < e->progress_us + PROGRESS_EVERY_US) return;
    e->progress_us = now;
    uint64_t done = p->snapshot_bytes + p->log_bytes, total = p->snapshot_total + p->log_total;
    double left = done ? (double)us / 1e6 * (double)(total - done) / (double)done : 0;
    log_line(LOG_INFO, "recovering",
             "percent=%.0f snapshot_bytes=%llu log_bytes=%llu total_bytes=%llu records=%llu gb_per_s=%.2f "
             "events_per_s=%.0f left_s=%.0f",
             total ? 100.0 * (double)done / (double)total : 0, (unsigned long long)p->snapshot_bytes,
             (unsigned long long)p->log_bytes, (unsigned long long)total, (unsigned long long)p->records,
             per_second(done, us) / 1e9, per_second(p->records, us), left);
}

static bool make_shards(struct engine *e)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct shard_config config = {
            .index = (uint8_t)i, .secret = &e->dir.secret, .definitions = find_set, .host = e};
        e->shards[i] = shard_create(&config);
        if (!e->shards[i]) return false;
    }
    return true;
}

static int recover_state(struct engine *e)
{
    struct recovery_host host = {e, recovery_shard, recovery_definitions, recovery_progress, e->threads};
    uint64_t begun = e->progress_us = loop_now_us();
    enum persist_status status = recover(&e->dir, &host, false, &e->recovered);
    uint64_t us = loop_now_us() - begun;
    if (status != PERSIST_OK) return fail(status, "recovery", &e->dir.error);
    const struct recovered *r = &e->recovered;
    if (r->damaged_snapshot)
        log_line(LOG_WARNING, "snapshot_damaged",
                 "number=%llu reason=\"%.*s\" instead=\"the one before, and the log\"",
                 (unsigned long long)r->damaged_snapshot, (int)e->dir.error.n, (const char *)e->dir.error.p);
    if (r->cut_bytes)
        log_line(LOG_WARNING, "torn_tail", "bytes=%llu kept=broken/", (unsigned long long)r->cut_bytes);
    if (!e->dir.fresh)
        log_line(
            LOG_INFO, "recovered",
            "snapshot_bytes=%llu log_bytes=%llu records=%llu seconds=%.3f gb_per_s=%.2f events_per_s=%.0f",
            (unsigned long long)r->snapshot_bytes, (unsigned long long)r->log_bytes,
            (unsigned long long)r->records, (double)us / 1e6,
            per_second(r->snapshot_bytes + r->log_bytes, us) / 1e9, per_second(r->records, us));
    return 0;
}

static int set_clock(struct engine *e)
{
    const struct options *o = e->options;
    uint32_t second, newest = e->recovered.newest_second;
    clock_init(&e->clock);
    if (o->fake_clock) {
        CHECK(clock_parse(o->fake_clock, &second));
        clock_init_fake(&e->clock, second > newest ? second : newest);
    } else if (newest > clock_now(&e->clock) + CLOCK_JUMP_MAX_S && !o->accept_clock) {
        log_line(LOG_ERROR, "clock",
                 "reason=\"the wall clock is %u s behind the log; correct it or start with --accept-clock\"",
                 newest - clock_now(&e->clock));
        return 78;
    }
    return 0;
}

#define MEMORY_FOR_HUGE_PAGES (2ull << 30)

static int engine_load(struct engine *e)
{
    int code = open_directory(e);
    if (code) return code;
    e->sets = sets_create();
    /* Below so much every shard's few megabytes would be rounded up beyond it. */
    region_huge_pages(e->options->memory_limit == 0 || e->options->memory_limit >= MEMORY_FOR_HUGE_PAGES);
    if (!make_shards(e)) {
        log_line(LOG_ERROR, "memory", "reason=\"no room for %d shards\"", LOGICAL_SHARDS);
        return 1;
    }
    code = recover_state(e);
    return code ? code : set_clock(e);
}

int engine_open(struct engine *e, const struct options *options)
{
    memset(e, 0, sizeof *e);
    e->options = options;
    e->started_us = loop_now_us();
    if (sched_getaffinity(0, sizeof e->cpus, &e->cpus) != 0) CPU_ZERO(&e->cpus);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    e->threads = options->shards ? options->shards : cores > 0 ? (uint32_t)cores : 1;
    if (e->threads > LOGICAL_SHARDS) e->threads = LOGICAL_SHARDS;
    order_init(&e->order, options->order, options->fake_clock != NULL, e->threads);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    /* Never equal to what a client calls itself: Fluentd refuses a server that has its own name. */
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    snprintf(e->hostname, sizeof e->hostname, "hourglass.%s", host);
    int code = read_key_file(options->shared_key_file, &e->shared_key);
    if (!code) code = read_key_file(options->emit_key_file, &e->emit_key);
    if (!code) code = check_options(e);
    e->kernels = choose_kernels(options->cpu);
    return code ? code : engine_load(e);
}

/* ---- threads ----------------------------------------------------------------------------------------------- */

static void make_workers(struct engine *e)
{
    e->workers = aligned_alloc(64, e->threads * ((sizeof *e->workers + 63) & ~(size_t)63));
    e->mailboxes = aligned_alloc(64, (size_t)e->threads * e->threads * sizeof *e->mailboxes);
    CHECK(e->workers && e->mailboxes);
    for (uint32_t i = 0; i < e->threads; i++) worker_create(&e->workers[i], e, i);
    for (uint32_t i = 0; i < e->threads * e->threads; i++)
        CHECK(mailbox_create(&e->mailboxes[i], MAILBOX_BYTES));
}

int engine_start(struct engine *e)
{
    make_workers(e);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) /* what was recovered is durable */
        atomic_init(&e->action_sequence[i], outbox_last_sequence(shard_outbox(e->shards[i])));
    for (uint32_t i = 0; i < e->threads; i++) {
        CHECK(pthread_create(&e->workers[i].thread, NULL, worker_main, &e->workers[i]) == 0);
        e->workers[i].started = true;
    }
    pthread_mutex_lock(&e->lock);
    while (e->ready < e->threads) pthread_cond_wait(&e->changed, &e->lock);
    if (!e->failed) e->io_name = loop_name(e->workers[0].loop);
    e->go = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    return e->failed ? PERSIST_IO : 0;
}

void engine_step_aside(const struct engine *e)
{
    if (!CPU_COUNT(&e->cpus)) return; /* nobody is pinned */
    sched_setaffinity(0, sizeof e->cpus, &e->cpus);
    setpriority(PRIO_PROCESS, (id_t)gettid(), BESIDE_NICE);
}

void engine_join(struct engine *e)
{
    for (uint32_t i = 0; i < e->threads; i++) {
        if (e->workers[i].started) pthread_join(e->workers[i].thread, NULL);
        e->workers[i].started = false;
    }
}

void engine_close(struct engine *e)
{
    if (e->workers) {
        for (uint32_t i = 0; i < e->threads; i++) worker_destroy(&e->workers[i]);
        for (uint32_t i = 0; i < e->threads * e->threads; i++) mailbox_destroy(&e->mailboxes[i]);
    }
    free(e->workers);
    free(e->mailboxes);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(e->shards[i]);
    sets_destroy(e->sets);
    if (e->disk) {
        datadir_close(&e->dir);
        disk_posix_close(e->disk);
    }
    forget_key(e->shared_key);
    forget_key(e->emit_key);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
}
