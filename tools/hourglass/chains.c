/* chains.c - reading the journeys of a directory as they are written. */
#include "tools/hourglass/chains.h"

#include <stdio.h>
#include <stdlib.h>

#include "tools/hourglass/cli.h"

/* ---- reading --------------------------------------------------------------------------------------- */

static void stop_if_wrong(struct diagnostics *d, const char *dir)
{
    struct buf text = {0};
    if (!d->errors) return;
    diagnostics_print(d, &text);
    fwrite(text.p, 1, text.n, stderr);
    die(EXIT_WRONG, "%s: %u error%s", dir, d->errors, d->errors == 1 ? "" : "s");
}

static bool is_yaml(struct slice name) { return name.n > 5 && memcmp(name.p + name.n - 5, ".yaml", 5) == 0; }

static void add_journeys(struct chains *c, const struct node *root, uint32_t *capacity)
{
    const struct node *all = root && root->kind == NODE_MAPPING ? node_find(root, "journeys") : NULL;
    for (uint32_t i = 0; all && all->kind == NODE_MAPPING && i < all->count; i++) {
        if (c->count == *capacity) {
            *capacity = *capacity ? 2 * *capacity : 64;
            struct chain *more = ARENA_ARRAY(&c->arena, struct chain, *capacity);
            if (c->count) memcpy(more, c->list, c->count * sizeof *more);
            c->list = more;
        }
        c->list[c->count++] = (struct chain){node_key(all, i)->text, node_value(all, i)};
    }
}

void chains_read(const char *dir, struct chains *out)
{
    struct diagnostics d;
    uint32_t files = 0, capacity = 0;
    *out = (struct chains){0};
    arena_init(&out->arena);
    diagnostics_init(&d);
    struct source_file *sources = sources_read(dir, &files, &d);
    stop_if_wrong(&d, dir);
    struct defset *set = defset_check(sources, files, NULL, NULL, &d);
    stop_if_wrong(&d, dir);
    defset_free(set);
    for (uint32_t i = 0; i < files; i++) {
        struct source_file *copy = ARENA_NEW(&out->arena, struct source_file);
        *copy = (struct source_file){arena_slice(&out->arena, sources[i].name),
                                     arena_slice(&out->arena, sources[i].text)};
        if (is_yaml(copy->name)) add_journeys(out, yaml_parse(copy, &out->arena, &d), &capacity);
    }
    diagnostics_free(&d);
}

void chains_free(struct chains *c) { arena_free(&c->arena); }

/* ---- text ------------------------------------------------------------------------------------------ */

static bool holds_steps(struct slice key)
{
    static const char *const KEYS[] = {"then", "else", "paths", "cases", "default", "any", "steps"};
    for (uint32_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (slice_is(key, KEYS[i])) return true;
    return false;
}

void print_flow(const struct node *n, struct buf *out)
{
    uint32_t shown = 0;
    if (n->kind == NODE_SCALAR) {
        buf_put_slice(out, n->text);
        return;
    }
    bool map = n->kind == NODE_MAPPING;
    buf_put_u8(out, map ? '{' : '[');
    for (uint32_t i = 0; i < n->count; i++) {
        if (map && holds_steps(node_key(n, i)->text)) continue;
        if (shown++) buf_put_str(out, ", ");
        if (map) buf_printf(out, "%.*s: ", SHOWN(node_key(n, i)->text));
        print_flow(map ? node_value(n, i) : n->list[i], out);
    }
    buf_put_u8(out, map ? '}' : ']');
}
