/* schema.h - what arrives and what is remembered: the compiled form of `events` and `attributes`.
 * Owner: a definitions set; immutable and shared by all shards once built.
 * Ids are given once and never reused (the registry travels with the definitions bundle), so that state written
 * under one version reads under the next: event type ids, property indices within a type (append-only; a change
 * of type is a new index), attribute ids, segment ids, journey ids, channel ids. */
#ifndef HG_MODEL_SCHEMA_H
#define HG_MODEL_SCHEMA_H

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/limits.h"
#include "core/model/value.h"

enum { ID_NONE = 0xffff, TYPE_UNDECLARED_BASE = 0x8000 /* + index of the name in the shard's own list */ };

/* Predeclared types have fixed ids; declared ones follow from TYPE_DECLARED_BASE. */
enum {
    TYPE_PAGE,
    TYPE_SCREEN,
    TYPE_IDENTIFY,
    TYPE_GROUP,
    TYPE_ALIAS,
    TYPE_DELIVERED,
    TYPE_OPENED,
    TYPE_CLICKED,
    TYPE_REPLIED,
    TYPE_BOUNCED,
    TYPE_FAILED,
    TYPE_COMPLAINED,
    TYPE_SHOWN,
    TYPE_DISMISSED,
    TYPE_UNSUBSCRIBED,
    TYPE_DECLARED_BASE = 16
};

struct schema_prop {
    struct slice name;
    struct slice from; /* "context.campaign.source" without "context."; empty: properties.<name> */
    uint8_t type;      /* enum declared_type */
    bool coerce;
    bool live; /* false: only here because older state has it */
};

struct prop_slot {
    uint64_t first, last; /* the name's ends, see schema.c */
    uint32_t n;           /* its length */
    uint32_t prop;        /* ID_NONE: empty slot */
};

struct schema_event {
    struct slice name;
    uint16_t id;
    uint16_t prop_count; /* also the number of 8-byte cells in a history entry */
    struct schema_prop *props;
    uint32_t keep_s; /* history older than this is dropped */
    uint32_t cap;    /* entries kept exactly; beyond it the oldest fold into day buckets */
    uint32_t late_s; /* older than this: may end journeys, starts none */
    bool activity;   /* moves last_seen */
    bool plain;      /* history holds time and hash only */
    bool broadcast;
    bool live;
    /* built by schema_index: open addressing over the live properties that are read from `properties`, and how many
     * are read from the context */
    struct prop_slot *prop_slots; /* NULL: not indexed, names are compared one by one */
    uint16_t prop_mask;
    uint16_t from_count;
};

struct schema_attribute {
    struct slice name;
    uint16_t id;
    uint8_t type;
    bool identifies; /* a look-up key of the person: index of identity links by ID_TRAIT + id */
    bool live;
    bool keep_first;
    uint16_t history;             /* how many old values are kept */
    struct slice (*normalize)[2]; /* pairs from -> to; event_parse and the step `set` apply them */
    uint16_t normalize_count;
};
/* The text as it is kept: what `normalize` makes of it. */
struct slice attribute_spelling(const struct schema_attribute *attribute, struct slice text);

struct schema {
    struct schema_event *events;         /* by id; gaps have id == ID_NONE */
    uint32_t event_count;                /* highest id + 1 */
    struct schema_attribute *attributes; /* by id */
    uint32_t attribute_count;
    uint16_t timezone, language; /* text attributes that context.timezone, context.locale set; ID_NONE */
    bool strict;                 /* undeclared events are rejected */
    uint32_t anonymous_ttl_s, known_ttl_s; /* 0: never */
    /* name -> id: open addressing, built by schema_index */
    struct schema_name {
        struct slice name;
        uint16_t id;
        uint16_t kind;
    } * names; /* name.p == NULL: empty slot */
    uint32_t name_mask;
};

enum name_kind { NAME_EVENT, NAME_ATTRIBUTE };

/* Writes TYPE_DECLARED_BASE entries, gaps included: page, screen, identify, group, alias (plain, 90 days) and the
 * outcomes with action_id, channel, machine, hard (180 days, not activity). Names and properties are static: whoever
 * adds properties copies the array. */
void schema_predeclare(struct schema_event *events);
/* Segment's own names of outcomes. schema_index knows them by itself; they give way to a declared event or alias. */
extern const struct schema_name SCHEMA_ALIASES[];
extern const uint32_t SCHEMA_ALIAS_COUNT;
/* The predeclared events and nothing else, indexed. */
struct schema *schema_minimal(struct arena *a);

/* Builds the name table and every event's prop_slots; call it last. CHECKs at most PROPS_PER_EVENT_MAX properties an
 * event. Aliases (`also`) are further names of the same event: passed beside the schema. Only what is live is found. */
void schema_index(struct schema *s, const struct schema_name *also, uint32_t also_count, struct arena *a);
uint16_t schema_find(const struct schema *s, enum name_kind kind, struct slice name); /* ID_NONE if unknown */
/* A name by its two ends: eight bytes each, overlapping when it is shorter than sixteen; below eight bytes `first` alone
 * holds it. Together with the length that is the whole name up to sixteen bytes.
 * The tables hold only declared names, so a stranger's name costs a probe or two whatever it is, and a cheap hash does. */
struct name_ends {
    uint64_t first, last;
};

static inline struct name_ends name_ends_of(struct slice name)
{
    const uint8_t *p = name.p;
    if (name.n >= 8) return (struct name_ends){load_le64(p), load_le64(p + name.n - 8)};
    if (name.n >= 4) return (struct name_ends){load_le32(p) | (uint64_t)load_le32(p + name.n - 4) << 32, 0};
    if (name.n)
        return (struct name_ends){p[0] | (uint64_t)p[name.n / 2] << 8 | (uint64_t)p[name.n - 1] << 16, 0};
    return (struct name_ends){0, 0};
}

static inline uint32_t name_ends_hash(struct name_ends e, uint32_t n, uint32_t salt)
{
    uint64_t h = e.first ^ (e.last << 21 | e.last >> 43);
    return (uint32_t)((h + n + salt) * 0x9e3779b97f4a7c15ull >> 40);
}

uint16_t schema_prop_find_slowly(const struct schema_event *e, struct slice name);
/* Index of a live property read from `properties`, ID_NONE if there is none of that name. */
static inline uint16_t schema_prop_find(const struct schema_event *e, struct slice name)
{
    if (!e->prop_slots) return schema_prop_find_slowly(e, name);
    struct name_ends ends = name_ends_of(name);
    for (uint32_t i = name_ends_hash(ends, name.n, 0);; i++) {
        const struct prop_slot *slot = &e->prop_slots[i & e->prop_mask];
        if (slot->prop == ID_NONE) return ID_NONE;
        if (slot->first != ends.first || slot->last != ends.last || slot->n != name.n) continue;
        if (name.n <= 16 || slice_eq(e->props[slot->prop].name, name)) return (uint16_t)slot->prop;
    }
}
static inline const struct schema_event *schema_event(const struct schema *s, uint32_t type)
{
    return type < s->event_count && s->events[type].id != ID_NONE ? &s->events[type] : NULL;
}

#endif
