/* query.c - questions about everybody: segments and their members. Walks go a slice of rows per turn; they see the state as
 * it is when they pass, and the answer says from when. Programs are the ones that segments run. */
#include "io/lookup.h"
#include "io/paging.h"

#include <stdlib.h>

enum { MEMBERS_SHOWN = 1000, COLUMNS_MAX = 16 };

/* ---- evaluating a program for one person ---------------------------------------------------------------- */

struct evaluation {
    struct person person;
    struct expr_context context;
};

static void evaluation_begin(struct evaluation *v, struct shard *s, struct arena *scratch, uint32_t now)
{
    const struct defset *set = shard_definitions(s);
    v->person = (struct person){.store = shard_store(s),
                                .set = &set->journeys,
                                .schema = &set->schema,
                                .scratch = scratch,
                                .now = now};
    v->context = (struct expr_context){.source = &person_source,
                                       .self = &v->person,
                                       .now = now,
                                       .week = &set->journeys.week,
                                       .scratch = scratch,
                                       .next_change = UINT32_MAX};
}

static void evaluation_turn(struct evaluation *v, row_t row)
{
    arena_reset(v->context.scratch);
    v->person.row = row;
    v->context.zone = person_zone(&v->person);
}

/* ---- what requests share -------------------------------------------------------------------------------------- */

void request_fail_expression(struct request *r, struct slice text, const struct expr_errors *errors)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < errors->count; i++) {
        const struct expr_error *e = &errors->list[i];
        if (e->warning) continue;
        buf_printf(&b, "1:%u: error: %s%s%s\n  %.*s\n  %*s^\n", e->at + 1, e->reason, e->fix ? "; " : "",
                   e->fix ? e->fix : "", (int)text.n, (const char *)text.p, (int)e->at, "");
    }
    request_fail(r, ERROR_WRONG, "bad_expression", "%.*s", (int)b.n, (char *)b.p);
    buf_free(&b);
}

/* ---- segments -------------------------------------------------------------------------------------------------- */

struct membership_count {
    struct request *request;
    const struct defset *set;
    uint16_t only; /* ID_NONE: all */
    pthread_mutex_t lock;
    uint64_t members[];
};

static enum call_state count_members(struct worker *w, struct part *p)
{
    struct membership_count *c = p->scatter->owner;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < w->shard_count; i++)
        for (uint32_t k = 0; k < c->set->segments.count; k++)
            if (c->only == ID_NONE || c->only == k)
                c->members[k] += member_count(shard_store(w->shards[i]), (uint16_t)k);
    pthread_mutex_unlock(&c->lock);
    return CALL_HELD;
}

static void pack_segment(pk_t *pk, const struct segment *s, uint64_t members)
{
    pk_map(pk, 4);
    pk_text(pk, "name");
    pk_slice(pk, s->name);
    pk_text(pk, "description");
    pk_text_or_nil(pk, s->description);
    pk_key_uint(pk, "members", members);
    pk_text(pk, "when");
    pk_slice(pk, s->text);
}

static void members_counted(struct scatter *s)
{
    struct membership_count *c = s->owner;
    struct request *r = c->request;
    scatter_free(s);
    if (c->only != ID_NONE) {
        pack_segment(&r->pack, &c->set->segments.list[c->only], c->members[c->only]);
    } else {
        uint32_t n = 0;
        size_t at = pk_open(&r->pack, PK_LIST);
        for (uint32_t i = 0; i < c->set->segments.count; i++) {
            if (!c->set->segments.list[i].live) continue;
            pack_segment(&r->pack, &c->set->segments.list[i], c->members[i]);
            n++;
        }
        pk_close(&r->pack, at, n);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
    request_reply(r);
}

static void start_counting(struct request *r, uint16_t only)
{
    const struct defset *set = sets_newest(r->engine->sets);
    struct membership_count *c = calloc(1, sizeof *c + (set->segments.count + 1) * sizeof c->members[0]);
    CHECK(c != NULL);
    c->request = r;
    c->set = set;
    c->only = only;
    pthread_mutex_init(&c->lock, NULL);
    struct scatter *s = scatter_new(r->engine, c);
    s->run = count_members;
    s->done = members_counted;
    scatter_start(s);
}

uint16_t request_segment(struct request *r, uint32_t index, const char *key)
{
    struct slice name;
    if (!param_text(r, index, key, &name)) {
        request_bad(r, "the name of a segment is a text");
        return ID_NONE;
    }
    uint16_t id = defset_segment(sets_newest(r->engine->sets), name);
    if (id == ID_NONE)
        request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no segment %.*s", (int)name.n,
                     (const char *)name.p);
    return id;
}

void method_segment_list(struct request *r) { start_counting(r, ID_NONE); }

void method_segment_count(struct request *r)
{
    uint16_t id = request_segment(r, 0, "name");
    if (id != ID_NONE) start_counting(r, id);
}

