/* options.h - what hourglassd was told: flag > HOURGLASS_* > --config file > default, one table for all four.
 * Owner: main; immutable once the threads run. Fails: with one line and an exit code (2 usage, 78 configuration). */
#ifndef HG_IO_OPTIONS_H
#define HG_IO_OPTIONS_H

#include "core/base/bytes.h"

enum { URLS_MAX = 8 };
enum sync_mode { SYNC_ALWAYS, SYNC_INTERVAL, SYNC_NONE };

struct options {
    const char *data, *definitions, *admin, *hash_secret, *shared_key_file, *emit_key_file, *fake_clock,
        *erasure_ledger, *io, *order, *cpu;
    const char *ingest[URLS_MAX], *emit[URLS_MAX];
    uint32_t ingest_count, emit_count;
    uint32_t shards; /* threads; 0: as many as there are cores */
    uint8_t sync;
    bool log_keep_all, accept_clock, print_config;
    uint64_t memory_limit, outbox_limit, log_segment, snapshot_every;
    uint32_t erase_within_s;
    uint32_t handshake_s, half_frame_s; /* tests only; 0: as conn.h says */
    int exit_code;                      /* >= 0: main returns it at once */
};
/* Reads everything; messages go to stdout (help, version) or stderr. */
void options_read(struct options *o, int argc, char **argv);

#endif
