/* export.c - profile.export: people with everything the engine keeps of them, a page at a time, for dry runs and for
 * taking data out. Reads only. People come by shard and slot; one page is of one shard, and `next` leads to the next one.
 * A person who moves between pages (a merge) may come twice or not at all: the answer is of many moments, not of one. */
#include "core/journey/parts.h"
#include "io/introspect.h"
#include "io/lookup.h"

#include <stdlib.h>

enum {
    PEOPLE_DEFAULT = 256,
    PEOPLE_MAX = 4096,
    PAGE_BYTES = 1 << 20,
    ROWS_PER_PAGE = 1 << 16,
    TYPES_MAX = 256
};

struct page {
    struct call call;
    struct request *request;
    uint32_t shard, row, limit;
};

struct exporting {
    pk_t *pk;
    struct store *store;
    const struct defset *set;
    row_t row;
};

/* ---- one person --------------------------------------------------------------------------------------- */

/* {name: [value, the second it is from]} */
static void pack_attributes(struct exporting *x)
{
    uint32_t n = 0;
    pk_text(x->pk, "attributes");
    size_t at = pk_open(x->pk, PK_MAP);
    for (uint32_t i = 0; i < x->set->schema.attribute_count; i++) {
        const struct schema_attribute *a = &x->set->schema.attributes[i];
        struct value v = a->live ? attribute_get(x->store, x->row, (uint16_t)i) : value_none();
        if (v.kind == V_NONE || v.kind == V_NULL) continue;
        pk_slice(x->pk, a->name);
        pk_list(x->pk, 2);
        value_write(v, x->pk->data);
        pk_uint(x->pk, attribute_time(x->store, x->row, (uint16_t)i));
        n++;
    }
    pk_close(x->pk, at, n);
}

/* Of whole channels; a topic is kept as a hash of its name, which cannot be turned back: those are only counted. */
static void pack_consent(struct exporting *x)
{
    static const char *const STATES[] = {"unknown", "denied", "granted", "confirmed", "blocked"};
    uint32_t bytes, n = 0, topics = 0;
    const struct consent *list = (const void *)store_block(x->store, x->row, BLOCK_CONSENT, &bytes);
    pk_text(x->pk, "consent");
    size_t at = pk_open(x->pk, PK_MAP);
    for (uint32_t i = 0; i < bytes / sizeof *list; i++) {
        bool named = list[i].channel < x->set->journeys.channel_count &&
                     x->set->journeys.channels[list[i].channel].name.n && list[i].state < 5;
        topics += list[i].topic != 0;
        if (list[i].topic || !named) continue;
        pk_slice(x->pk, x->set->journeys.channels[list[i].channel].name);
        pk_text(x->pk, STATES[list[i].state]);
        n++;
    }
    pk_close(x->pk, at, n);
    pk_key_uint(x->pk, "consent_topics", topics);
}

static void pack_properties(struct exporting *x, const struct history_view *h, uint32_t entry)
{
    uint32_t n = 0;
    size_t at = pk_open(x->pk, PK_MAP);
    for (uint32_t i = 0; h->cells && i < h->type->prop_count; i++) {
        const struct schema_prop *p = &h->type->props[i];
        struct value v = p->live ? cell_value(history_cell_at(h, entry, i), p->type, h->heap) : value_none();
        if (v.kind == V_NONE) continue;
        pk_slice(x->pk, p->name);
        value_write(v, x->pk->data);
        n++;
    }
    pk_close(x->pk, at, n);
}

