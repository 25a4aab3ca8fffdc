/* snapshot.h - a consistent copy of every shard's state, written while the shards go on working.
 * Each shard is cut at one LSN of its own; the manifest lists all of them; a snapshot exists once its manifest does
 * (written, synced, renamed, directory synced). The last two are kept; a failed one is abandoned, not fatal.
 * Owner: a snapshot_writer belongs to one worker and writes the files of its shards; one worker finishes the manifest.
 * Memory: one 1 MiB buffer. Cost: a slice of rows per loop turn. */
#ifndef HG_PERSIST_SNAPSHOT_H
#define HG_PERSIST_SNAPSHOT_H

#include "core/shard.h"
#include "persist/datadir.h"

struct snapshot_file { /* of one shard, as the manifest lists it */
    uint8_t shard;
    uint64_t lsn, bytes;
    uint32_t crc;
    struct key state_hash;
};

struct snapshot_writer;
/* number: of the snapshot; the directory is made by the first writer. NULL: the disk refused, see dir->error. */
struct snapshot_writer *snapshot_begin(struct datadir *dir, uint64_t number, struct shard *shard);
/* One slice: walks at most `rows` rows and writes a full buffer, or, behind the last row, reads 1 MiB back from disk and
 * verifies it. 1: complete (out filled, w freed; state_hash is zero: not recorded, the caller may put shard_hash there),
 * 0: more, < 0: failed, abandoned, w freed. */
int snapshot_step(struct snapshot_writer *w, uint32_t rows, struct snapshot_file *out);
void snapshot_abandon(struct snapshot_writer *w);
/* All shards' files are there and verified by snapshot_step: writes the manifest, removes all but the last two. */
enum persist_status snapshot_commit(struct datadir *dir, uint64_t number, const struct snapshot_file *files,
                                    uint32_t count, uint32_t definitions_version, uint32_t core_version);
struct snapshot_manifest {
    uint64_t number;
    bool foreign; /* whole, but newer or of another directory: nothing to fall back from */
    uint32_t definitions_version, core_version, count;
    struct snapshot_file files[64];
};
/* Newest complete snapshot, or the one before if skip is 1. count 0: none. REFUSED: its manifest is damaged. */
enum persist_status snapshot_find(struct datadir *dir, uint32_t skip, struct snapshot_manifest *out);
/* One file of it: present, whole, and what the manifest says. All of them before anything is restored. */
enum persist_status snapshot_verify(struct datadir *dir, const struct snapshot_manifest *m,
                                    const struct snapshot_file *file);
/* One shard's file into a fresh shard. */
enum persist_status snapshot_restore(struct datadir *dir, const struct snapshot_manifest *m,
                                     const struct snapshot_file *file, struct shard *shard);
uint64_t snapshot_next_number(struct datadir *dir); /* above all that have a folder */

#endif
