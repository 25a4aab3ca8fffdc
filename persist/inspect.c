#include "persist/inspect.h"
#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "persist/wal_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>

enum { EXIT_WRONG = 3 };

struct inspection {
    const struct inspect_options *options;
    FILE *out;
    const char *path;
    const uint8_t *p;
    size_t n;
    uint64_t wrong, found;
};

static void wrong(struct inspection *i, uint64_t offset, const char *what)
{
    fprintf(i->out, "%s: offset %" PRIu64 ": WRONG: %s\n", i->path, offset, what);
    i->wrong++;
}

static bool holds(struct slice bytes, const char *text)
{
    return bytes.n && memmem(bytes.p, bytes.n, text, strlen(text)) != NULL;
}

static bool zeros(const uint8_t *p, size_t n)
{
    while (n && !*p) p++, n--;
    return n == 0;
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"none",        "tick",    "event", "reject", "message",
                                         "definitions", "confirm", "admin", "import", "backfill"};
_Static_assert(sizeof kind_names / sizeof *kind_names == RECORD_KINDS, "every kind has a name");

static void show_record(struct inspection *i, const uint8_t *p, struct slice payload)
{
    bool wanted = i->options->find ? holds(payload, i->options->find) : i->options->records;
    if (!wanted) return;
    i->found++;
    fprintf(i->out, "  offset %td: %s shard %u lsn %" PRIu64 ", %u bytes", p - i->p, kind_names[p[4]], p[5],
            load_le64(p + 8), payload.n);
    if (p[4] == RECORD_TICK && payload.n == 8)
        fprintf(i->out, ", now %u, wakes %u", load_le32(payload.p), load_le32(payload.p + 4));
    if (p[4] == RECORD_DEFINITIONS && payload.n >= 4) fprintf(i->out, ", version %u", load_le32(payload.p));
    fputc('\n', i->out);
}

static void show_records(struct inspection *i, uint64_t at, uint32_t count, uint32_t bytes)
{
    uint64_t end = at + bytes;
    for (; count; count--) {
        if (end - at < 16) break;
        const uint8_t *p = i->p + at;
        uint32_t n = load_le32(p);
        if (n > end - at - 16 || p[4] == 0 || p[4] >= RECORD_KINDS) break;
        show_record(i, p, slice_of(p + 16, n));
        at += 16 + n;
    }
    if (count || at != end) wrong(i, at, "records and group header disagree");
}

/* A group at `at`: its padded length; 0 if none stands here. */
static uint64_t show_group(struct inspection *i, uint64_t at, uint32_t *chain)
{
    const uint8_t *p = i->p + at;
    if (i->n - at < 64 || memcmp(p, "HGGR", 4)) return 0;
    if (load_le32(p + 4) != crc32c(0, p + 8, 56)) return 0;
    uint64_t n = (64 + (uint64_t)load_le32(p + 32) + 4095) & ~4095ull;
    bool whole = n <= i->n - at && crc32c(0, p + 64, n - 64) == load_le32(p + 36);
    if (!i->options->find)
        fprintf(i->out,
                "offset %" PRIu64 ": group %" PRIu64 ", %u records, %u bytes, durable up to group %" PRIu64
                "%s\n",
                at, load_le64(p + 24), load_le32(p + 20), load_le32(p + 32), load_le64(p + 48),
                p[9] & 1 ? ", end of this log" : "");
    if (*chain && load_le32(p + 40) != *chain) wrong(i, at, "does not chain on what stands before it");
    *chain = load_le32(p + 4);
    if (whole)
        show_records(i, at + 64, load_le32(p + 20), load_le32(p + 32));
    else
        wrong(i, at, "payload is damaged");
    return whole ? n : 4096;
}

