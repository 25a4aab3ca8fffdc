/* datadir.h - what lies in a data directory and who it belongs to.
 *   hourglass.id            identity: format version, directory id, hash secret seed, number of logical shards, core_version
 *   definitions/VVVVVV.hgd  bundles, one per version, immutable
 *   zones/...               TZif files in use, by hash
 *   log/EEEEEE-TT-SSSSSS.hgl  epoch, thread, file sequence
 *   snapshot/NNNNNN/        one directory per snapshot: MANIFEST and shard-NN.hgs; the last two are kept
 *   broken/                 tails that were cut, kept aside
 *   requests                calls that must not be repeated, by request id; io/remember.c has the bytes
 * Every file has magic and format version in front; unknown newer and foreign files are refused untouched (65). */
#ifndef HG_PERSIST_DATADIR_H
#define HG_PERSIST_DATADIR_H

#include "core/base/hash.h"
#include "persist/disk.h"

enum persist_status {
    PERSIST_OK = 0,
    PERSIST_REFUSED = 65 /* damaged, foreign or incompatible */,
    PERSIST_IO = 74
};

struct datadir {
    struct disk *disk;
    struct key id;    /* random, of this directory */
    uint8_t seed[32]; /* of the hash secret */
    uint32_t seed_bytes;
    struct hash_secret secret;
    uint32_t core_version; /* that wrote the newest log */
    bool fresh;            /* made just now */
    struct buf error;      /* one line: file, offset, LSN, what to do */
};
/* seed: for a new directory; empty: 16 random bytes given by the caller in `random`. */
enum persist_status datadir_open(struct datadir *dir, struct disk *disk, struct slice seed,
                                 const uint8_t random[32]);
void datadir_close(struct datadir *dir);
enum { DATADIR_FOLDERS = 5 };
extern const char *const datadir_folders[DATADIR_FOLDERS];

/* For the rooms of persist: a status with its line in dir->error; whole small files, put under another name first,
 * synced, renamed, and the folder synced. */
enum persist_status datadir_refuse(struct datadir *dir, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum persist_status datadir_failed(struct datadir *dir, const char *path,
                                   int64_t error); /* -errno, or >= 0: short */
enum persist_status datadir_put_file(struct datadir *dir, const char *folder, const char *path,
                                     struct slice bytes);
enum persist_status datadir_get_file(struct datadir *dir, const char *path, size_t bytes_max,
                                     struct buf *out);

/* Bundles of definitions: written and synced (file and directory) before a record refers to them. */
enum persist_status datadir_put_definitions(struct datadir *dir, uint32_t version, struct key hash,
                                            struct slice bundle);
enum persist_status datadir_get_definitions(struct datadir *dir, uint32_t version, struct key *hash,
                                            struct buf *bundle);

#endif
