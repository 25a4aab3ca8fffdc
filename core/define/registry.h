/* registry.h - which name has which id, for ever: so that state written under one set reads under the next.
 * Owner: a set; it is copied into the next one and grows. Memory: the set's arena.
 * Ids are given in the order of the files and never given again; a name that comes back gets its old id.
 * Fails: registry_add returns NULL when a kind has no ids left.
 * Serialised, little-endian:
 *   u32 entries, then each: u8 kind, u8 type, u8 live, u8 0, u16 id, u16 within, u16 version, u16 0, u64 text hash,
 *   u32 length, name */
#ifndef HG_DEFINE_REGISTRY_H
#define HG_DEFINE_REGISTRY_H

#include "core/base/arena.h"
#include "core/define/yaml.h"

enum registry_kind {
    REG_EVENT,
    REG_PROPERTY,
    REG_ATTRIBUTE,
    REG_SEGMENT,
    REG_LIST,
    REG_CHANNEL,
    REG_JOURNEY,
    REG_KINDS
};

struct type;
struct registry_entry {
    struct slice name;
    uint8_t kind;
    uint8_t type; /* REG_PROPERTY, REG_ATTRIBUTE: enum declared_type; another type is another entry */
    bool live;    /* declared by this set */
    uint16_t id;
    uint16_t within;    /* REG_PROPERTY: event type */
    uint16_t version;   /* REG_JOURNEY */
    uint64_t text_hash; /* REG_JOURNEY */
    const struct type
        *shape; /* REG_PROPERTY, REG_ATTRIBUTE of this set: what a list or an object holds; NULL: open */
    struct node *node; /* where this set declares it; NULL in a finished set */
};

struct registry {
    struct arena *arena;
    struct registry_entry **list; /* in the order they were made */
    uint32_t count, capacity;
    uint32_t *slots; /* open addressing over (kind, within, name): index + 1 */
    uint32_t mask;
    uint16_t next_id[REG_KINDS]; /* properties count per event instead */
};

struct registry *registry_new(struct arena *a);
struct registry *registry_copy(const struct registry *from, struct arena *a); /* nothing live; names copied */
/* The live entry of that name; NULL if there is none. */
struct registry_entry *registry_find(const struct registry *r, enum registry_kind kind, uint16_t within,
                                     struct slice name);
/* The entry of that name and type, made if new, and live from now on. */
struct registry_entry *registry_add(struct registry *r, enum registry_kind kind, uint16_t within,
                                    struct slice name, uint8_t type);
uint16_t registry_limit(const struct registry *r, enum registry_kind kind,
                        uint16_t within); /* highest id + 1 */
/* "did you mean": the nearest live name, empty if none is near. */
struct slice registry_nearest(const struct registry *r, enum registry_kind kind, uint16_t within,
                              struct slice name);
void registry_write(const struct registry *r, struct buf *out);
struct registry *registry_read(struct reader *in, struct arena *a); /* NULL: malformed */

#endif
