/* snapshot.h - a consistent copy of every shard's state, written while the shards go on working.
 * Each shard is cut at one LSN of its own; the manifest lists all of them; a snapshot exists once its manifest does
 * (written, synced, renamed, directory synced). The last two are kept; a failed one is abandoned, not fatal.
 * Owner: a snapshot_writer belongs to one worker and writes the files of its shards; one worker finishes the manifest.
 * Memory: three buffers of 1 MiB. Cost: a slice of rows per loop turn. */
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
/* The cut is made now. number: of the snapshot, whose folder the first writer makes. */
struct snapshot_writer *snapshot_begin(struct datadir *dir, uint64_t number, struct shard *shard);
/* In two halves, so that no turn of the worker waits for a disk: the worker walks rows into memory; a slice of it is
 * written, or read back and verified, by whoever calls snapshot_write, one at a time, also while the worker walks. */
bool snapshot_can_walk(const struct snapshot_writer *w); /* false: not until a slice is taken, or never */
void snapshot_walk(struct snapshot_writer *w, uint32_t rows);
uint64_t
snapshot_rows(const struct snapshot_writer *w); /* put so far, by the walk or by changes; other frames, too */
bool snapshot_take(struct snapshot_writer *w);  /* while nobody writes. False: nothing to write as yet */
int64_t snapshot_write(struct snapshot_writer *w); /* of what was taken. 1: complete, 0: more, < 0: -errno */
/* Complete: fills `out`, frees w. state_hash is zero: not recorded, the caller may put shard_hash there. */
void snapshot_end(struct snapshot_writer *w, struct snapshot_file *out);
void snapshot_abandon(struct snapshot_writer *w, int64_t error); /* says it in dir->error, frees w */
/* All of that on one thread: 1: complete, 0: more, < 0: abandoned. */
int snapshot_step(struct snapshot_writer *w, uint32_t rows, struct snapshot_file *out);
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
