/* damage - every way to spoil one file of a data directory, against the reader that has to notice.
 * usage: damage [--stride N]     N: every N-th bit and byte only. Ends with `N passed, N failed`.
 *
 *   64 KiB log        cut short at every byte · zeroed from every byte on · every bit flipped · every two sectors swapped,
 *                     every sector written over every other one, every sector zeroed
 *   64 KiB snapshot   every bit flipped · cut short at every byte
 *   manifest, bundle of definitions, identity     every bit flipped, cut at every byte
 *
 * What is read must be refused with the file's name, or be a torn tail above the durable mark (the last seal alone), or be
 * what stood there before. Anything else is silent damage. Runs as many processes as there are processors. */
#include "persist/snapshot.h"
#include "tests/unit/log_bench.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 64 << 10, SNAPSHOT_BYTES = 64 << 10, BUNDLE_BYTES = 4000, SECTOR = 512 };
#define LOG_PATH      "log/000001-00-000001.hgl"
#define SNAPSHOT_PATH "snapshot/000001/shard-05.hgs"
#define MANIFEST_PATH "snapshot/000001/MANIFEST"
#define BUNDLE_PATH   "definitions/000001.hgd"
#define ID_PATH       "hourglass.id"

struct tally {
    _Atomic uint64_t tried, refused, torn, same, wrong;
};
static struct tally *tally; /* shared by the processes */
static uint32_t jobs, job, stride = 1;

/* ---- a directory with one log and one snapshot ------------------------------------------------------- */

struct place {
    struct bench bench;
    struct fake_disk *kept;                           /* as it was */
    struct fake_shards groups[LOG_BYTES / LOG_BLOCK]; /* the state behind each group */
    uint32_t group_count;
    struct snapshot_file file;
    const char *path; /* of what is being spoiled */
};

static struct fake_file *spoiled(struct place *p) { return fake_file(p->bench.disk, p->path); }
static const struct fake_file *original(const struct place *p) { return fake_file(p->kept, p->path); }

/* Groups of one block each, some almost empty, some full, and the seal in the last block. */
static void write_log(struct place *p)
{
    struct bench *b = &p->bench;
    uint8_t payload[3900];
    for (uint32_t g = 0; g < LOG_BYTES / LOG_BLOCK - 2; g++) {
        p->groups[g] = *b->live;
        memset(payload, (int)(g + 1), sizeof payload);
        bench_event(b, g * 5 % LOGICAL_SHARDS, payload, g % 3 ? 100 + g : sizeof payload);
        for (int i = 0; i < 6; i++) bench_turn(b); /* less than a seal needs */
    }
    p->group_count = LOG_BYTES / LOG_BLOCK - 2;
    p->groups[p->group_count] = *b->live;
    bench_settle(b);
    bench_kill(b);
    CHECK(fake_file(b->disk, LOG_PATH)->n == LOG_BYTES);
}

static void make(struct place *p, const char *path)
{
    struct bench *b = &p->bench;
    static const uint8_t sources[BUNDLE_BYTES] = "events: {}\n";
    *p = (struct place){.path = path};
    bench_init(b);
    b->segment_bytes = LOG_BYTES;
    CHECK(datadir_put_definitions(&b->dir, 1, (struct key){1, 2}, slice_of(sources, BUNDLE_BYTES)) ==
          PERSIST_OK);
    fake_ballast = SNAPSHOT_BYTES - 1200;
    struct snapshot_writer *w = snapshot_begin(&b->dir, 1, &b->live->list[5]);
    while (snapshot_step(w, 100, &p->file) == 0) {
    }
    CHECK(snapshot_commit(&b->dir, 1, &p->file, 1, 1, CORE_VERSION) == PERSIST_OK);
    CHECK(bench_start(b));
    write_log(p);
    p->kept = fake_disk_copy(b->disk);
}

static void put_back(struct place *p)
{
    fake_disk_destroy(p->bench.disk);
    p->bench.disk = fake_disk_copy(p->kept);
    p->bench.dir.disk = &p->bench.disk->disk;
}