static uint32_t show_log_header(struct inspection *i)
{
    const uint8_t *p = i->p;
    if (i->n < 4096 || memcmp(p, "HGLF", 4) || load_le32(p + 4) != crc32c(0, p + 8, 4088)) {
        if (zeros(p, i->n < 4096 ? i->n : 4096))
            fprintf(i->out, "%s: log file, prepared but not used\n", i->path);
        else
            wrong(i, 0, "file header is damaged");
        return 0;
    }
    fprintf(i->out,
            "%s: log file, format %u, directory %016" PRIx64 "%016" PRIx64
            ", epoch %u, thread %u, sequence %u, core version %u\n",
            i->path, p[8], load_le64(p + 24), load_le64(p + 32), load_le32(p + 12), load_le16(p + 10),
            load_le32(p + 16), load_le32(p + 20));
    fprintf(i->out, "shards %016" PRIx64 ", first group %" PRIu64 ", made with %" PRIu64 " bytes\n",
            load_le64(p + 40), load_le64(p + 56), load_le64(p + 80));
    return load_le32(p + 4);
}

static void show_log(struct inspection *i)
{
    uint32_t chain = show_log_header(i);
    uint64_t zero_from = 0;
    for (uint64_t at = 4096, n; at < i->n; at += n) {
        size_t left = i->n - at < 4096 ? i->n - at : 4096;
        n = 4096;
        if (zeros(i->p + at, left)) {
            if (!zero_from) zero_from = at;
            continue;
        }
        uint64_t group = show_group(i, at, &chain);
        if (!group)
            wrong(i, at, "neither a group nor zeros");
        else if (zero_from)
            wrong(i, zero_from, "zeros before a group");
        if (group) n = group, zero_from = 0;
    }
    if (zero_from) fprintf(i->out, "offset %" PRIu64 ": zeros up to the end, %zu\n", zero_from, i->n);
}

/* ---- snapshots -------------------------------------------------------------------------------------------- */

static void show_snapshot(struct inspection *i)
{
    const uint8_t *p = i->p;
    uint64_t counts[256] = {0}, bytes[256] = {0}, frames = 0, at = 64;
    if (i->n < 64 || load_le32(p + 4) != crc32c(0, p + 8, 56)) {
        wrong(i, 0, "header is damaged");
        return;
    }
    fprintf(i->out, "%s: snapshot %" PRIu64 " of shard %u at lsn %" PRIu64 ", format %u, core version %u\n",
            i->path, load_le64(p + 32), load_le16(p + 10), load_le64(p + 40), load_le16(p + 8),
            load_le32(p + 12));
    while (i->n - at >= 12) {
        const uint8_t *f = p + at;
        uint32_t n = load_le32(f + 4);
        if (n > i->n - at - 12 || load_le32(f + 8) != crc32c(crc32c(0, f, 8), f + 12, n)) break;
        at += 12 + (uint64_t)n;
        counts[f[0]]++;
        bytes[f[0]] += n;
        if (f[0] != 255)
            frames++;
        else if (n != 16 || load_le64(f + 12) != frames)
            wrong(i, at, "trailer counts other frames");
    }
    for (int k = 0; k < 256; k++)
        if (counts[k])
            fprintf(i->out, "frames of kind %d: %" PRIu64 ", %" PRIu64 " bytes\n", k, counts[k], bytes[k]);
    if (at != i->n) wrong(i, at, "a damaged frame");
    if (counts[255] != 1) wrong(i, at, "no trailer, or more than one");
}

static void show_manifest(struct inspection *i)
{
    const uint8_t *p = i->p;
    uint32_t count = i->n < 64 ? 0 : load_le16(p + 10);
    if (i->n < 64 || i->n != 64 + 48 * (size_t)count || load_le32(p + 4) != crc32c(0, p + 8, i->n - 8)) {
        wrong(i, 0, "manifest is damaged");
        return;
    }
    fprintf(i->out,
            "%s: manifest of snapshot %" PRIu64
            ", format %u, %u shards, core version %u, definitions version %u\n",
            i->path, load_le64(p + 32), load_le16(p + 8), count, load_le32(p + 12), load_le32(p + 48));
    for (const uint8_t *e = p + 64; e < p + i->n; e += 48)
        fprintf(i->out, "shard %u: lsn %" PRIu64 ", %" PRIu64 " bytes, crc %08x\n", e[0], load_le64(e + 8),
                load_le64(e + 16), load_le32(e + 4));
}

