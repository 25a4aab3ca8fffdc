/* record.h - what the log holds: everything that a shard consumes, in the order it consumes it.
 * Segment flips, journey steps, timers and actions are derived and never logged.
 * A record's payload is little-endian; the byte tables stand beside each struct and in persist/FORMAT.md. */
#ifndef HG_MODEL_RECORD_H
#define HG_MODEL_RECORD_H

#include "core/base/bytes.h"
#include "core/base/hash.h"

enum record_kind {
    RECORD_NONE = 0,    /* all-zero is never a record */
    RECORD_TICK,        /* now u32, wakes u32 (valid wake-ups executed at this tick) */
    RECORD_EVENT,       /* entry_ms i64, raw MessagePack */
    RECORD_REJECT,      /* reason u16, first bytes of the record */
    RECORD_MESSAGE,     /* source shard u16, kind u16, sequence u64, body */
    RECORD_DEFINITIONS, /* version u32, bundle hash 16 */
    RECORD_CONFIRM,     /* count u32, action ids 16 each */
    RECORD_ADMIN,       /* kind u16, request id 16, body (journey control, enroll, erase, hold ...) */
    RECORD_IMPORT,      /* like EVENT; updates the profile, starts nothing */
    RECORD_BACKFILL,    /* segment u16, first row u32, rows u32 */
    RECORD_KINDS
};

struct record {
    uint8_t kind;
    uint8_t shard;
    struct slice payload;
    uint64_t lsn;    /* of this shard; given by the log */
    uint64_t cookie; /* who waits for it (volatile, never logged); 0: nobody */
};

enum message_kind {
    MESSAGE_MERGE_PULL = 1, /* user key 16, anonymous key 16: give me your half, leave a forward */
    MESSAGE_MERGE_DATA,     /* user key 16, anonymous key 16, status u8, profile bytes */
    MESSAGE_FORWARD,        /* target key 16, entry_ms i64, raw event: a linked id's event goes to its owner */
    MESSAGE_LINK,           /* link key 16, target key 16: an identifying trait now leads to this person */
};

enum { MESSAGE_HEADER_BYTES = 12 };

#endif
