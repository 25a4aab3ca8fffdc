#include "core/define/bundle.h"
#include "core/base/hash.h"

static const char MAGIC[8] = "HGDEFS01";

/* ---- writing -------------------------------------------------------------------------------- */

struct texts {
    struct slice *list;
    uint32_t count, capacity;
    struct arena *arena;
};

static uint32_t text_number(struct texts *t, struct slice text)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (slice_eq(t->list[i], text)) return i;
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 32;
        struct slice *more = ARENA_ARRAY(t->arena, struct slice, t->capacity);
        if (t->count) memcpy(more, t->list, sizeof *more * t->count);
        t->list = more;
    }
    t->list[t->count] = text;
    return t->count++;
}

static void write_version(const struct defset *set, struct texts *texts, struct buf *out)
{
    const struct journey_set *j = &set->journeys;
    uint32_t live = 0;
    buf_put_le32(out, set->version);
    buf_put_le32(out, set->file_count);
    for (uint32_t i = 0; i < set->file_count; i++) {
        buf_put_le32(out, text_number(texts, set->files[i].name));
        buf_put_le32(out, text_number(texts, set->files[i].text));
    }
    for (uint32_t i = 0; i < j->journey_count; i++) live += j->journeys[i] != NULL;
    buf_put_le32(out, live);
    for (uint32_t i = 0; i < j->journey_count; i++) {
        if (!j->journeys[i]) continue;
        buf_put_le16(out, j->journeys[i]->id);
        buf_put_le16(out, j->journeys[i]->version);
    }
}

/* Does `older` need a journey of this former set? */
static bool contributes(const struct defset *former, const struct journey_set *now)
{
    for (uint32_t i = 0; i < now->older_count; i++) {
        const struct journey *j = now->older[i];
        if (j->id < former->journeys.journey_count && former->journeys.journeys[j->id] == j) return true;
    }
    return false;
}

static uint32_t write_former(const struct defset *set, const struct journey_set *now, struct texts *texts,
                             struct buf *out)
{
    if (!set) return 0;
    uint32_t written = write_former(set->before, now, texts, out);
    if (!contributes(set, now)) return written;
    write_version(set, texts, out);
    return written + 1;
}

void bundle_write(struct defset *set)
{
    struct arena scratch;
    arena_init(&scratch);
    struct texts texts = {.arena = &scratch};
    struct buf versions = {0}, out = {0};
    uint32_t count = write_former(set->before, &set->journeys, &texts, &versions) + 1;
    write_version(set, &texts, &versions);
    buf_put(&out, MAGIC, sizeof MAGIC);
    buf_put_le32(&out, texts.count);
    for (uint32_t i = 0; i < texts.count; i++) {
        buf_put_le32(&out, texts.list[i].n);
        buf_put_slice(&out, texts.list[i]);
    }
    buf_put_le32(&out, count);
    buf_put(&out, versions.p, versions.n);
    registry_write(set->registry, &out);
    buf_put_le64(&out, hash64_plain(out.p, out.n));
    set->bundle = arena_slice(&set->arena, buf_slice(&out));
    buf_free(&versions);
    buf_free(&out);
    arena_free(&scratch);
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct former {
    uint32_t version, file_count, journey_count;
    struct source_file *files;
    struct journey_number *journeys;
};
struct contents {
    uint32_t text_count, version_count;
    struct slice *texts;
    struct former *versions;
    struct registry *registry;
};

/* A count from outside is believed only as far as bytes are left. */
static uint32_t read_count(struct reader *r, uint32_t item_bytes)
{
    uint32_t count = read_le32(r);
    if ((size_t)(r->end - r->p) / item_bytes < count) r->bad = true;
    return r->bad ? 0 : count;
}

static struct slice read_text(struct reader *r, const struct contents *c)
{
    uint32_t number = read_le32(r);
    if (number < c->text_count) return c->texts[number];
    r->bad = true;
    return (struct slice){0};
}

static void read_version(struct reader *r, const struct contents *c, struct former *v, struct arena *a)
{
    v->version = read_le32(r);
    v->file_count = read_count(r, 8);
    v->files = ARENA_ARRAY(a, struct source_file, v->file_count + 1);
    for (uint32_t i = 0; i < v->file_count; i++) {
        v->files[i].name = read_text(r, c);
        v->files[i].text = read_text(r, c);
    }
    v->journey_count = read_count(r, 4);
    v->journeys = ARENA_ARRAY(a, struct journey_number, v->journey_count + 1);
    for (uint32_t i = 0; i < v->journey_count; i++) {
        v->journeys[i].id = read_le16(r);
        v->journeys[i].version = read_le16(r);
    }
}

static bool read_contents(struct slice bundle, struct contents *c, struct arena *a)
{
    if (bundle.n < sizeof MAGIC + 8 || memcmp(bundle.p, MAGIC, sizeof MAGIC) != 0) return false;
    uint32_t body = bundle.n - 8;
    if (load_le64(bundle.p + body) != hash64_plain(bundle.p, body)) return false;
    struct reader r = reader_of(slice_of(bundle.p + sizeof MAGIC, body - sizeof MAGIC));
    c->text_count = read_count(&r, 4);
    c->texts = ARENA_ARRAY(a, struct slice, c->text_count + 1);
    for (uint32_t i = 0; i < c->text_count; i++) {
        uint32_t length = read_le32(&r);
        c->texts[i] = read_slice(&r, length);
    }
    c->version_count = read_count(&r, 12);
    c->versions = ARENA_ARRAY(a, struct former, c->version_count + 1);
    for (uint32_t i = 0; i < c->version_count && !r.bad; i++) read_version(&r, c, &c->versions[i], a);
    c->registry = r.bad ? NULL : registry_read(&r, a);
    return c->registry && !r.bad && r.p == r.end && c->version_count > 0;
}

static struct defset *compile_versions(const struct contents *c, const char *zone_dir, struct diagnostics *d)
{
    struct defset *set = NULL;
    for (uint32_t i = 0; i < c->version_count; i++) {
        const struct former *v = &c->versions[i];
        struct compile_order order = {v->files,         v->file_count, set,        c->registry, v->journeys,
                                      v->journey_count, zone_dir,      v->version, true};
        struct defset *next = compile_set(&order, d);
        defset_free(set); /* the next one holds it if it needs it */
        if (!next) return NULL;
        set = next;
    }
    return set;
}

bool bundle_files(struct slice bundle, struct arena *a, const struct source_file **files, uint32_t *count)
{
    struct contents contents = {0};
    if (!read_contents(bundle, &contents, a)) return false;
    const struct former *newest = &contents.versions[contents.version_count - 1];
    *files = newest->files;
    *count = newest->file_count;
    return true;
}

struct defset *defset_from_bundle(struct slice bundle, const char *zone_dir, struct diagnostics *d)
{
    struct arena scratch;
    struct contents contents = {0};
    struct defset *set = NULL;
    arena_init(&scratch);
    if (read_contents(bundle, &contents, &scratch)) {
        set = compile_versions(&contents, zone_dir, d);
    } else {
        struct source_file file = {.name = SLICE("definitions bundle")};
        report_at(d, SEVERITY_ERROR, &file, 0, 1, "damaged, or written by another version");
    }
    arena_free(&scratch);
    return set;
}