/* ---- the others ---------------------------------------------------------------------------------------------- */

static void show_identity(struct inspection *i)
{
    const uint8_t *p = i->p;
    if (i->n != 128 || load_le32(p + 4) != crc32c(0, p + 8, 120)) {
        wrong(i, 0, "identity is damaged");
        return;
    }
    fprintf(i->out,
            "%s: identity, format %u, directory %016" PRIx64 "%016" PRIx64
            ", %u logical shards, core version %u when made\n",
            i->path, load_le16(p + 8), load_le64(p + 16), load_le64(p + 24), load_le16(p + 10),
            load_le32(p + 12));
}

static void show_bundle(struct inspection *i)
{
    const uint8_t *p = i->p;
    if (i->n < 40 || load_le32(p + 4) != crc32c(0, p + 8, i->n - 8) || load_le64(p + 32) != i->n - 40) {
        wrong(i, 0, "bundle is damaged");
        return;
    }
    fprintf(i->out, "%s: definitions version %u, format %u, %zu bytes, hash %016" PRIx64 "%016" PRIx64 "\n",
            i->path, load_le32(p + 12), load_le16(p + 8), i->n - 40, load_le64(p + 16), load_le64(p + 24));
}

static void show_requests(struct inspection *i)
{
    const uint8_t *p = i->p;
    uint64_t at = 12, calls = 0, running = 0;
    if (i->n < 12 || load_le32(p + 4) != crc32c(0, p + 8, i->n - 8)) {
        wrong(i, 0, "the remembered calls are damaged");
        return;
    }
    for (; i->n - at >= 37; calls++) {
        uint32_t n = load_le32(p + at + 33);
        if (n > i->n - at - 37) break;
        running += p[at + 32] == 1;
        at += 37 + (uint64_t)n;
    }
    fprintf(i->out, "%s: calls with a request id, format %u, %" PRIu64 " kept, %" PRIu64 " of them running\n",
            i->path, load_le16(p + 8), calls, running);
    if (at != i->n || calls != load_le16(p + 10)) wrong(i, at, "calls and their count disagree");
}

static void find_anywhere(struct inspection *i)
{
    size_t n = strlen(i->options->find);
    for (const uint8_t *p = i->p; (p = memmem(p, (size_t)(i->p + i->n - p), i->options->find, n));
         p++, i->found++)
        fprintf(i->out, "%s: offset %td\n", i->path, p - i->p);
}

static const struct {
    const char *magic;
    void (*show)(struct inspection *i);
} shows[] = {{"HGLF", show_log},      {"HGSS", show_snapshot}, {"HGSM", show_manifest},
             {"HGID", show_identity}, {"HGDF", show_bundle},   {"HGrq", show_requests}};

static bool show(struct inspection *i)
{
    size_t length = strlen(i->path);
    for (size_t k = 0; k < sizeof shows / sizeof *shows; k++) {
        if (i->n < 4 || memcmp(i->p, shows[k].magic, 4)) continue;
        shows[k].show(i);
        if (i->options->find && shows[k].show != show_log) find_anywhere(i);
        return true;
    }
    if (length < 4 || strcmp(i->path + length - 4, ".hgl")) return false;
    show_log(i); /* its header is lost or was never written; the name says what it was */
    return true;
}

/* ---- repair ------------------------------------------------------------------------------------------------------- */

static int say(struct inspection *i, int code, const struct buf *text)
{
    fprintf(i->out, "%.*s\n", (int)text->n, (char *)text->p);
    return code;
}

