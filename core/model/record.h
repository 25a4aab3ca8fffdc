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
    RECORD_ADMIN,       /* kind u16 (enum admin_kind), body */
    RECORD_IMPORT,      /* like EVENT; updates the profile, starts nothing */
    RECORD_BACKFILL,    /* segment u16, first row u32, rows u32 */
    RECORD_KINDS
};

enum { RECORD_HEAD_MAX = 16 };
struct record {
    uint8_t kind;
    uint8_t shard;
    uint8_t
        head_bytes; /* the payload's first bytes may stand here, so that an event's raw bytes need not be */
    uint8_t head
        [RECORD_HEAD_MAX]; /* copied together: the logged payload is head[0..head_bytes) ++ payload; read back whole */
    struct slice payload;
    uint64_t lsn;    /* of this shard; given by the log */
    uint64_t cookie; /* who waits for it (volatile, never logged); 0: nobody */
};

enum admin_kind {
    ADMIN_LIMITS =
        1,         /* outbox limit u64: decides deferrals, so it is a record and not a flag of the moment */
    ADMIN_JOURNEY, /* command u16 (enum journey_command), journey u16, person key 16 */
    ADMIN_LIST,    /* member u16 (0: out of it), list u16, person key 16 */
    ADMIN_TEST,    /* bytes of the step id u16, journey u16, person key 16, instance 16, step id, address */
};

enum message_kind {
    MESSAGE_MERGE_PULL = 1, /* user key 16, anonymous key 16: give me your half, leave a forward */
    MESSAGE_MERGE_DATA,     /* user key 16, anonymous key 16, status u8, profile bytes */
    MESSAGE_FORWARD,    /* target key 16, entry_ms i64, raw event: a linked id's event goes to its owner */
    MESSAGE_UNPARK = 5, /* to itself: user key 16, zero 16: go on with what was parked for this person */
    MESSAGE_LINK = 4,   /* link key 16, target key 16: an identifying trait now leads to this person */
};

enum { MESSAGE_HEADER_BYTES = 12 };

#endif