/* ---- segment.members: by shard and slot, a page at a time ------------------------------------------------------------ */
/* columns: expressions with ';' or ',' between them, one value each for every member. */

struct members {
    struct paging paging; /* place: the next slot */
    uint16_t segment;
    struct arena arena; /* of the columns' programs */
    const struct program *columns[COLUMNS_MAX];
    uint32_t column_count;
};

static void pack_columns(pk_t *pk, const struct members *m, struct evaluation *v, row_t row, struct buf *out)
{
    pk_text(pk, "columns");
    pk_list(pk, m->column_count);
    evaluation_turn(v, row);
    for (uint32_t i = 0; i < m->column_count; i++) {
        struct value value = program_run(m->columns[i], &v->context);
        if (value.kind == V_ERROR)
            pk_nil(pk);
        else
            value_write(value, out);
    }
}

static void pack_person(pk_t *pk, const struct members *m, struct evaluation *v, row_t row, struct buf *out)
{
    struct slice user = ids_user(v->person.store, row), anonymous;
    pk_map(pk, m->column_count ? 3 : 2);
    pk_text(pk, "user_id");
    pk_text_or_nil(pk, user);
    pk_text(pk, "anonymous_id");
    ids_anonymous(v->person.store, row, &anonymous, 1) ? pk_slice(pk, anonymous) : pk_nil(pk);
    if (m->column_count) pack_columns(pk, m, v, row, out);
}

/* The members of one block from p->place on, which is inside it. */
static bool take_block(struct paging *p, struct evaluation *v)
{
    const struct members *m = (const struct members *)p;
    struct request *r = p->request;
    uint32_t block = (uint32_t)p->place / BLOCK_ROWS, first = (uint32_t)p->place % BLOCK_ROWS;
    const uint64_t *page = member_page(v->person.store, m->segment, block);
    for (uint32_t word = first / 64; page && word < BLOCK_ROWS / 64; word++)
        for (uint64_t bits = word == first / 64 ? page[word] >> first % 64 << first % 64 : page[word]; bits;
             bits &= bits - 1) {
            row_t row = {block * BLOCK_ROWS + word * 64 + (uint32_t)__builtin_ctzll(bits)};
            p->place = row.v;
            if (!paging_room(p)) return false;
            pack_person(&r->pack, m, v, row, &r->result);
            p->count++;
        }
    p->place = (uint64_t)(block + 1) * BLOCK_ROWS;
    return true;
}

static bool take_members(struct paging *p, struct worker *w, struct shard *s)
{
    struct arena scratch;
    struct evaluation v;
    bool room = true;
    arena_init(&scratch);
    evaluation_begin(&v, s, &scratch, shard_now(s) > w->now ? shard_now(s) : w->now);
    while (room && p->place < v.person.store->row_limit) room = take_block(p, &v);
    arena_free(&scratch);
    return room;
}

static void release_members(struct paging *p)
{
    arena_free(&((struct members *)p)->arena);
    free(p);
}

/* Bytes up to the first ';' or ',' that stands in no bracket and no text. */
static uint32_t column_end(struct slice text)
{
    uint32_t depth = 0;
    uint8_t quote = 0;
    for (uint32_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (quote) {
            i += c == '\\'; /* what is behind it does not end the text */
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (memchr("([{", c, 3)) {
            depth++;
        } else if (memchr(")]}", c, 3)) {
            depth -= depth > 0;
        } else if ((c == ';' || c == ',') && depth == 0) {
            return i;
        }
    }
    return text.n;
}

/* "a; b, c" into m->columns; false: the request was answered. */
static bool read_columns(struct request *r, struct members *m)
{
    struct slice text;
    if (!param_text(r, 2, "columns", &text)) return true;
    while (text.n) {
        struct slice one = slice_of(text.p, column_end(text));
        struct expr_errors errors = {0};
        if (m->column_count == COLUMNS_MAX) {
            request_bad(r, "at most 16 columns");
            return false;
        }
        m->columns[m->column_count] =
            defset_expression(sets_newest(r->engine->sets), ID_NONE, one, WANT_ANY, &m->arena, &errors);
        if (!m->columns[m->column_count++]) {
            request_fail_expression(r, one, &errors);
            return false;
        }
        uint32_t used = one.n < text.n ? one.n + 1 : one.n;
        text = slice_of(text.p + used, text.n - used);
    }
    return true;
}

void method_segment_members(struct request *r)
{
    uint16_t id = request_segment(r, 0, "name");
    if (id == ID_NONE) return;
    struct members *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    m->segment = id;
    m->paging.fill = take_members;
    m->paging.release = release_members;
    arena_init(&m->arena);
    if (paging_read(&m->paging, r, 1, 3, MEMBERS_SHOWN) && read_columns(r, m))
        paging_start(&m->paging, "members");
    else
        release_members(&m->paging);
}
