/* restore.c - `hourglass restore`: copies a backup, lets recovery read all of the copy, and only then gives it its name. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/limits.h"
#include "core/define/define.h"
#include "persist/backup.h"
#include "persist/recover.h"
#include "tools/hourglass/commands.h"

/* A server's state, for as long as it takes to see that it comes back. */
struct trial {
    struct datadir dir;
    struct shard *shards[LOGICAL_SHARDS];
    struct defset **sets; /* by version, ascending; [0] is the empty set */
    uint32_t set_count;
};

static _Noreturn void give_up(int code, const struct buf *why)
{
    die(code, "%.*s; nothing was restored", (int)why->n, (const char *)why->p);
}

/* ---- what recovery asks its host -------------------------------------------------------------- */

static const struct defset *find_set(void *host, uint32_t version, struct key hash)
{
    const struct trial *t = host;
    for (uint32_t i = 0; i < t->set_count; i++)
        if (t->sets[i]->version == version && (version == 0 || key_eq(t->sets[i]->hash, hash)))
            return t->sets[i];
    return NULL;
}

static void add_set(struct trial *t, struct defset *set)
{
    t->sets = realloc(t->sets, (t->set_count + 1) * sizeof *t->sets);
    if (!set || !t->sets) die(EXIT_FAILED, "not enough memory");
    t->sets[t->set_count++] = set;
}

static bool trial_definitions(void *self, uint32_t version, struct key hash, struct slice bundle)
{
    struct diagnostics d;
    (void)hash;
    diagnostics_init(&d);
    struct defset *set = defset_from_bundle(bundle, NULL, &d);
    diagnostics_free(&d);
    if (!set) return false;
    set->version = version;
    add_set(self, set);
    return true;
}

static struct shard *trial_shard(void *self, uint32_t index) { return ((struct trial *)self)->shards[index]; }

static void make_shards(struct trial *t)
{
    add_set(t, defset_empty());
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct shard_config config = {
            .index = (uint8_t)i, .secret = &t->dir.secret, .definitions = find_set, .host = t};
        t->shards[i] = shard_create(&config);
        if (!t->shards[i]) die(EXIT_FAILED, "not enough memory");
    }
}

static void trial_free(struct trial *t)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (t->shards[i]) shard_destroy(t->shards[i]);
    for (uint32_t i = 0; i < t->set_count; i++) defset_free(t->sets[i]);
    free(t->sets);
    datadir_close(&t->dir);
}

/* ---- the three steps ------------------------------------------------------------------------------ */

/* A backup has an identity: without one, opening would make a new directory of it. */
static enum persist_status open_backup(struct datadir *dir, struct disk *disk)
{
    static const uint8_t unused[32];
    int file = disk->ops->open(disk, "hourglass.id", DISK_READ);
    *dir = (struct datadir){.disk = disk};
    if (file < 0) return datadir_refuse(dir, disk_posix_directory(disk), "not a backup: no hourglass.id");
    disk->ops->close(disk, file);
    return datadir_open(dir, disk, (struct slice){0}, unused);
}

/* As a start reads it: every group, every checksum, no hole, the snapshot, and that the records still apply. */
static enum persist_status verify(struct trial *t, struct disk *disk, struct recovered *out)
{
    struct recovery_host host = {t, trial_shard, trial_definitions, NULL};
    enum persist_status status = open_backup(&t->dir, disk);
    if (status != PERSIST_OK) return status;
    make_shards(t);
    status = recover(&t->dir, &host, false, out);
    if (status == PERSIST_OK && (out->cut_bytes || out->damaged_snapshot))
        status = datadir_refuse(&t->dir, disk_posix_directory(disk), "the backup is damaged");
    return status;
}

static void verify_copy(struct backup *copy, struct recovered *out)
{
    struct buf why = {0};
    struct trial t = {0};
    struct disk *disk = disk_posix_open(copy->tmp, false, false, &why);
    enum persist_status status = disk ? verify(&t, disk, out) : PERSIST_IO;
    if (status != PERSIST_OK) {
        backup_abandon(copy);
        give_up(status, disk ? &t.dir.error : &why);
    }
    trial_free(&t);
    disk_posix_close(disk);
}

/* The folder that is to hold it is there; it itself may be new. */
static void absolute(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX];
    int n = *path == '/'                ? snprintf(out, PATH_MAX, "%s", path)
            : getcwd(here, sizeof here) ? snprintf(out, PATH_MAX, "%s/%s", here, path)
                                        : PATH_MAX;
    if (n >= PATH_MAX) die(EXIT_USAGE, "%s: the path is too long", path);
}

int run_restore(struct cli *c)
{
    char to[PATH_MAX];
    struct buf why = {0};
    struct datadir from;
    struct backup copy;
    struct recovered r;
    absolute(c->argv[1], to);
    struct disk *disk = disk_posix_open(c->argv[0], false, false, &why);
    if (!disk) give_up(access(c->argv[0], F_OK) == 0 ? EXIT_DISK : EXIT_FAILED, &why);
    enum persist_status status = open_backup(&from, disk);
    if (status != PERSIST_OK) give_up(status, &from.error);
    status = backup_begin(&copy, &from, slice_str(to), false);
    if (status == PERSIST_OK) status = backup_logs(&copy, NULL, 0);
    if (status == PERSIST_OK) verify_copy(&copy, &r);
    if (status == PERSIST_OK) status = backup_publish(&copy);
    if (status != PERSIST_OK) {
        backup_abandon(&copy);
        give_up(status, &from.error);
    }
    printf(c->json ? "{\"records\":%llu,\"snapshot_bytes\":%llu,\"lsn\":%llu}\n"
                   : "restored: %llu records of the log, %llu bytes of snapshot, LSN %llu in all\n",
           (unsigned long long)r.records, (unsigned long long)r.snapshot_bytes,
           (unsigned long long)r.lsn_sum);
    datadir_close(&from);
    disk_posix_close(disk);
    return EXIT_OK;
}
