/* definer.c - new definitions while everything runs: compile on worker 0, make the bundle durable, then tell every shard.
 * A worker tells its shards one after the other; what was decoded for another set is decoded anew by its shard (intake.c).
 * definitions/loaded holds the hash of what was last loaded from --definitions: only another content is applied. It is
 * gone while shards are told of the next one: if that is cut short, the next start follows the directory, whatever is there. */
#include "io/admin.h"
#include "persist/crash.h"

#include <errno.h>
#include <stdlib.h>

#define LOADED_PATH "definitions/loaded"
enum { BAD_CONFIGURATION = 78 };

struct apply {
    struct engine *engine;
    const struct defset *set;
    void (*done)(struct apply *a); /* frees it */
    struct request *request;
    definer_done *told;
    void *owner;
    struct buf messages;
    bool changed, failed;
    bool disk_failed; /* they are good, but could not be kept */
};

/* ---- on each worker ------------------------------------------------------------------------------------- */

/* One shard per turn: each evaluates all its people anew, and events go on between them. */
static enum call_state switch_shards(struct worker *w, struct part *p)
{
    const struct apply *a = p->scatter->owner;
    uint8_t payload[20];
    while (p->shard < w->shard_count && shard_definitions(w->shards[p->shard])->version >= a->set->version)
        p->shard++; /* it had switched before a crash */
    if (p->shard == w->shard_count) return CALL_HELD;
    store_le32(payload, a->set->version);
    store_le64(payload + 4, a->set->hash.hi);
    store_le64(payload + 12, a->set->hash.lo);
    struct record r = {.kind = RECORD_DEFINITIONS,
                       .shard = shard_index(w->shards[p->shard]),
                       .payload = slice_of(payload, sizeof payload)};
    if (!intake_record(w, &r)) return CALL_WAIT;
    CRASH_POINT(shard_switched);
    return ++p->shard < w->shard_count ? CALL_AGAIN : CALL_HELD;
}

static void switched(struct scatter *s)
{
    struct apply *a = s->owner;
    scatter_free(s);
    log_line(LOG_INFO, "definitions", "version=%u hash=%016llx%016llx", a->set->version,
             (unsigned long long)a->set->hash.hi, (unsigned long long)a->set->hash.lo);
    a->engine->admin->applying = false;
    a->done(a);
}

/* ---- on worker 0 ------------------------------------------------------------------------------------------ */

static void print_messages(const struct diagnostics *d, struct buf *out)
{
    if (d->count) diagnostics_print(d, out);
}

/* Compiles against the newest set; the same content is not a new version. */
static void compile(struct apply *a, const struct source_file *files, uint32_t count)
{
    struct engine *e = a->engine;
    const struct defset *before = sets_newest(e->sets);
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = defset_compile(files, count, before, NULL, &d);
    print_messages(&d, &a->messages);
    diagnostics_free(&d);
    a->failed = set == NULL;
    a->set = set ? set : before;
    a->changed = set && !(key_eq(set->hash, before->hash) && before->version);
    if (set && !a->changed) {
        defset_free(set);
        a->set = before;
    }
}

static void tell_shards(struct apply *a)
{
    a->engine->admin->applying = true;
    struct scatter *s = scatter_new(a->engine, a);
    s->run = switch_shards;
    s->done = switched;
    scatter_start(s);
}

/* Goes on to a->done, now or when every shard has switched and that is durable. */
static void install(struct apply *a)
{
    struct engine *e = a->engine;
    if (a->failed || !a->changed) {
        a->done(a);
        return;
    }
    struct datadir *dir = &e->workers[0].dir;
    if (datadir_put_definitions(dir, a->set->version, a->set->hash, a->set->bundle) != PERSIST_OK) {
        buf_printf(&a->messages, "%.*s", (int)dir->error.n, (char *)dir->error.p);
        a->failed = a->disk_failed = true;
        a->done(a);
        return;
    }
    CRASH_POINT(bundle_written);
    CHECK(sets_add(e->sets, (struct defset *)(uintptr_t)a->set));
    tell_shards(a);
}

