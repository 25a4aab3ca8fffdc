#include "io/lookup.h"

#include <stdlib.h>

enum { HOPS_MAX = 4 };

struct lookup {
    struct call call;
    struct request *request;
    enum call_state (*visit)(struct request *r, const struct person_at *p);
    struct key key; /* being looked for now */
    uint32_t count, next, hops;
    enum found found;
    struct key candidates[]; /* a user id, an anonymous one, and each attribute that identifies */
};

static void try_next(struct lookup *l);

static void add(struct lookup *l, uint32_t kind, struct slice text)
{
    if (text.n && text.n <= ID_BYTES_MAX)
        l->candidates[l->count++] = hash_id(&l->request->engine->dir.secret, kind, text);
}

static bool starts_with(struct slice s, struct slice prefix, struct slice *rest)
{
    if (s.n <= prefix.n || s.p[prefix.n] != ':' || memcmp(s.p, prefix.p, prefix.n) != 0) return false;
    *rest = slice_of(s.p + prefix.n + 1, s.n - prefix.n - 1);
    return true;
}

static void add_candidates(struct lookup *l, const struct schema *schema, struct slice id)
{
    struct slice rest;
    if (starts_with(id, SLICE("user"), &rest)) add(l, ID_USER, rest);
    if (starts_with(id, SLICE("anon"), &rest)) add(l, ID_ANONYMOUS, rest);
    for (uint32_t i = 0; i < schema->attribute_count; i++)
        if (schema->attributes[i].identifies && starts_with(id, schema->attributes[i].name, &rest))
            add(l, ID_TRAIT + i, rest);
    if (l->count) return;
    add(l, ID_USER, id);
    add(l, ID_ANONYMOUS, id);
    for (uint32_t i = 0; i < schema->attribute_count; i++)
        if (schema->attributes[i].identifies) add(l, ID_TRAIT + i, id);
}

/* On the worker of the key. */
static enum call_state look(struct worker *w, struct call *c)
{
    struct lookup *l = c->owner;
    struct person_at p = {.worker = w, .shard = w->engine->shards[key_shard(l->key)]};
    struct key target;
    l->found = store_find(shard_store(p.shard), l->key, &p.row, &target);
    if (l->found == FOUND_LINK) l->key = target;
    return l->found == FOUND_ROW ? l->visit(l->request, &p) : CALL_DONE;
}

static void looked(struct call *c)
{
    struct lookup *l = c->owner;
    if (l->found == FOUND_ROW) {
        request_reply(l->request);
        free(l);
    } else if (l->found == FOUND_LINK && l->hops++ < HOPS_MAX) {
        struct engine *e = l->request->engine;
        call_post(&e->workers[engine_owner(e, key_shard(l->key))], &l->call);
    } else {
        try_next(l);
    }
}

static void try_next(struct lookup *l)
{
    struct engine *e = l->request->engine;
    if (l->next == l->count) {
        request_fail(l->request, ERROR_NOT_FOUND, "not_found", "nobody has this id");
        free(l);
        return;
    }
    l->key = l->candidates[l->next++];
    l->hops = 0;
    call_post(&e->workers[engine_owner(e, key_shard(l->key))], &l->call);
}

void lookup_person(struct request *r, struct slice id,
                   enum call_state (*visit)(struct request *r, const struct person_at *p))
{
    const struct schema *schema = &sets_newest(r->engine->sets)->schema;
    struct lookup *l = calloc(1, sizeof *l + (2 + schema->attribute_count) * sizeof(struct key));
    CHECK(l != NULL);
    l->request = r;
    l->visit = visit;
    l->call = (struct call){.run = look, .done = looked, .owner = l};
    add_candidates(l, schema, id);
    try_next(l);
}

void pack_ids(pk_t *pk, const struct store *s, row_t row)
{
    struct slice ids[ALIASES_MAX];
    uint32_t n = ids_anonymous(s, row, ids, ALIASES_MAX);
    pk_text(pk, "user_id");
    pk_text_or_nil(pk, ids_user(s, row));
    pk_text(pk, "anonymous_ids");
    pk_list(pk, n);
    for (uint32_t i = 0; i < n; i++) pk_slice(pk, ids[i]);
}
