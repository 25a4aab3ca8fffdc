#include "core/define/registry.h"
#include "core/base/hash.h"

enum { SLOTS_FIRST = 256 };

struct registry *registry_new(struct arena *a)
{
    struct registry *r = ARENA_NEW(a, struct registry);
    r->arena = a;
    r->mask = SLOTS_FIRST - 1;
    r->slots = ARENA_ARRAY(a, uint32_t, SLOTS_FIRST);
    r->next_id[REG_EVENT] = TYPE_DECLARED_BASE; /* below are the predeclared ones */
    return r;
}

static uint32_t place(const struct registry *r, enum registry_kind kind, uint16_t within, struct slice name)
{
    uint64_t h = hash64_plain(name.p, name.n) ^ ((uint64_t)kind << 32 | (uint64_t)within << 40);
    return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 32) & r->mask;
}

static bool is(const struct registry_entry *e, enum registry_kind kind, uint16_t within, struct slice name)
{
    return e->kind == kind && e->within == within && slice_eq(e->name, name);
}

static void put_slot(struct registry *r, uint32_t index)
{
    const struct registry_entry *e = r->list[index];
    uint32_t i = place(r, e->kind, e->within, e->name);
    while (r->slots[i]) i = (i + 1) & r->mask;
    r->slots[i] = index + 1;
}

static void append(struct registry *r, struct registry_entry *e)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 64;
        struct registry_entry **list = ARENA_ARRAY(r->arena, struct registry_entry *, r->capacity);
        if (r->count) memcpy(list, r->list, sizeof *list * r->count);
        r->list = list;
    }
    r->list[r->count++] = e;
    if (r->count * 2 <= r->mask) {
        put_slot(r, r->count - 1);
        return;
    }
    r->mask = r->mask * 2 + 1;
    r->slots = ARENA_ARRAY(r->arena, uint32_t, r->mask + 1);
    for (uint32_t i = 0; i < r->count; i++) put_slot(r, i);
}

struct registry_entry *registry_find(const struct registry *r, enum registry_kind kind, uint16_t within,
                                     struct slice name)
{
    for (uint32_t i = place(r, kind, within, name); r->slots[i]; i = (i + 1) & r->mask) {
        struct registry_entry *e = r->list[r->slots[i] - 1];
        if (e->live && is(e, kind, within, name)) return e;
    }
    return NULL;
}

uint16_t registry_limit(const struct registry *r, enum registry_kind kind, uint16_t within)
{
    if (kind != REG_PROPERTY) return r->next_id[kind];
    uint16_t n = 0;
    for (uint32_t i = 0; i < r->count; i++)
        n += r->list[i]->kind == REG_PROPERTY && r->list[i]->within == within;
    return n;
}

static uint16_t next_id(struct registry *r, enum registry_kind kind, uint16_t within)
{
    static const uint16_t most[REG_KINDS] = {[REG_EVENT] = TYPE_UNDECLARED_BASE - 1,
                                             [REG_PROPERTY] = PROPS_PER_EVENT_MAX,
                                             [REG_ATTRIBUTE] = 0xfff0,
                                             [REG_SEGMENT] = 0xfff0,
                                             [REG_LIST] = 0xfff0,
                                             [REG_CHANNEL] = 0xfff0,
                                             [REG_JOURNEY] = 0xfff0};
    uint16_t id = registry_limit(r, kind, within);
    if (id >= most[kind]) return ID_NONE;
    if (kind != REG_PROPERTY) r->next_id[kind]++;
    return id;
}

struct registry_entry *registry_add(struct registry *r, enum registry_kind kind, uint16_t within,
                                    struct slice name, uint8_t type)
{
    bool typed = kind == REG_PROPERTY || kind == REG_ATTRIBUTE;
    for (uint32_t i = place(r, kind, within, name); r->slots[i]; i = (i + 1) & r->mask) {
        struct registry_entry *e = r->list[r->slots[i] - 1];
        if (!is(e, kind, within, name) || (typed && e->type != type)) continue;
        e->live = true;
        return e;
    }
    uint16_t id = next_id(r, kind, within);
    if (id == ID_NONE) return NULL;
    struct registry_entry *e = ARENA_NEW(r->arena, struct registry_entry);
    *e = (struct registry_entry){.name = arena_slice(r->arena, name),
                                 .kind = (uint8_t)kind,
                                 .type = type,
                                 .live = true,
                                 .id = id,
                                 .within = within};
    append(r, e);
    return e;
}

struct registry *registry_copy(const struct registry *from, struct arena *a)
{
    struct registry *r = registry_new(a);
    memcpy(r->next_id, from->next_id, sizeof r->next_id);
    for (uint32_t i = 0; i < from->count; i++) {
        struct registry_entry *e = ARENA_NEW(a, struct registry_entry);
        *e = *from->list[i];
        e->name = arena_slice(a, e->name);
        e->live = false;
        e->node = NULL;
        e->shape = NULL;
        append(r, e);
    }
    return r;
}

struct slice registry_nearest(const struct registry *r, enum registry_kind kind, uint16_t within,
                              struct slice name)
{
    struct slice found = {0};
    uint32_t best = name.n < 4 ? 1 : name.n / 3;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct registry_entry *e = r->list[i];
        if (!e->live || e->kind != kind || e->within != within) continue;
        uint32_t distance = text_distance(name, e->name, best);
        if (distance > best || (found.n && distance == best)) continue;
        best = distance;
        found = e->name;
    }
    return found;
}

void registry_write(const struct registry *r, struct buf *out)
{
    buf_put_le32(out, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct registry_entry *e = r->list[i];
        buf_put_u8(out, e->kind);
        buf_put_u8(out, e->type);
        buf_put_u8(out, e->live);
        buf_put_u8(out, 0);
        buf_put_le16(out, e->id);
        buf_put_le16(out, e->within);
        buf_put_le16(out, e->version);
        buf_put_le16(out, 0);
        buf_put_le64(out, e->text_hash);
        buf_put_le32(out, e->name.n);
        buf_put_slice(out, e->name);
    }
}

struct registry *registry_read(struct reader *in, struct arena *a)
{
    struct registry *r = registry_new(a);
    uint32_t count = read_le32(in);
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        struct registry_entry *e = ARENA_NEW(a, struct registry_entry);
        e->kind = read_u8(in);
        e->type = read_u8(in);
        e->live = read_u8(in);
        read_u8(in);
        e->id = read_le16(in);
        e->within = read_le16(in);
        e->version = read_le16(in);
        read_le16(in);
        e->text_hash = read_le64(in);
        uint32_t length = read_le32(in);
        e->name = arena_slice(a, read_slice(in, length));
        if (in->bad || e->kind >= REG_KINDS || e->id == ID_NONE) return NULL;
        if (e->kind != REG_PROPERTY && e->id >= r->next_id[e->kind])
            r->next_id[e->kind] = (uint16_t)(e->id + 1);
        append(r, e);
    }
    return in->bad ? NULL : r;
}
