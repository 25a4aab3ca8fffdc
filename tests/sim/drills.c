#include "tests/sim/drills.h"
#include "core/time/wheel.h"
#include "persist/wal_format.h"
#include "persist/wal_reader.h"
#include "tests/sim/disk.h"
#include "tests/sim/oracle.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the wheel ----------------------------------------------------------------------------------- */

enum { ENTRIES = 400, TAKEN_AT_ONCE = 7, PLACES = 48 };

static uint32_t some_distance(void)
{
    static const uint32_t edges[] = {4096, 4096 * 512, 4096 * 512 * 64};
    uint32_t edge = edges[chance_below(3)];
    return chance(60) ? edge + chance_below(5) - 2 : 1 + chance_below(edge);
}

static uint32_t earliest_of(const struct wheel_entry *list)
{
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (list[i].due < first) first = list[i].due;
    return first;
}

void drill_wheel(void)
{
    static struct wheel_entry list[ENTRIES]; /* by slot; due UINT32_MAX: has been handed out */
    uint32_t now = chance(50) ? 1772359200 : (chance_below(900) + 1) << (chance(50) ? 12 : 21),
             left = ENTRIES;
    struct wheel *w = wheel_create(now);
    CHECK(w && wheel_reserve(w, ENTRIES));
    for (uint32_t i = 0; i < ENTRIES; i++) {
        list[i] = (struct wheel_entry){i, now + some_distance()};
        wheel_add(w, i, list[i].due);
    }
    while (left) {
        struct wheel_entry out[TAKEN_AT_ONCE];
        uint32_t first = earliest_of(list);
        EXPECT(wheel_next(w) == first, "the wheel's next second is %u, the list's %u", wheel_next(w), first);
        now = chance(50) ? first : first - 1 + chance_below(3000);
        for (uint32_t n; (n = wheel_advance(w, now, out, TAKEN_AT_ONCE)) > 0; left -= n)
            for (uint32_t i = 0; i < n; i++) {
                EXPECT(out[i].due == list[out[i].slot].due && out[i].due <= now,
                       "slot %u came at %u for %u, it was armed for %u", out[i].slot, now, out[i].due,
                       list[out[i].slot].due);
                list[out[i].slot].due = UINT32_MAX;
            }
        EXPECT(earliest_of(list) > now, "what was due at %u has not come by %u", earliest_of(list), now);
    }
    wheel_destroy(w);
}

/* ---- damage ---------------------------------------------------------------------------------------- */

struct place { /* of a group in the log */
    char file[LOG_NAME_BYTES];
    uint64_t at;
    struct group_header header;
    bool last; /* nothing stands behind it */
};

static struct {
    struct disk *disk; /* as the node left it, before anybody recovered */
    struct place groups[512];
    uint32_t count;
    struct log_names names;
} laid;

static int open_on(struct disk *d, const char *file)
{
    int f = d->ops->open(d, file, DISK_READ | DISK_WRITE);
    CHECK(f >= 0);
    return f;
}

static void read_at(struct disk *d, const struct place *p, uint64_t offset, void *to, size_t n)
{
    int f = open_on(d, p->file);
    CHECK(d->ops->read(d, f, p->at + offset, to, n) == (int64_t)n);
    d->ops->close(d, f);
}

static void write_at(struct disk *d, const struct place *p, uint64_t offset, const void *from, size_t n)
{
    int f = open_on(d, p->file);
    CHECK(d->ops->write_now(d, f, p->at + offset, from, n) == (int64_t)n);
    d->ops->close(d, f);
}

static void find_groups(void)
{
    struct disk *d = laid.disk;
    CHECK(log_names_read(d, &laid.names) == 0);
    for (uint32_t i = 0; i < laid.names.count; i++) {
        struct place p = {.at = LOG_HEADER_BYTES};
        const struct log_name *n = &laid.names.list[i];
        log_name_print(p.file, n->epoch, n->thread, n->sequence);
        int f = open_on(d, p.file);
        uint8_t head[GROUP_HEADER_BYTES];
        struct place *before = NULL;
        while (laid.count < 512 && d->ops->read(d, f, p.at, head, sizeof head) == sizeof head &&
               group_header_decode(head, &p.header) == FORMAT_OK) {
            if (before) before->last = false;
            p.last = true;
            laid.groups[laid.count] = p;
            before = &laid.groups[laid.count++];
            p.at += group_bytes(&p.header);
        }
        d->ops->close(d, f);
    }
}

enum damage {
    FLIPPED_PAYLOAD,
    FLIPPED_HEADER,
    FLIPPED_END,
    FORGED,
    ZEROED,
    FILE_GONE,
    RENAMED,
    OTHER_CORE,
    DAMAGE_COUNT
};
static const char *const damage_names[DAMAGE_COUNT] = {"a flipped bit of its payload",
                                                       "a flipped bit of its header",
                                                       "its end flag set",
                                                       "another mark with a good checksum",
                                                       "zeros in its place",
                                                       "the names behind its log gone",
                                                       "its log under the next numbers",
                                                       "its log of another core version"};

static void flip(struct disk *d, const struct place *p, uint64_t offset, uint8_t bits)
{
    uint8_t byte;
    read_at(d, p, offset, &byte, 1);
    byte ^= bits;
    write_at(d, p, offset, &byte, 1);
}

