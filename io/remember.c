/* The file: magic u32, crc32c u32 of what follows, version u16, count u16; per call: id 16, call 16, state u8,
 * bytes u32, result. */
#include "io/remember.h"

#include <errno.h>
#include <stdlib.h>

#define REQUESTS_PATH "requests"
enum { MAGIC = 0x71724748 /* "HGrq" */, VERSION = 1, HEAD_BYTES = 12, FILE_BYTES_MAX = 1 << 20 };
enum state { FREE, RUNNING, DONE };

struct remembered {
    struct key id, call; /* call: of the method and its parameters */
    struct buf result;
    struct request *repeats; /* wait for the first one's answer */
    uint8_t state;
    bool once;
    bool lost; /* began before a crash, and nobody knows how it ended */
};
struct memory {
    uint32_t next; /* the oldest: taken next */
    size_t bytes;
    struct remembered list[REMEMBERED_MAX];
};

static void forget(struct memory *m, struct remembered *x)
{
    m->bytes -= x->result.n;
    buf_free(&x->result);
    *x = (struct remembered){0};
}

static struct remembered *find(struct memory *m, struct key id)
{
    for (uint32_t i = 0; i < REMEMBERED_MAX; i++)
        if (m->list[i].state != FREE && key_eq(m->list[i].id, id)) return &m->list[i];
    return NULL;
}

/* The oldest one's place; NULL: all of them are running. */
static struct remembered *take_place(struct memory *m)
{
    for (uint32_t i = 0; i < REMEMBERED_MAX; i++) {
        struct remembered *x = &m->list[m->next++ % REMEMBERED_MAX];
        if (x->state == RUNNING && !x->lost) continue;
        forget(m, x);
        return x;
    }
    return NULL;
}

