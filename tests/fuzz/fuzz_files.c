/* The readers of logs, snapshots and of the other files: whatever stands in them, recovery brings back a state or refuses
 * and names the file, twice the same; and `inspect` shows any file.
 * Input: the first byte picks whether checksums are made right again (so that what is behind them is read, too), the rest
 * is a list of changes {file 1, place 3, length 1, bytes}, applied to a directory that was written properly. */
#include "persist/inspect.h"
#include "persist/snapshot.h"
#include "tests/unit/log_bench.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct fake_disk *written;
static struct fake_file *files[FAKE_NAMES];
static uint32_t file_count;

/* ---- a directory as it should be ---------------------------------------------------------------------- */

static void fill(struct bench *b)
{
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t payload[300];
        memset(payload, (int)(i + 1), sizeof payload);
        bench_event(b, i % LOGICAL_SHARDS, payload, 20 + 7 * i);
        if (i % 8 == 0) bench_tick(b, i % LOGICAL_SHARDS, 1000 + i, 1);
        if (i % 5 == 0) bench_settle(b);
    }
    bench_settle(b);
}

static void take_snapshot(struct bench *b)
{
    struct snapshot_file list[LOGICAL_SHARDS];
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        int r;
        struct snapshot_writer *w = snapshot_begin(&b->dir, 1, &b->live->list[i]);
        CHECK(w != NULL);
        while ((r = snapshot_step(w, 3, &list[i])) == 0) bench_turn(b);
        CHECK(r == 1);
        list[i].state_hash = b->live->list[i].hash;
    }
    bench_settle(b);
    CHECK(snapshot_commit(&b->dir, 1, list, LOGICAL_SHARDS, 0, CORE_VERSION) == PERSIST_OK);
}

static void write_directory(void)
{
    static struct bench b;
    bench_init(&b);
    CHECK(bench_start(&b));
    fill(&b);
    take_snapshot(&b);
    fill(&b);
    bench_stop(&b);
    CHECK(bench_start(&b));
    fill(&b);
    bench_kill(&b);
    written = b.disk;
}

/* ---- changes ---------------------------------------------------------------------------------------------- */

static void change(struct fake_file *f, uint32_t place, const uint8_t *p, size_t n)
{
    if (!f->n) return;
    uint64_t at = place % f->n;
    if (n == 0) f->n = at; /* nothing to write: cut */
    if (n > f->n - at) n = f->n - at;
    memcpy(f->bytes + at, p, n);
}

static void apply(const uint8_t *p, size_t n)
{
    while (n >= 5) {
        size_t length = p[4] < n - 5 ? p[4] : n - 5;
        change(files[p[0] % file_count], load_le32(p) >> 8, p + 5, length);
        p += 5 + length;
        n -= 5 + length;
    }
}

/* Every log header and group header gets the checksum that its bytes ask for, payload first. */
static void mend(struct fake_file *f)
{
    if (f->n < LOG_BLOCK || load_le32(f->bytes) != LOG_MAGIC) return;
    store_le32(f->bytes + 4, crc32c(0, f->bytes + 8, LOG_HEADER_BYTES - 8));
    for (uint64_t at = LOG_BLOCK; at + LOG_BLOCK <= f->n; at += LOG_BLOCK) {
        uint8_t *g = f->bytes + at;
        uint64_t bytes = block_round(GROUP_HEADER_BYTES + (uint64_t)load_le32(g + 32));
        if (load_le32(g) != GROUP_MAGIC) continue;
        if (bytes <= f->n - at)
            store_le32(g + 36, crc32c(0, g + GROUP_HEADER_BYTES, bytes - GROUP_HEADER_BYTES));
        store_le32(g + 4, crc32c(0, g + 8, GROUP_HEADER_BYTES - 8));
    }
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

struct outcome {
    enum persist_status status;
    struct key state;
};

static struct outcome read_all(struct fake_disk *disk)
{
    struct outcome o = {0};
    struct datadir dir;
    struct bench_host host = {0};
    struct recovered out;
    o.status = datadir_open(&dir, &disk->disk, (struct slice){0}, bench_random);
    if (o.status == PERSIST_OK) {
        o.status = bench_recover(&dir, &host, &out);
        if (o.status == PERSIST_OK) o.state = hash128_plain(host.shards, sizeof *host.shards);
        free(host.shards);
    }
    CHECK(o.status == PERSIST_OK || (o.status == PERSIST_REFUSED && dir.error.n > 0));
    datadir_close(&dir);
    return o;
}

static void show(const struct fake_file *f)
{
    static FILE *nowhere;
    static int memory = -1;
    char path[64];
    if (!nowhere) nowhere = fopen("/dev/null", "we");
    if (memory < 0) memory = memfd_create("inspected", MFD_CLOEXEC);
    CHECK(nowhere && memory >= 0 && ftruncate(memory, 0) == 0);
    CHECK(pwrite(memory, f->bytes, f->n, 0) == (ssize_t)f->n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    struct inspect_options options = {.records = true};
    int code = inspect_file(path, &options, nowhere);
    CHECK(code == 0 || code == 3 || code == 65);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!written) write_directory();
    if (n < 6) return 0;
    struct fake_disk *disk = fake_disk_copy(written);
    file_count = 0;
    for (uint32_t i = 0; i < disk->count; i++)
        if (disk->names[i].file) files[file_count++] = disk->names[i].file;
    apply(data + 1, n - 1);
    for (uint32_t i = 0; data[0] & 1 && i < file_count; i++) mend(files[i]);
    if (data[0] & 2) show(files[data[1] % file_count]);
    struct outcome a = read_all(disk), b = a.status == PERSIST_OK ? read_all(disk) : a;
    CHECK(a.status == b.status && key_eq(a.state, b.state)); /* recovery may be done again */
    fake_disk_destroy(disk);
    return 0;
}