static int refuse(struct inspection *i, const char *why)
{
    fprintf(i->out, "%s: %s\n", i->path, why);
    return PERSIST_REFUSED;
}

static int give_up_rest(struct inspection *i, struct datadir *dir, const struct log_name *list,
                        uint32_t count)
{
    struct log_reader r;
    log_reader_open(&r, dir, list, count, false);
    int code = (int)log_reader_give_up(&r);
    if (code)
        say(i, code, &dir->error);
    else
        fprintf(i->out, "%s: the log ends now behind group %" PRIu64 "; %" PRIu64 " bytes kept in broken/\n",
                i->path, r.number - 1, r.torn_bytes);
    log_reader_close(&r);
    return code;
}

static int repair_log(struct inspection *i, struct datadir *dir, const struct log_name *name)
{
    struct log_names names;
    uint32_t from = 0, count = 0;
    int code = PERSIST_IO;
    if (log_names_read(dir->disk, &names) == 0 && names.count) {
        struct log_name *list = names.list, *last = &list[names.count - 1];
        while (from < names.count && (list[from].epoch != name->epoch || list[from].thread != name->thread))
            from++;
        while (from + count < names.count && list[from + count].epoch == name->epoch &&
               list[from + count].thread == name->thread)
            count++;
        if (last->epoch != name->epoch)
            code = refuse(i, "a later epoch continues this log: only a backup helps");
        else if (count)
            code = give_up_rest(i, dir, list + from, count);
    }
    log_names_free(&names);
    return code;
}

static int repair_in(struct inspection *i, const char *directory, const struct log_name *name)
{
    static const uint8_t unused[32];
    struct buf error = {0};
    struct datadir dir;
    struct disk *disk =
        disk_posix_open(directory, false, true, &error); /* the lock keeps a running server apart */
    if (!disk) {
        say(i, PERSIST_IO, &error);
        buf_free(&error);
        return PERSIST_IO;
    }
    int file = disk->ops->open(disk, "hourglass.id", DISK_READ), code;
    if (file < 0) {
        code = refuse(i, "not in the folder log/ of a data directory");
    } else {
        disk->ops->close(disk, file);
        code = (int)datadir_open(&dir, disk, (struct slice){0}, unused);
        code = code ? say(i, code, &dir.error) : repair_log(i, &dir, name);
        datadir_close(&dir);
    }
    disk_posix_close(disk);
    return code;
}

/* FILE is DIRECTORY/log/NAME. */
static int repair(struct inspection *i)
{
    struct log_name name;
    char *path = realpath(i->path, NULL), *base = path ? strrchr(path, '/') : NULL;
    int code;
    if (!base || !log_name_parse(base + 1, &name))
        code = refuse(i, "only log files can be repaired");
    else
        code = repair_in(i, dirname(dirname(path)), &name);
    free(path);
    return code;
}

/* ---- one file ------------------------------------------------------------------------------------------------------- */

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t n;
    do {
        buf_reserve(out, 1 << 20);
        n = fread(out->p + out->n, 1, 1 << 20, file);
        out->n += n;
    } while (n);
    bool ok = !ferror(file);
    fclose(file);
    return ok;
}

int inspect_file(const char *path, const struct inspect_options *options, FILE *out)
{
    struct buf bytes = {0};
    struct inspection i = {.options = options, .out = out, .path = path};
    if (options->repair) return repair(&i);
    if (!read_file(path, &bytes)) {
        fprintf(out, "%s: %s\n", path, strerror(errno));
        buf_free(&bytes);
        return PERSIST_IO;
    }
    i.p = bytes.p;
    i.n = bytes.n;
    bool known = show(&i);
    if (!known) fprintf(out, "%s: not a file of a hourglass data directory\n", path);
    buf_free(&bytes);
    return !known ? (int)PERSIST_REFUSED : i.wrong ? EXIT_WRONG : 0;
}
