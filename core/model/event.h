/* event.h - one Segment message, decoded once by the pull cursor: who, what, when, and the declared fields.
 * Owner: the batch; slices and values point into the raw bytes. Memory: property arrays from the batch's arena.
 * Fails: with a reject reason; the record is then counted, kept among the rejects, and nothing else happens.
 * The same function reads a live record and one from the log, so both reject alike. */
#ifndef HG_MODEL_EVENT_H
#define HG_MODEL_EVENT_H

#include "core/model/schema.h"
#include "core/model/shape.h"

/* One row per reason: X(name, text in stats and tail). */
#define REJECT_REASONS(X)                                                                                    \
    X(NONE, "none")                                                                                          \
    X(NOT_A_MAP, "not_a_map")                                                                                \
    X(MALFORMED, "malformed") /* wrong types in the envelope, duplicate, non-text or long keys */            \
    X(TOO_LARGE, "too_large")                                                                                \
    X(TOO_DEEP, "too_deep")                                                                                  \
    X(TOO_MANY_KEYS, "too_many_keys")                                                                        \
    X(NO_ID, "no_id")                                                                                        \
    X(BAD_ID, "bad_id") /* empty, too long, control characters, not UTF-8 */                                 \
    X(BAD_UTF8, "bad_utf8")                                                                                  \
    X(BAD_TYPE, "bad_type") /* `type` missing or unknown */                                                  \
    X(NO_EVENT, "no_event")                                                                                  \
    X(BAD_TIME, "bad_time")                                                                                  \
    X(BAD_NUMBER, "bad_number") /* NaN, infinity, out of range where a number is declared */                 \
    X(BAD_TAG, "bad_tag")                                                                                    \
    X(BAD_ENTRY, "bad_entry")   /* Forward entry that is not [time, map] */                                  \
    X(UNDECLARED, "undeclared") /* strict only */                                                            \
    X(MEMORY, "memory")

enum reject {
#define X(name, text) REJECT_##name,
    REJECT_REASONS(X)
#undef X
        REJECT_COUNT
};
const char *reject_text(enum reject r);

enum event_call { CALL_TRACK, CALL_IDENTIFY, CALL_PAGE, CALL_SCREEN, CALL_GROUP, CALL_ALIAS };

struct event_trait {
    uint16_t attribute;
    struct value value; /* fitted to the declared type; V_NULL removes */
};

struct event {
    struct slice raw;
    uint8_t call;
    uint8_t key_kind; /* enum id_kind: which id addresses the person */
    bool has_own_time;
    bool context_inactive;  /* context.active == false: last_seen stays */
    uint16_t type;          /* event type id, or ID_NONE: undeclared (see name) */
    uint16_t key_attribute; /* for ID_TRAIT: which attribute */
    struct slice user_id, anonymous_id, previous_id, message_id, name, key_text;
    struct key key;           /* of user_id, else anonymous_id, else an identifying trait */
    struct key anonymous_key; /* zero if none; equal to key when no user id was sent */
    int64_t own_ms;  /* `timestamp` (or originalTimestamp), else the Forward entry's time: exactly as sent */
    int64_t sent_ms; /* `sentAt`, 0 if none: corrects the clock of the sender */
    uint64_t message_hash; /* of messageId, else of user, type, body and entry time */
    struct value *props; /* by property index of the type; V_NONE where not sent; NULL if the type has none */
    struct event_trait
        *traits; /* declared attributes from traits / context.traits / context.timezone, locale */
    uint32_t trait_count;
    uint32_t dropped_props;                       /* of the wrong type */
    struct slice properties, context, traits_raw; /* raw maps, empty if absent */
    struct value consent;                         /* traits.consent as V_RAW, V_NONE if absent */
};

/* Scratch that one event may take: properties, traits, ids sent as numbers. */
enum { EVENT_SCRATCH_BYTES_MAX = PROPS_PER_EVENT_MAX * 16 + (2 * MAP_KEYS_MAX + 2) * 24 + 256 };

/* entry_ms: the Forward entry's time in ms, or 0 if it had none. CHECKs that scratch has room.
 * Kind to what real SDKs send: snake_case names of the envelope, ids as integers (their decimal text), "" and nil as
 * absent ids, nil as an absent property, [] as an empty map, times as ISO-8601 text, seconds, milliseconds or timestamp
 * extensions. alias: previousId is the anonymous id that joins userId. Attributes come from traits (identify, group; a
 * group's identifying ones do not count), then context.traits, then context.timezone and context.locale (attributes
 * "timezone", "language"); the first that names an attribute stands. An unreadable sentAt counts as absent.
 * With REJECT_NO_ID all else is filled in: an outcome may still be found by its action_id. */
enum reject event_parse(const struct schema *schema, const struct hash_secret *secret, struct slice raw,
                        int64_t entry_ms, struct arena *scratch, struct event *out);
/* What recent messages looked like (shape.h). Zero-initialise; the schemas it has seen must
 * outlive it. */
enum { SHAPE_TYPES = 32, SHAPE_NAMES = 32 };
struct event_shape {
    struct shape_map top, context, undeclared;
    struct {
        const struct schema_event *type;
        struct shape_map keys;
    } properties[SHAPE_TYPES];
    struct shape_name {
        const struct schema *schema;
        const struct schema_event *type;
        struct name_ends ends;
        uint32_t n;
    } names[SHAPE_NAMES]; /* of events, by hash: those of at most sixteen bytes, which their ends tell */
    struct iso8601_minute minute;
};

/* The same as event_parse, and cheaper by half. shape may be NULL. */
enum reject event_parse_shaped(const struct schema *schema, const struct hash_secret *secret,
                               struct event_shape *shape, struct slice raw, int64_t entry_ms,
                               struct arena *scratch, struct event *out);

/* The same for a message at the front of `bytes` whose end is not known yet: out->raw is the message. A reason to refuse
 * may be another one than that of event_parse, which must then be asked with the message alone. */
enum reject event_parse_front(const struct schema *schema, const struct hash_secret *secret,
                              struct event_shape *shape, struct slice bytes, int64_t entry_ms,
                              struct arena *scratch, struct event *out);
bool event_context_at(const struct event *e, struct slice path, struct slice *item); /* its undecoded bytes */
/* A field of the event's context by dotted path ("campaign.source"); V_NONE if absent. */
struct value event_context(const struct event *e, struct slice path);
/* Any property by name, declared or not. */
struct value event_property(const struct event *e, struct slice name);

#endif
