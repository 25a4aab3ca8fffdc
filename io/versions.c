/* versions.c - definitions.get, .text and .history: the set in force, and what was applied before it. Every bundle is on
 * disk as long as the data directory lives; its files are read out of it, not compiled. */
#include "io/introspect.h"

static void pack_set(pk_t *pk, uint32_t version, struct key hash, const struct source_file *files,
                     uint32_t count)
{
    pk_map(pk, 3);
    pk_key_uint(pk, "version", version);
    pk_text(pk, "hash");
    pk_hex(pk, hash);
    pk_text(pk, "files");
    pk_map(pk, count);
    for (uint32_t i = 0; i < count; i++) {
        pk_slice(pk, files[i].name);
        pk_slice(pk, files[i].text);
    }
}

void method_definitions_get(struct request *r)
{
    const struct defset *set = sets_newest(r->engine->sets);
    pack_set(&r->pack, set->version, set->hash, set->files, set->file_count);
    request_reply(r);
}

/* One version that was applied once; the files lie in `a` and in `bundle`. */
struct applied {
    struct buf bundle;
    struct arena a;
    struct key hash;
    const struct source_file *files;
    uint32_t count;
};

static bool applied_read(struct engine *e, uint32_t version, struct applied *v)
{
    buf_clear(&v->bundle);
    arena_reset(&v->a);
    return datadir_get_definitions(&e->workers[0].dir, version, &v->hash, &v->bundle) == PERSIST_OK &&
           bundle_files(buf_slice(&v->bundle), &v->a, &v->files, &v->count);
}

static void applied_free(struct applied *v)
{
    arena_free(&v->a);
    buf_free(&v->bundle);
}

void method_definitions_text(struct request *r)
{
    uint64_t version;
    struct applied v = {0};
    if (!param_uint(r, 0, "version", &version) || version > UINT32_MAX) {
        request_bad(r, "version is a number");
        return;
    }
    arena_init(&v.a);
    if (applied_read(r->engine, (uint32_t)version, &v)) {
        pack_set(&r->pack, (uint32_t)version, v.hash, v.files, v.count);
        request_reply(r);
    } else {
        request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no version %llu of the definitions",
                     (unsigned long long)version);
    }
    applied_free(&v);
}

static void pack_applied(pk_t *pk, uint32_t version, const struct applied *v)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < v->count; i++) bytes += v->files[i].text.n;
    pk_map(pk, 4);
    pk_key_uint(pk, "version", version);
    pk_text(pk, "hash");
    pk_hex(pk, v->hash);
    pk_key_uint(pk, "files", v->count);
    pk_key_uint(pk, "bytes", bytes);
}

void method_definitions_history(struct request *r)
{
    uint32_t newest = sets_newest(r->engine->sets)->version, shown = 0;
    size_t at = pk_open(&r->pack, PK_LIST);
    struct applied v = {0};
    arena_init(&v.a);
    for (uint32_t version = 1; version <= newest; version++) {
        if (!applied_read(r->engine, version, &v)) continue;
        pack_applied(&r->pack, version, &v);
        shown++;
    }
    applied_free(&v);
    pk_close(&r->pack, at, shown);
    request_reply(r);
}
