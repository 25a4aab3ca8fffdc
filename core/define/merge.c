/* merge.c - the blocks of all files as one tree: any block may stand in any file. */
#include "core/define/compile.h"

/* Events, attributes, channels and segments may be written down again where they are used, if they say the same. */
static bool may_repeat(const char *block)
{
    return word_in(slice_str(block), "events|attributes|channels|segments", NULL);
}

static void report_twice(struct compile *c, struct node *again, const struct node *first, const char *what,
                         struct slice name)
{
    report_node(c->d, again, "%s '%.*s' is defined twice: also in %.*s:%u", what, SHOWN(name),
                SHOWN(first->file->name), line_of(first->file, first->at));
    report_fix(c->d, "keep one of them%s", may_repeat(what) ? ", or make both equal" : "");
}

static struct node *key_of(const struct node *map, const struct node *value)
{
    uint32_t i = 0;
    while (node_value(map, i) != value) i++;
    return node_key(map, i);
}

static void merge_named(struct compile *c, struct node *into, struct key_index *index, struct node *from,
                        const char *block)
{
    for (uint32_t i = 0; i < from->count; i++) {
        struct node *key = node_key(from, i), *value = node_value(from, i);
        if (key->bad) continue;
        into->list[2 * into->count] = key; /* there is room for all */
        into->list[2 * into->count + 1] = value;
        uint32_t at = key_index_put(index, into, into->count);
        if (at == into->count) {
            into->count++;
        } else if (!may_repeat(block) || !node_same(node_value(into, at), value)) {
            report_twice(c, key, node_key(into, at), block, key->text);
        }
    }
}

static void merge_list(struct node *into, const struct node *from)
{
    for (uint32_t i = 0; i < from->count; i++) into->list[into->count++] = from->list[i];
}

static uint32_t children(struct node *const *roots, uint32_t count, const char *block)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct node *value = roots[i] ? get(roots[i], block) : NULL;
        if (value) n += value->count;
    }
    return n;
}

static struct node *empty_like(struct compile *c, const struct node *first, uint32_t capacity)
{
    struct node *n = ARENA_NEW(c->scratch, struct node);
    *n = *first;
    n->count = 0;
    n->list = ARENA_ARRAY(c->scratch, struct node *, 2 * capacity + 2);
    return n;
}

/* One block out of all files. */
static struct node *merge_block(struct compile *c, const struct key_row *row, struct node *const *roots,
                                uint32_t count, struct node **key)
{
    struct node *merged = NULL;
    bool named = row->shape.values, list = row->shape.item;
    struct key_index index = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct node *value = roots[i] ? get(roots[i], row->name) : NULL;
        if (!value || (value->kind == NODE_SCALAR && (named || list)))
            continue; /* `segments:` with nothing below */
        if (!merged) {
            uint32_t most = named || list ? children(roots, count, row->name) : 0;
            *key = key_of(roots[i], value);
            merged = named || list ? empty_like(c, value, most) : value;
            if (named) index = key_index_new(most, c->scratch);
        }
        if (named)
            merge_named(c, merged, &index, value, row->name);
        else if (list)
            merge_list(merged, value);
        else if (merged != value && !node_same(merged, value))
            report_twice(c, value, merged, "the block", slice_str(row->name));
    }
    return merged;
}

struct node *merge_files(struct compile *c, struct node *const *roots, uint32_t count)
{
    struct node *root = ARENA_NEW(c->scratch, struct node);
    root->kind = NODE_MAPPING;
    uint32_t rows = 0;
    for (const struct key_row *row = definition_block.keys; row->name; row++) rows++;
    root->list = ARENA_ARRAY(c->scratch, struct node *, 2 * rows);
    for (const struct key_row *row = definition_block.keys; row->name; row++) {
        struct node *key = NULL, *value = merge_block(c, row, roots, count, &key);
        if (!value) continue;
        root->list[2 * root->count] = key;
        root->list[2 * root->count++ + 1] = value;
    }
    return root;
}
