/* versions.c - definitions.text: the files of a former version, as they were applied. */
#include "io/introspect.h"

static void pack_set(pk_t *pk, const struct defset *set)
{
    pk_map(pk, 3);
    pk_key_uint(pk, "version", set->version);
    pk_text(pk, "hash");
    pk_hex(pk, set->hash);
    pk_text(pk, "files");
    pk_map(pk, set->file_count);
    for (uint32_t i = 0; i < set->file_count; i++) {
        pk_slice(pk, set->files[i].name);
        pk_slice(pk, set->files[i].text);
    }
}

/* Its bundle is on disk as long as the data directory lives; it is compiled again only to be read. */
static struct defset *read_version(struct engine *e, uint32_t version)
{
    struct buf bundle = {0};
    struct key hash;
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = NULL;
    if (datadir_get_definitions(&e->workers[0].dir, version, &hash, &bundle) == PERSIST_OK)
        set = defset_from_bundle(buf_slice(&bundle), NULL, &d);
    diagnostics_free(&d);
    buf_free(&bundle);
    return set;
}

void method_definitions_text(struct request *r)
{
    uint64_t version;
    if (!param_uint(r, 0, "version", &version) || version > UINT32_MAX) {
        request_bad(r, "version is a number");
        return;
    }
    struct defset *set = read_version(r->engine, (uint32_t)version);
    if (!set) {
        request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no version %llu of the definitions",
                     (unsigned long long)version);
        return;
    }
    pack_set(&r->pack, set);
    defset_free(set);
    request_reply(r);
}