static void make_room(struct memory *m, size_t bytes)
{
    for (uint32_t i = 0; i < REMEMBERED_MAX && m->bytes + bytes > REMEMBERED_BYTES_MAX; i++) {
        struct remembered *x = &m->list[(m->next + i) % REMEMBERED_MAX];
        if (x->state == DONE) forget(m, x);
    }
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static void put_call(struct buf *out, const struct remembered *x)
{
    buf_put(out, &x->id, sizeof x->id);
    buf_put(out, &x->call, sizeof x->call);
    buf_put_u8(out, x->state);
    buf_put_le32(out, (uint32_t)x->result.n);
    buf_put_slice(out, buf_slice(&x->result));
}

/* Oldest first. */
static bool save(struct engine *e)
{
    const struct memory *m = e->admin->memory;
    struct buf file = {0};
    uint32_t count = 0, skip = 0;
    for (uint32_t i = 0; i < REMEMBERED_MAX; i++) count += m->list[i].once && m->list[i].state != FREE;
    skip = count > KEPT_MAX ? count - KEPT_MAX : 0;
    buf_put_le32(&file, MAGIC);
    buf_put_le32(&file, 0);
    buf_put_le16(&file, VERSION);
    buf_put_le16(&file, (uint16_t)(count - skip));
    for (uint32_t i = 0; i < REMEMBERED_MAX; i++) {
        const struct remembered *x = &m->list[(m->next + i) % REMEMBERED_MAX];
        if (!x->once || x->state == FREE) continue;
        if (skip)
            skip--;
        else
            put_call(&file, x);
    }
    store_le32(file.p + 4, crc32c(0, file.p + 8, file.n - 8));
    bool saved = datadir_put_file(&e->workers[0].dir, ".", REQUESTS_PATH, buf_slice(&file)) == PERSIST_OK;
    buf_free(&file);
    return saved;
}

static bool read_calls(struct memory *m, struct slice file)
{
    if (file.n < HEAD_BYTES || load_le32(file.p) != MAGIC || load_le16(file.p + 8) != VERSION ||
        load_le32(file.p + 4) != crc32c(0, file.p + 8, file.n - 8))
        return false;
    struct reader in = reader_of(slice_of(file.p + 10, file.n - 10));
    for (uint32_t n = read_le16(&in); n && !in.bad; n--) {
        struct remembered x = {.once = true};
        struct slice ids = read_slice(&in, 32);
        x.state = read_u8(&in);
        struct slice result = read_slice(&in, read_le32(&in));
        if (in.bad || x.state == FREE || x.state > DONE) return false;
        memcpy(&x.id, ids.p, 16);
        memcpy(&x.call, ids.p + 16, 16);
        x.lost = x.state == RUNNING;
        buf_put_slice(&x.result, result);
        m->bytes += result.n;
        m->list[m->next++ % REMEMBERED_MAX] = x;
    }
    return !in.bad && in.p == in.end;
}

/* PERSIST_OK without a file: none was ever kept. */
static enum persist_status read_file(struct datadir *dir, struct buf *file)
{
    int there = dir->disk->ops->open(dir->disk, REQUESTS_PATH, DISK_READ);
    if (there == -ENOENT) return PERSIST_OK;
    if (there >= 0) dir->disk->ops->close(dir->disk, there);
    return datadir_get_file(dir, REQUESTS_PATH, FILE_BYTES_MAX, file);
}

enum persist_status remember_open(struct engine *e)
{
    struct buf file = {0};
    struct datadir *dir = &e->workers[0].dir;
    e->admin->memory = calloc(1, sizeof *e->admin->memory);
    CHECK(e->admin->memory != NULL);
    enum persist_status status = read_file(dir, &file);
    if (status == PERSIST_OK && file.p && !read_calls(e->admin->memory, buf_slice(&file)))
        status = datadir_refuse(dir, REQUESTS_PATH, "damaged; remove it to forget which calls were made");
    buf_free(&file);
    if (status != PERSIST_OK)
        log_line(LOG_ERROR, "requests", "reason=\"%.*s\"", (int)dir->error.n, (const char *)dir->error.p);
    return status;
}

void remember_close(struct engine *e)
{
    struct memory *m = e->admin->memory;
    for (uint32_t i = 0; m && i < REMEMBERED_MAX; i++) buf_free(&m->list[i].result);
    free(m);
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

/* In the first map (named parameters) or in the last one (behind positional ones). */
static const msgpack_object *request_id(const struct request *r)
{
    const msgpack_object_array *params = &r->params->via.array;
    if (!params->size) return NULL;
    const msgpack_object *first = map_get(&params->ptr[0], "request_id");
    return first ? first : map_get(&params->ptr[params->size - 1], "request_id");
}

/* Of everything behind the message id: the method and its parameters, byte for byte. */
static struct key call_key(const struct request *r)
{
    struct mp m = mp_of(buf_slice(&r->frame));
    mp_array(&m);
    mp_item(&m);
    mp_item(&m);
    return hash128_plain(m.p, (size_t)(m.end - m.p));
}

static bool repeat(struct request *r, struct remembered *x, struct key call)
{
    if (!key_eq(x->call, call)) {
        request_fail(r, ERROR_USAGE, "request_id_reused", "this request_id was given to another call");
    } else if (x->lost) {
        request_fail(
            r, ERROR_FAILED, "unknown_outcome",
            "this call began before a crash, and whether it was carried out is not known: look first");
    } else if (x->state == RUNNING) {
        r->next_repeat = x->repeats;
        x->repeats = r;
    } else {
        buf_clear(&r->result);
        buf_put_slice(&r->result, buf_slice(&x->result));
        request_reply(r);
    }
    return false;
}

static bool begin(struct request *r, struct key id, struct key call)
{
    struct engine *e = r->engine;
    struct remembered *x = take_place(e->admin->memory);
    if (!x) {
        request_fail(r, ERROR_BUSY, "busy", "too many calls with a request_id are running");
        return false;
    }
    *x = (struct remembered){.id = id, .call = call, .state = RUNNING, .once = r->method->once};
    if (x->once && !save(e)) {
        forget(e->admin->memory, x);
        request_fail(r, ERROR_FAILED, "not_remembered", "the request_id could not be written down: %.*s",
                     (int)e->workers[0].dir.error.n, (char *)e->workers[0].dir.error.p);
        return false;
    }
    r->remembered = x;
    return true;
}

bool remember_begin(struct request *r)
{
    const msgpack_object *o = r->method->changes_state ? request_id(r) : NULL;
    struct slice text;
    if (!o) return true;
    if (!object_text(o, &text) || !text.n || text.n > REQUEST_ID_BYTES_MAX) {
        request_bad(r, "request_id is a text of at most 64 bytes");
        return false;
    }
    struct key id = hash128_plain(text.p, text.n), call = call_key(r);
    struct remembered *x = find(r->engine->admin->memory, id);
    return x ? repeat(r, x, call) : begin(r, id, call);
}

void remember_end(struct request *r, struct slice error, struct slice result)
{
    struct remembered *x = r->remembered;
    if (!x) return;
    struct memory *m = r->engine->admin->memory;
    struct request *repeats = x->repeats;
    bool once = x->once;
    if (error.n || (once && result.n > KEPT_RESULT_MAX)) {
        forget(m, x);
    } else {
        make_room(m, result.n);
        x->state = DONE;
        x->repeats = NULL;
        buf_put_slice(&x->result, result);
        m->bytes += result.n;
    }
    if (once && !save(r->engine))
        log_line(LOG_WARNING, "requests", "reason=\"an answer could not be written down\"");
    for (struct request *next; repeats; repeats = next) {
        next = repeats->next_repeat;
        request_answer(repeats, error, result);
    }
}