static struct apply *apply_new(struct engine *e)
{
    struct apply *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    a->engine = e;
    return a;
}

static void apply_free(struct apply *a)
{
    buf_free(&a->messages);
    free(a);
}

/* ---- after a crash between two shards' switches --------------------------------------------------------- */

static void caught_up(struct apply *a)
{
    a->told(a->owner, 0, NULL);
    apply_free(a);
}

void definer_catch_up(struct engine *e, definer_done *done, void *owner)
{
    struct apply *a = apply_new(e);
    a->set = sets_newest(e->sets);
    a->done = caught_up;
    a->told = done;
    a->owner = owner;
    bool behind = false;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) /* nobody switches now */
        behind |= shard_definitions(e->shards[i])->version < a->set->version;
    if (behind)
        tell_shards(a);
    else
        caught_up(a);
}

/* ---- the directory ---------------------------------------------------------------------------------------- */

static void hash_text(struct key k, struct buf *out)
{
    buf_printf(out, "%016llx%016llx\n", (unsigned long long)k.hi, (unsigned long long)k.lo);
}

/* A name that a killed process gave may stand in a cache only: it counts when it is on the disk, or a power cut would bring
 * back the note before it, and the directory would overrule what was applied since. */
static bool loaded_before(struct engine *e, struct key hash)
{
    struct buf was = {0}, is = {0};
    struct datadir *dir = &e->workers[0].dir;
    hash_text(hash, &is);
    bool same = datadir_get_file(dir, LOADED_PATH, 64, &was) == PERSIST_OK &&
                slice_eq(buf_slice(&was), buf_slice(&is)) &&
                dir->disk->ops->sync_dir(dir->disk, "definitions") == 0;
    buf_free(&was);
    buf_free(&is);
    return same;
}

static bool forget_loaded(struct apply *a)
{
    struct disk *disk = a->engine->workers[0].dir.disk;
    int r = disk->ops->unlink(disk, LOADED_PATH);
    if (r == -ENOENT) return true;
    if (r == 0) r = disk->ops->sync_dir(disk, "definitions");
    if (r < 0) buf_printf(&a->messages, "%s: %s", LOADED_PATH, strerror(-r));
    a->failed = a->disk_failed = r < 0;
    return !a->failed;
}

static void dir_applied(struct apply *a)
{
    if (a->failed)
        log_line(LOG_ERROR, "definitions", "reason=\"%s\"\n%.*s", a->disk_failed ? "not kept" : "refused",
                 (int)a->messages.n, (char *)a->messages.p);
    else if (a->messages.n)
        log_line(LOG_WARNING, "definitions", "reason=\"warnings\"\n%.*s", (int)a->messages.n,
                 (char *)a->messages.p);
    if (!a->failed) {
        struct buf text = {0};
        hash_text(a->set->hash, &text);
        if (datadir_put_file(&a->engine->workers[0].dir, "definitions", LOADED_PATH, buf_slice(&text)) !=
            PERSIST_OK)
            log_line(LOG_WARNING, "definitions", "reason=\"%s could not be written\"", LOADED_PATH);
        buf_free(&text);
    }
    if (a->disk_failed)
        a->told(a->owner, PERSIST_IO, "the definitions could not be written");
    else if (a->failed)
        a->told(a->owner, BAD_CONFIGURATION, "the definitions were refused");
    else
        a->told(a->owner, 0, NULL);
    apply_free(a);
}

static void dir_unchanged(struct apply *a)
{
    const struct defset *set = sets_newest(a->engine->sets);
    log_line(
        LOG_INFO, "definitions",
        "version=%u reason=\"the directory has not changed since it was loaded; the set in the log stands\"",
        set->version);
    a->told(a->owner, 0, NULL);
    apply_free(a);
}