static void unmake(struct place *p)
{
    fake_disk_destroy(p->kept);
    bench_free(&p->bench);
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

static void wrong(struct place *p, const char *how, uint64_t at)
{
    atomic_fetch_add(&tally->wrong, 1);
    if (tally->wrong < 20)
        printf("%s, %s %llu: %.*s\n", p->path, how, (unsigned long long)at, (int)p->bench.dir.error.n,
               (const char *)p->bench.dir.error.p);
}

static bool names_file(const struct place *p)
{
    const struct buf *e = &p->bench.dir.error;
    return e->n && memmem(e->p, e->n, p->path, strlen(p->path)) != NULL;
}

/* wanted: the groups that must be there if it is read at all. */
static void read_log(struct place *p, const char *how, uint64_t at, uint32_t wanted)
{
    struct bench *b = &p->bench;
    struct bench_host host = {0};
    struct recovered out;
    uint64_t operations = b->disk->operations;
    enum persist_status s = bench_recover(&b->dir, &host, &out);
    atomic_fetch_add(&tally->tried, 1);
    if (s == PERSIST_REFUSED && names_file(p) && b->disk->operations == operations)
        atomic_fetch_add(&tally->refused, 1);
    else if (s != PERSIST_OK || !fake_shards_eq(host.shards, &p->groups[wanted]))
        wrong(p, how, at);
    else
        atomic_fetch_add(out.cut_bytes ? &tally->torn : &tally->same, 1);
    free(host.shards);
    if (s == PERSIST_OK) put_back(p); /* the tail was ended */
}

static enum persist_status restore(struct place *p, struct shard *shard)
{
    struct snapshot_manifest m;
    struct datadir *dir = &p->bench.dir;
    enum persist_status s = snapshot_find(dir, 0, &m);
    for (uint32_t i = 0; i < m.count && s == PERSIST_OK; i++) s = snapshot_verify(dir, &m, &m.files[i]);
    if (s == PERSIST_OK) s = snapshot_restore(dir, &m, &m.files[0], shard);
    return s;
}

static enum persist_status reopen(struct place *p)
{
    struct datadir again;
    enum persist_status s = datadir_open(&again, p->bench.dir.disk, (struct slice){0}, bench_random);
    buf_clear(&p->bench.dir.error);
    buf_put_slice(&p->bench.dir.error, buf_slice(&again.error));
    datadir_close(&again);
    return s;
}

/* Whatever is not the log: refused by name. */
static void read_other(struct place *p, const char *how, uint64_t at)
{
    struct key hash;
    struct buf bundle = {0};
    struct shard shard = {.index = 5};
    enum persist_status s = !strcmp(p->path, BUNDLE_PATH)
                                ? datadir_get_definitions(&p->bench.dir, 1, &hash, &bundle)
                            : !strcmp(p->path, ID_PATH) ? reopen(p)
                                                        : restore(p, &shard);
    atomic_fetch_add(&tally->tried, 1);
    if (s == PERSIST_REFUSED && names_file(p))
        atomic_fetch_add(&tally->refused, 1);
    else
        wrong(p, how, at);
    buf_free(&bundle);
}

/* ---- spoiling -------------------------------------------------------------------------------------------------- */

static bool mine(uint64_t i) { return i % stride == 0 && i / stride % jobs == job; }

static bool is_log(const struct place *p) { return !strcmp(p->path, LOG_PATH); }

static void read_spoiled(struct place *p, const char *how, uint64_t at)
{
    if (is_log(p))
        read_log(p, how, at, p->group_count);
    else
        read_other(p, how, at);
}

static void flip_bits(struct place *p)
{
    for (uint64_t bit = 0; bit < original(p)->n * 8; bit++) {
        if (!mine(bit)) continue;
        spoiled(p)->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        read_spoiled(p, "bit", bit);
        spoiled(p)->bytes[bit / 8] = original(p)->bytes[bit / 8];
    }
}

static void cut_short(struct place *p)
{
    for (uint64_t n = 0; n < original(p)->n; n++) {
        if (!mine(n)) continue;
        spoiled(p)->n = n;
        read_spoiled(p, "cut at", n);
        spoiled(p)->n = original(p)->n;
    }
}

/* A tail that never arrived: the groups before it are there. Without its header a log was never used. */
static void zero_tail(struct place *p)
{
    const uint8_t *bytes = original(p)->bytes;
    for (uint64_t from = LOG_HEADER_BYTES; from < LOG_BYTES; from++) {
        if (!mine(from)) continue;
        uint32_t whole = (uint32_t)(from / LOG_BLOCK) - 1;
        uint64_t end = (from / LOG_BLOCK + 1) * LOG_BLOCK; /* a block that only loses zeros is whole */
        if (whole < p->group_count && all_zero(bytes + from, end - from)) whole++;
        memset(spoiled(p)->bytes + from, 0, LOG_BYTES - from);
        read_log(p, "zeros from", from, whole < p->group_count ? whole : p->group_count);
        memcpy(spoiled(p)->bytes, bytes, LOG_BYTES);
    }
}

static void spoil_sectors(struct place *p)
{
    const uint8_t *was = original(p)->bytes;
    enum { SECTORS = LOG_BYTES / SECTOR };
    for (uint32_t i = 0; i < SECTORS * SECTORS; i++) {
        if (!mine(i)) continue;
        uint32_t a = i / SECTORS * SECTOR, b = i % SECTORS * SECTOR;
        if (a == b)
            memset(spoiled(p)->bytes + a, 0, SECTOR);
        else
            memcpy(spoiled(p)->bytes + a, was + b, SECTOR);
        read_spoiled(p, a == b ? "zeroed sector" : "doubled sector", i);
        memcpy(spoiled(p)->bytes, was, LOG_BYTES);
        if (a <= b) continue;
        memcpy(spoiled(p)->bytes + a, was + b, SECTOR);
        memcpy(spoiled(p)->bytes + b, was + a, SECTOR);
        read_spoiled(p, "swapped sectors", i);
        memcpy(spoiled(p)->bytes, was, LOG_BYTES);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *path;
    void (*spoil)(struct place *p);
    uint64_t torn_max; /* of what may be taken for a torn tail or for whole; the rest is refused */
} rows[] = {
    {"log, every bit flipped", LOG_PATH, flip_bits, LOG_BLOCK * 8},
    {"log, cut at every byte", LOG_PATH, cut_short, 0},
    {"log, zeros from every byte on", LOG_PATH, zero_tail, UINT64_MAX},
    {"log, sectors zeroed, doubled, swapped", LOG_PATH, spoil_sectors, UINT64_MAX},
    {"snapshot, every bit flipped", SNAPSHOT_PATH, flip_bits, 0},
    {"snapshot, cut at every byte", SNAPSHOT_PATH, cut_short, 0},
    {"manifest, every bit flipped", MANIFEST_PATH, flip_bits, 0},
    {"manifest, cut at every byte", MANIFEST_PATH, cut_short, 0},
    {"definitions, every bit flipped", BUNDLE_PATH, flip_bits, 0},
    {"definitions, cut at every byte", BUNDLE_PATH, cut_short, 0},
    {"identity, every bit flipped", ID_PATH, flip_bits, 0},
    {"identity, cut at every byte", ID_PATH, cut_short, 0},
};

static void run_jobs(uint32_t row)
{
    fflush(stdout);
    for (job = 0; job < jobs; job++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child) continue;
        static struct place place;
        make(&place, rows[row].path);
        rows[row].spoil(&place);
        unmake(&place);
        fflush(stdout);
        _exit(0);
    }
    for (uint32_t i = 0; i < jobs; i++) {
        int status;
        if (wait(&status) < 0 || status != 0) atomic_fetch_add(&tally->wrong, 1);
    }
}

int main(int argc, char **argv)
{
    uint32_t failed = 0, count = sizeof rows / sizeof *rows;
    uint64_t tried = 0, silent = 0;
    if (argc == 3 && !strcmp(argv[1], "--stride")) stride = (uint32_t)atoi(argv[2]);
    jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tally != MAP_FAILED && stride > 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct timespec begin, end;
        memset(tally, 0, sizeof *tally);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        run_jobs(i);
        clock_gettime(CLOCK_MONOTONIC, &end);
        bool good = tally->wrong == 0 && tally->tried > 0 && tally->torn + tally->same <= rows[i].torn_max;
        failed += !good;
        tried += tally->tried, silent += tally->wrong;
        printf("%-7s %-38s %7llu tried, %7llu refused, %6llu torn tails, %6llu read as they were, %llu "
               "silent   %.1f s\n",
               good ? "ok" : "FAILED", rows[i].what, (unsigned long long)tally->tried,
               (unsigned long long)tally->refused, (unsigned long long)tally->torn,
               (unsigned long long)tally->same, (unsigned long long)tally->wrong,
               (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    }
    printf("%llu changes of a byte, a bit, a sector or a file, %llu silent\n", (unsigned long long)tried,
           (unsigned long long)silent);
    printf("%u passed, %u failed\n", count - failed, failed);
    return failed != 0;
}