/* {name: [[second, {property: value}] ...]}, oldest first; what folded into days or was never declared is only counted. */
static void pack_events(struct exporting *x)
{
    uint16_t types[TYPES_MAX];
    uint32_t count = behaviour_types(x->store, x->row, types, TYPES_MAX), n = 0;
    uint64_t folded = 0, undeclared = 0;
    pk_text(x->pk, "events");
    size_t at = pk_open(x->pk, PK_MAP);
    for (uint32_t i = 0; i < count && i < TYPES_MAX; i++) {
        struct history_view h;
        const struct schema_event *e = schema_event(&x->set->schema, types[i]);
        if (!behaviour_view(x->store, x->row, types[i], &h)) continue;
        if (!e || !e->live) {
            undeclared += h.count;
            continue;
        }
        folded += h.count - (h.n < h.count ? h.n : h.count);
        pk_slice(x->pk, e->name);
        pk_list(x->pk, h.n);
        for (uint32_t k = 0; k < h.n; k++) {
            pk_list(x->pk, 2);
            pk_uint(x->pk, history_time(&h, k));
            if (h.type)
                pack_properties(x, &h, k);
            else
                pk_map(x->pk, 0);
        }
        n++;
    }
    pk_close(x->pk, at, n);
    pk_key_uint(x->pk, "folded", folded);
    pk_key_uint(x->pk, "undeclared", undeclared);
}

static void pack_lists(struct exporting *x)
{
    uint32_t n = 0;
    pk_text(x->pk, "lists");
    size_t at = pk_open(x->pk, PK_LIST);
    for (uint32_t i = 0; i < x->set->journeys.list_count; i++) {
        if (!list_has(x->store, x->row, (uint16_t)i)) continue;
        pk_slice(x->pk, x->set->journeys.lists[i]);
        n++;
    }
    pk_close(x->pk, at, n);
}

static void pack_person(struct exporting *x)
{
    const struct row *row = store_row(x->store, x->row);
    pk_map(x->pk, 11);
    pack_ids(x->pk, x->store, x->row);
    pk_text(x->pk, "key");
    pk_hex(x->pk, row->key);
    pack_attributes(x);
    pack_consent(x);
    pack_events(x);
    pack_lists(x);
    pk_key_uint(x->pk, "first_seen", row->first_seen);
}

/* ---- a page -------------------------------------------------------------------------------------------- */

/* On the worker of the shard. p->row is where the next page begins; behind the last row: the next shard. */
static enum call_state fill_page(struct worker *w, struct call *c)
{
    struct page *p = c->owner;
    struct shard *s = w->engine->shards[p->shard];
    struct request *r = p->request;
    struct exporting x = {&r->pack, shard_store(s), shard_definitions(s), ROW_NONE};
    uint32_t n = 0, until = p->row + ROWS_PER_PAGE;
    pk_map(&r->pack, 3);
    pk_text(&r->pack, "people");
    size_t at = pk_open(&r->pack, PK_LIST);
    for (; p->row < x.store->row_limit && p->row < until && n < p->limit && r->result.n < PAGE_BYTES;
         p->row++) {
        if (!(x.store->rows[p->row].flags & ROW_USED)) continue;
        x.row = (row_t){p->row};
        pack_person(&x);
        n++;
    }
    pk_close(&r->pack, at, n);
    if (p->row >= x.store->row_limit) p->shard++, p->row = 0;
    pk_key_uint(&r->pack, "as_of", shard_now(s) > w->now ? shard_now(s) : w->now);
    return CALL_HELD;
}

static void page_filled(struct call *c)
{
    struct page *p = c->owner;
    struct request *r = p->request;
    pk_text(&r->pack, "next");
    p->shard < LOGICAL_SHARDS ? pk_uint(&r->pack, (uint64_t)p->shard << 32 | p->row) : pk_nil(&r->pack);
    free(p);
    request_reply(r);
}

void method_profile_export(struct request *r)
{
    uint64_t after = 0, limit = PEOPLE_DEFAULT;
    param_uint(r, 0, "after", &after);
    param_uint(r, 1, "limit", &limit);
    if (after >> 32 >= LOGICAL_SHARDS || limit == 0) {
        request_bad(r, "after is the `next` of the page before, limit at least 1");
        return;
    }
    struct page *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    *p = (struct page){.call = {.run = fill_page, .done = page_filled, .owner = p},
                       .request = r,
                       .shard = (uint32_t)(after >> 32),
                       .row = (uint32_t)after,
                       .limit = (uint32_t)(limit < PEOPLE_MAX ? limit : PEOPLE_MAX)};
    call_post(&r->engine->workers[engine_owner(r->engine, p->shard)], &p->call);
}