/* An older mark under a good checksum, as a group of another history would have: only the chain can tell. */
static void forge(struct disk *d, const struct place *p)
{
    struct group_header h = p->header;
    uint8_t bytes[GROUP_HEADER_BYTES];
    h.durable_group--;
    group_header_encode(bytes, &h);
    write_at(d, p, 0, bytes, sizeof bytes);
}

static void zero(struct disk *d, const struct place *p)
{
    uint64_t n = group_bytes(&p->header);
    uint8_t *bytes = calloc(1, n);
    CHECK(bytes != NULL);
    write_at(d, p, 0, bytes, n);
    free(bytes);
}

static bool same_log(const struct place *p, const struct log_name *n)
{
    return p->header.epoch == n->epoch && p->header.thread == n->thread;
}

/* Every name behind the file that its log was filling. */
static void remove_names_behind(struct disk *d, const struct place *p)
{
    uint32_t filling = 0;
    for (uint32_t i = 0; i < laid.count; i++) {
        const struct group_header *h = &laid.groups[i].header;
        if (h->thread == p->header.thread && h->sequence > filling) filling = h->sequence;
    }
    for (uint32_t i = 0; i < laid.names.count; i++) {
        char name[LOG_NAME_BYTES];
        const struct log_name *n = &laid.names.list[i];
        if (!same_log(p, n) || n->sequence <= filling) continue;
        log_name_print(name, n->epoch, n->thread, n->sequence);
        CHECK(d->ops->unlink(d, name) == 0);
    }
}

/* All files of its log, the last one first. */
static void rename_up(struct disk *d, const struct place *p)
{
    for (uint32_t i = laid.names.count; i-- > 0;) {
        char from[LOG_NAME_BYTES], to[LOG_NAME_BYTES];
        const struct log_name *n = &laid.names.list[i];
        if (!same_log(p, n)) continue;
        log_name_print(from, n->epoch, n->thread, n->sequence);
        log_name_print(to, n->epoch, n->thread, n->sequence + 1);
        CHECK(d->ops->rename(d, from, to) == 0);
    }
}

/* Its log as a newer program would have written it: headers and the chain through them are in order. */
static void change_core(struct disk *d, const struct place *p)
{
    struct log_header file = {0};
    uint32_t chain = 0;
    for (uint32_t i = 0; i < laid.count; i++) {
        struct place g = laid.groups[i];
        uint8_t block[LOG_HEADER_BYTES], head[GROUP_HEADER_BYTES];
        if (g.header.thread != p->header.thread || g.header.epoch != p->header.epoch) continue;
        if (g.header.sequence != file.sequence) {
            struct place start = g;
            start.at = 0;
            read_at(d, &start, 0, block, sizeof block);
            CHECK(log_header_decode(block, &file) == FORMAT_OK);
            file.core_version++;
            if (chain) file.chain = chain;
            log_header_encode(block, &file);
            write_at(d, &start, 0, block, sizeof block);
            chain = file.crc;
        }
        g.header.chain = chain;
        group_header_encode(head, &g.header);
        write_at(d, &g, 0, head, sizeof head);
        chain = g.header.crc;
    }
}

static void damage(struct disk *d, const struct place *p, enum damage kind)
{
    switch (kind) {
    case FLIPPED_PAYLOAD:
        flip(d, p, GROUP_HEADER_BYTES + chance_below(p->header.payload_bytes),
             (uint8_t)(1u << chance_below(8)));
        return;
    case FLIPPED_HEADER:
        flip(d, p, chance_below(GROUP_HEADER_BYTES), (uint8_t)(1u << chance_below(8)));
        return;
    case FLIPPED_END: flip(d, p, 9, GROUP_END); return;
    case FORGED: forge(d, p); return;
    case ZEROED: zero(d, p); return;
    case RENAMED: rename_up(d, p); return;
    case OTHER_CORE: change_core(d, p); return;
    default: remove_names_behind(d, p);
    }
}

/* A group that a later one says is durable, with something in it. */
static bool is_covered(const struct place *p) { return !p->last && p->header.payload_bytes > 0; }

static void damaged_starts(struct engine *e)
{
    find_groups();
    struct disk *whole = sim_disk_copy(laid.disk); /* a start ends the logs */
    EXPECT(oracle_start_on(e, whole) == PERSIST_OK, "the log is refused as it is");
    sim_disk_copy_free(whole);
    for (uint32_t tried = 0; tried < PLACES;) {
        const struct place *p = &laid.groups[chance_below(laid.count)];
        enum damage kind = (enum damage)(tried % DAMAGE_COUNT);
        if (!is_covered(p) || (kind == FORGED && !p->header.durable_group)) continue;
        struct disk *copy = sim_disk_copy(laid.disk);
        damage(copy, p, kind);
        enum persist_status status = oracle_start_on(e, copy);
        EXPECT(status == PERSIST_REFUSED, "%s offset %llu: %s, and the start answers %d", p->file,
               (unsigned long long)p->at, damage_names[kind], status);
        sim_disk_copy_free(copy);
        tried++;
    }
    shared->finished = true;
    _Exit(0);
}

static void keep_disk(void) { laid.disk = sim_disk_copy(sim_disk()); }

void drill_damage(void) { scenario_two_lives(keep_disk, damaged_starts); }

void drill_first(void) { scenario_killed_first_start(); }
