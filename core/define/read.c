/* read.c - small things every reader needs: values of nodes and names. */
#include "core/define/compile.h"

/* ---- values -------------------------------------------------------------------------------- */

struct node *get(const struct node *map, const char *key)
{
    struct node *n = node_find(map, key);
    return n && !n->bad ? n : NULL;
}

bool has(const struct node *map, const char *key) { return node_find(map, key) != NULL; }

struct slice get_text(const struct node *map, const char *key)
{
    const struct node *n = get(map, key);
    return n && n->kind == NODE_SCALAR ? n->text : (struct slice){0};
}

bool get_bool(const struct node *map, const char *key, bool otherwise)
{
    const struct node *n = get(map, key);
    if (n) parse_bool(n->text, &otherwise);
    return otherwise;
}

int64_t get_integer(const struct node *map, const char *key, int64_t otherwise)
{
    const struct node *n = get(map, key);
    if (n) parse_integer(n->text, &otherwise);
    return otherwise;
}

int64_t get_seconds(const struct node *map, const char *key, int64_t otherwise)
{
    const struct node *n = get(map, key);
    if (n && slice_is(n->text, "never")) return 0;
    if (n) parse_offset(n->text, &otherwise);
    return otherwise;
}

uint32_t get_clock(const struct node *map, const char *key, uint32_t otherwise)
{
    const struct node *n = get(map, key);
    if (n) parse_clock(n->text, &otherwise);
    return otherwise;
}

uint32_t get_percent(const struct node *map, const char *key, uint32_t otherwise)
{
    const struct node *n = get(map, key);
    if (n) parse_percent(n->text, &otherwise);
    return otherwise;
}

uint32_t get_word(const struct node *map, const char *key, const char *words, uint32_t otherwise)
{
    const struct node *n = get(map, key);
    if (n && n->kind == NODE_SCALAR) word_in(n->text, words, &otherwise);
    return otherwise;
}

uint32_t item_count(const struct node *n)
{
    return !n || n->bad ? 0 : n->kind == NODE_SEQUENCE ? n->count : 1;
}

struct node *item(struct node *n, uint32_t i) { return n->kind == NODE_SEQUENCE ? n->list[i] : n; }

uint32_t positive(struct compile *c, struct node *map, const char *key)
{
    struct node *n = get(map, key);
    int64_t seconds = get_seconds(map, key, 0);
    if (n && seconds <= 0)
        report_wrong(c->d, n, "write a duration such as 30m, or leave it out",
                     "'%s' must be longer than nothing", key);
    return seconds > 0 ? (uint32_t)seconds : 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const KIND_WORDS[REG_KINDS] = {"event", "property", "attribute", "segment",
                                                  "list",  "channel",  "journey"};

uint16_t name_id(struct compile *c, enum registry_kind kind, struct node *n)
{
    if (!n || n->bad || n->kind != NODE_SCALAR) return ID_NONE;
    const struct registry_entry *e = registry_find(c->registry, kind, 0, n->text);
    if (e) return e->id;
    report_node(c->d, n, "unknown %s '%.*s'", KIND_WORDS[kind], SHOWN(n->text));
    struct slice near = registry_nearest(c->registry, kind, 0, n->text);
    if (near.n)
        report_fix(c->d, "did you mean '%.*s'?", SHOWN(near));
    else
        report_fix(c->d, "declare it under `%ss:`", KIND_WORDS[kind]);
    return ID_NONE;
}

uint16_t event_id(struct compile *c, struct node *n)
{
    if (!n || n->bad || n->kind != NODE_SCALAR) return ID_NONE;
    uint16_t id = schema_find(&c->set->schema, NAME_EVENT, n->text);
    return id != ID_NONE ? id : name_id(c, REG_EVENT, n);
}