void definer_load_dir(struct engine *e, const char *path, definer_done *done, void *owner)
{
    if (e->admin->applying) {
        done(owner, BAD_CONFIGURATION, "another set is being applied");
        return;
    }
    struct apply *a = apply_new(e);
    a->done = dir_applied;
    a->told = done;
    a->owner = owner;
    struct diagnostics d;
    diagnostics_init(&d);
    uint32_t count = 0;
    struct source_file *files = sources_read(path, &count, &d);
    a->failed = !files || d.errors;
    print_messages(&d, &a->messages);
    if (!a->failed) compile(a, files, count);
    diagnostics_free(&d);
    if (!a->failed && a->set->version && loaded_before(e, a->set->hash)) {
        if (a->changed) defset_free((struct defset *)(uintptr_t)a->set);
        dir_unchanged(a);
        return;
    }
    if (!a->failed && a->changed && !forget_loaded(a)) {
        defset_free((struct defset *)(uintptr_t)a->set);
        a->done(a);
        return;
    }
    install(a);
}

/* ---- methods ------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    const struct slice *x = &((const struct source_file *)a)->name,
                       *y = &((const struct source_file *)b)->name;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c ? c : (int)x->n - (int)y->n;
}

/* {files: {name: text}}, sorted by name as a directory is. NULL: the request was answered. */
static struct source_file *request_files(struct request *r, uint32_t *count)
{
    const msgpack_object *o = param(r, 0, "files");
    if (!o || o->type != MSGPACK_OBJECT_MAP) {
        request_bad(r, "files is a map of names to texts");
        return NULL;
    }
    struct source_file *files = calloc(o->via.map.size + 1, sizeof *files);
    CHECK(files != NULL);
    *count = o->via.map.size;
    for (uint32_t i = 0; i < *count; i++) {
        const msgpack_object_kv *kv = &o->via.map.ptr[i];
        if (object_text(&kv->key, &files[i].name) && object_text(&kv->val, &files[i].text)) continue;
        free(files);
        request_bad(r, "files is a map of names to texts");
        return NULL;
    }
    qsort(files, *count, sizeof *files, by_name);
    return files;
}

void method_definitions_check(struct request *r)
{
    uint32_t count;
    struct source_file *files = request_files(r, &count);
    if (!files) return;
    struct diagnostics d;
    struct buf text = {0};
    diagnostics_init(&d);
    struct defset *set = defset_check(files, count, sets_newest(r->engine->sets), NULL, &d);
    print_messages(&d, &text);
    pk_map(&r->pack, 4);
    pk_text(&r->pack, "ok");
    pk_bool(&r->pack, set != NULL);
    pk_key_uint(&r->pack, "errors", d.errors);
    pk_key_uint(&r->pack, "warnings", d.count - d.errors);
    pk_text(&r->pack, "messages");
    pk_slice(&r->pack, buf_slice(&text));
    defset_free(set);
    diagnostics_free(&d);
    buf_free(&text);
    free(files);
    request_reply(r);
}

static void request_applied(struct apply *a)
{
    struct request *r = a->request;
    if (a->failed) {
        request_fail(r, ERROR_WRONG, "refused", "%.*s", (int)a->messages.n, (char *)a->messages.p);
    } else {
        pk_map(&r->pack, 4);
        pk_key_uint(&r->pack, "version", a->set->version);
        pk_text(&r->pack, "hash");
        pk_hex(&r->pack, a->set->hash);
        pk_text(&r->pack, "changed");
        pk_bool(&r->pack, a->changed);
        pk_text(&r->pack, "messages");
        pk_slice(&r->pack, buf_slice(&a->messages));
        request_reply(r);
    }
    apply_free(a);
}

void method_definitions_apply(struct request *r)
{
    uint32_t count;
    if (r->engine->admin->applying) {
        request_fail(r, ERROR_BUSY, "busy", "another set is being applied");
        return;
    }
    struct source_file *files = request_files(r, &count);
    if (!files) return;
    struct apply *a = apply_new(r->engine);
    a->request = r;
    a->done = request_applied;
    compile(a, files, count);
    free(files);
    install(a);
}
