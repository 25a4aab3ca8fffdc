/* state.h - the parts of a person's state that journeys own, as bytes the store keeps and encodes.
 * Owner: the shard's store, as blocks of one profile (store/profile.h). All of it is plain little-endian bytes without
 * handles or pointers, so that snapshot, merge and state hash copy it as it is. Structs have no padding. */
#ifndef HG_MODEL_STATE_H
#define HG_MODEL_STATE_H

#include "core/base/hash.h"

enum instance_state { INSTANCE_ACTIVE = 1, INSTANCE_HELD_OUT, INSTANCE_FINISHED /* still may convert */ };

/* BLOCK_JOURNEYS: instances one after the other, each `bytes` long: this head, then the trigger event and the
 * awaited events, each a MessagePack array [name, type id, second, {property index: value}]; "trigger" is the first. */
struct instance {
    uint16_t journey, version;
    uint32_t bytes;        /* of the whole record, head included */
    struct key id;         /* hash of id text at entry, journey, version, entry number: for ever */
    uint32_t entry_number; /* 1 = first */
    uint32_t entered_at;
    uint32_t due;     /* of the current wait or deferral; UINT32_MAX: none */
    uint32_t step_at; /* when the current step began */
    uint16_t step;
    uint16_t visit; /* action steps entered so far: part of the action id */
    uint8_t state;  /* enum instance_state */
    uint8_t flags;
    uint16_t attempt;      /* cascade position, deferral count */
    uint32_t deadline;     /* goal's `within`, and what else ends it by time; UINT32_MAX: none */
    uint32_t converted_at; /* 0: not (yet) */
    uint64_t key_hash;     /* keyed journeys; 0: not keyed */
    uint32_t silence_from; /* wait: {silence}: counted from here */
    uint16_t split_step;   /* 1 + the last split it went through, 0: none */
    uint16_t split_path;   /* and which way */
};
_Static_assert(sizeof(struct instance) == 72, "no padding");

/* BLOCK_JSTATS: one per (profile, journey) ever entered or decided, sorted by journey. */
struct journey_memory {
    uint16_t journey;
    uint16_t reason; /* last decision, journey/walk.h enum decision */
    uint32_t decided_at;
    uint32_t entries; /* how often entered */
    uint32_t last_entry;
    uint32_t last_end;
    uint32_t detail; /* meaning by reason */
};
_Static_assert(sizeof(struct journey_memory) == 24, "no padding");

enum message_state {
    MESSAGE_CREATED = 1,
    MESSAGE_DELIVERED = 2,
    MESSAGE_OPENED = 4,
    MESSAGE_CLICKED = 8,
    MESSAGE_REPLIED = 16,
    MESSAGE_BOUNCED = 32,
    MESSAGE_FAILED = 64,
    MESSAGE_COMPLAINED = 128,
    MESSAGE_SUPPRESSED = 256,
    MESSAGE_UNCAPPED = 1024 /* transactional: outside the caps */
};

/* BLOCK_SENDS: the last SENDS_KEPT_MAX sends, oldest first. */
struct send {
    struct key action_id;
    struct key instance;
    uint32_t at;
    uint16_t journey, version;
    uint16_t step;
    uint16_t channel;
    uint16_t state;  /* enum message_state bits */
    uint16_t reason; /* suppressed: why */
};
_Static_assert(sizeof(struct send) == 48, "no padding");

/* BLOCK_CONSENT: one per (channel, topic); topic 0 is the channel itself. */
struct consent {
    uint16_t channel;
    uint16_t state; /* enum consent_state */
    uint32_t topic; /* low 32 bits of hash64_plain(topic name) */
    uint32_t at;
    uint32_t source; /* low 32 bits of hash64_plain(source text) */
};
enum consent_state { CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_GRANTED, CONSENT_CONFIRMED, CONSENT_BLOCKED };

/* BLOCK_MEMBERS: current segments, sorted by id; and what `left()` needs of former ones (member == 0). */
struct membership {
    uint16_t segment;
    uint16_t member;
    uint32_t since; /* entered at, or left at */
};

#endif
