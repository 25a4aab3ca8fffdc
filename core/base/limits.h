/* limits.h - how many of everything, and why. The same numbers for writer and reader.
 * The tiny build makes them small, so that wrap-around, splitting and refusal happen on every run; the simulator's build
 * makes a node small enough to be started, killed and recovered in a few milliseconds. */
#ifndef HG_BASE_LIMITS_H
#define HG_BASE_LIMITS_H

enum {
    BATCH_EVENTS = 64,          /* one pipeline turn; its scratch stays in the caches */
    EVENT_BYTES_MAX = 32 << 10, /* a Segment message is at most 32 KB */
    REJECT_BYTES_KEPT = 1024,   /* of a rejected record */
    MSGPACK_DEPTH_MAX = 32,
    MAP_KEYS_MAX = 256,
    KEY_BYTES_MAX = 256,
    ID_BYTES_MAX = 256, /* userId, anonymousId, an identifying trait */
    MESSAGE_ID_BYTES_MAX = 256,
    EVENT_NAME_BYTES_MAX = 256,
    PROPS_PER_EVENT_MAX = 64,      /* declared ones; the rest is skipped by the cursor */
    FRAME_BYTES_MAX = 8 << 20,     /* one Forward message; a client is told to lower its limit */
    INFLATED_BYTES_MAX = 16 << 20, /* one compressed Forward message, inflated */
    CHUNK_ID_BYTES_MAX = 64,
    TAG_BYTES_MAX = 255,
    UNDECLARED_NAMES_MAX = 1000, /* per shard; further names are counted together */
    HISTORY_CAP_PLAIN = 64,      /* page, identify, undeclared: time and hash only */
    ALIASES_MAX = 64,            /* anonymous ids of one person; the oldest is dropped */
    SENDS_KEPT_MAX = 64,         /* last sends of one profile, for outcomes and caps */
    INSTANCES_MAX = 64,          /* journey instances of one profile at once */
    INSTANT_STEPS_MAX = 64,      /* steps one wake-up may take before it yields a second */
    REJECTS_KEPT = 256,          /* last rejects per shard */
    DEDUP_HOURS = 24,            /* the durable window for messages without a usable time */
#ifdef HG_SIM
    LOGICAL_SHARDS = 8,
    BLOCK_ROWS = 64,
    HISTORY_CAP_DEFAULT = 256,
    DEDUP_ENTRIES_MAX = 1 << 14,
    INDEX_SEGMENT_BUCKETS = 4,
    UNPARKED_PER_RECORD = 4,
    PROFILES_PER_SHARD_MAX = 1 << 16,
    DISK_SLICE_BYTES = 16 << 10,
    LOG_PIECE_BYTES = 32 << 10,
    LOG_SEGMENT_BYTES_MIN = 128 << 10,
#elif defined(HG_TINY)
    LOGICAL_SHARDS = 64,
    BLOCK_ROWS = 64,
    HISTORY_CAP_DEFAULT = 8,
    DEDUP_ENTRIES_MAX = 64,
    UNPARKED_PER_RECORD = 4,
    INDEX_SEGMENT_BUCKETS = 4,
    PROFILES_PER_SHARD_MAX = 1 << 16,
    DISK_SLICE_BYTES = 1 << 20,
    LOG_PIECE_BYTES = 64 << 10,
    LOG_SEGMENT_BYTES_MIN = 1 << 20,
#else
    LOGICAL_SHARDS = 64, /* fixed when a data directory is made; threads host them */
    BLOCK_ROWS = 4096,   /* a column block, a membership page, a scan step */
    HISTORY_CAP_DEFAULT = 256,
    DEDUP_ENTRIES_MAX = 1 << 20,
    UNPARKED_PER_RECORD = 64, /* records that one answer to a merge releases at once */
    INDEX_SEGMENT_BUCKETS = 64,
#ifdef HG_LITTLE_ROOM
    PROFILES_PER_SHARD_MAX = 1 << 16,
#else
    PROFILES_PER_SHARD_MAX = 1 << 22,
#endif
    DISK_SLICE_BYTES = 1 << 20, /* logs are zeroed and snapshots written by so much at a time */
    LOG_PIECE_BYTES = 8 << 20,  /* logs are read by so much at a time */
    LOG_SEGMENT_BYTES_MIN = 1 << 20,
#endif
};

/* Address space, not memory: what a shard may ever grow to. HG_LITTLE_ROOM: for valgrind, which has little of it to give. */
#if defined(HG_TINY) || defined(HG_SIM) || defined(HG_LITTLE_ROOM)
#define HEAP_BYTES_MAX (256ull << 20)
#else
#define HEAP_BYTES_MAX (8ull << 30)
#endif

#endif
