/* action.c - the record that leaves: one MessagePack map, its keys always in the order of ACTION_KEYS, those that do not
 * apply left out. It is rendered once, here; the outbox hands out these bytes for ever.
 * Adding a key: one row here, before TEST (the outbox reads it at the end), and its line in fill_*. */
#include "core/journey/run.h"
#include "core/base/planted.h"

#define ACTION_KEYS(X)                                                                                       \
    X(ACTION_ID, "action_id")                                                                                \
    X(KIND, "kind")                                                                                          \
    X(CHANNEL, "channel")                                                                                    \
    X(JOURNEY, "journey")                                                                                    \
    X(VERSION, "version")                                                                                    \
    X(STEP, "step")                                                                                          \
    X(INSTANCE, "instance")                                                                                  \
    X(VARIANT, "variant")                                                                                    \
    X(TOPIC, "topic")                                                                                        \
    X(TYPE, "type")                                                                                          \
    X(LANG, "lang")                                                                                          \
    X(PRIORITY, "priority")                                                                                  \
    X(ATTEMPT, "attempt")                                                                                    \
    X(PROFILE, "profile")                                                                                    \
    X(TO, "to")                                                                                              \
    X(TEMPLATE, "template")                                                                                  \
    X(VARS, "vars")                                                                                          \
    X(OP, "op")                                                                                              \
    X(AUDIENCE, "audience")                                                                                  \
    X(CREATED_AT, "created_at")                                                                              \
    X(EXPIRES_AT, "expires_at")                                                                              \
    X(TEST, "test")
enum action_key {
#define X(name, text) KEY_##name,
    ACTION_KEYS(X)
#undef X
        ACTION_KEY_COUNT
};
static const struct slice KEY_TEXT[] = {
#define X(name, text) {(const uint8_t *)text, sizeof text - 1},
    ACTION_KEYS(X)
#undef X
};
static const struct slice KIND_TEXT[] = {{(const uint8_t *)"send", 4},
                                         {(const uint8_t *)"webhook", 7},
                                         {(const uint8_t *)"task", 4},
                                         {(const uint8_t *)"audience", 8}};
static const struct slice TYPE_TEXT[] = {
    {(const uint8_t *)"transactional", 13}, {(const uint8_t *)"trigger", 7}, {(const uint8_t *)"mass", 4}};

struct draft {
    struct run *r;
    struct seat *seat;
    const struct step *step;
    const struct action_order *order;
    struct value at[ACTION_KEY_COUNT];
    bool full; /* scratch ran out */
};

/* Instance 16, visit 2, attempt 2, step id: little-endian, hashed without a secret, so it is the same everywhere. */
struct key action_id(const struct instance *i, struct slice step_id)
{
    uint8_t text[20 + 256];
    uint32_t n = step_id.n < 256 ? step_id.n : 256;
    memcpy(text, &i->id, 16);
    store_le16(text + 16, i->visit);
    store_le16(text + 18, i->attempt);
    memcpy(text + 20, step_id.p, n);
    return hash128_plain(text, 20 + n);
}

static void *keep(struct draft *d, const void *p, uint32_t n)
{
    void *copy = arena_alloc(d->r->w->scratch, n + 1);
    d->full |= copy == NULL;
    return copy ? memcpy(copy, p, n) : NULL;
}

/* 32 lower-case digits, hi first. */
static struct value hex(struct draft *d, struct key k)
{
    static const char digits[] = "0123456789abcdef";
    char text[32];
    for (uint32_t i = 0; i < 32; i++)
        text[i] = digits[(i < 16 ? k.hi >> (60 - 4 * i) : k.lo >> (124 - 4 * i)) & 15];
    char *p = keep(d, text, 32);
    return p ? value_string(slice_of(p, 32)) : value_none();
}

static struct value raw(struct draft *d, const struct pack *b)
{
    d->full |= b->full;
    return (struct value){.kind = V_RAW, .n = (uint32_t)b->n, .s = b->p};
}

static struct value text(struct slice s) { return s.n ? value_string(s) : value_none(); }

/* ---- vars ------------------------------------------------------------------------------------- */

static struct slice render(struct run *r, struct seat *seat, const struct template_text *t, bool *missing)
{
    struct expr_context *ctx = r->w->context;
    uint32_t next = ctx->next_change;
    struct slice out = {0};
    r->person->instance = &seat->head, r->person->kept = seat->kept, r->person->journey = seat->journey;
    enum render result = template_render(t, ctx, &out);
    r->person->instance = NULL, r->person->kept = (struct slice){0}, r->person->journey = NULL;
    ctx->next_change = next;
    if (missing && result == RENDER_MISSING) *missing = true;
    return result == RENDER_FULL ? (struct slice){0} : out;
}

struct value field_value(struct run *r, struct seat *seat, const struct field *f, bool *missing)
{
    if (f->text) return value_string(render(r, seat, f->text, missing));
    return f->program ? run_value(r, seat, f->program) : f->literal;
}

static const struct template_part *part_of(const struct template *t, uint16_t channel)
{
    for (uint32_t i = 0; t && i < t->part_count; i++)
        if (t->parts[i].channel == channel) return &t->parts[i];
    return NULL;
}

/* The template to use: the first of it and its fallbacks whose every value is there, else the last. */
static const struct template *usable(struct draft *d, const struct template *t)
{
    for (uint32_t depth = 0; t && depth < TEMPLATE_NESTING_MAX; depth++) {
        const struct template_part *part = part_of(t, d->order->channel->id);
        bool missing = false;
        for (uint32_t i = 0; part && i < part->field_count; i++)
            field_value(d->r, d->seat, &part->fields[i], &missing);
        if (!missing || !t->fallback) break;
        t = t->fallback;
    }
    return t;
}

enum { VARS_MAX = 64 };
struct vars {
    uint32_t count;
    struct slice name[VARS_MAX];
    struct value value[VARS_MAX];
};

static void put_var(struct vars *v, struct slice name, struct value value)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (slice_eq(v->name[i], name)) {
            v->value[i] = value; /* the step's own wins over the template's */
            return;
        }
    if (v->count < VARS_MAX) v->name[v->count] = name, v->value[v->count++] = value;
}

static void put_fields(struct draft *d, struct vars *v, const struct field *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_var(v, fields[i].name, field_value(d->r, d->seat, &fields[i], NULL));
}

static struct value vars_map(struct draft *d, const struct vars *v)
{
    struct pack out = {.arena = d->r->w->scratch};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &out, pack_write);
    msgpack_pack_map(&pk, v->count);
    for (uint32_t i = 0; i < v->count; i++) pack_text(&pk, v->name[i]), pack_value(&pk, v->value[i]);
    return raw(d, &out);
}

struct content { /* of a send or an act */
    const struct template *template;
    struct slice name;
    const struct program *named_by;
    const struct field *fields;
    uint32_t count;
};

static void fill_content(struct draft *d, const struct content *c)
{
    const struct template *t = c->template;
    struct vars v = {0};
    t = usable(d, t);
    const struct template_part *part = t ? part_of(t, d->order->channel->id) : NULL;
    if (part) put_fields(d, &v, part->fields, part->field_count);
    put_fields(d, &v, c->fields, c->count);
    if (d->order->kind == ACTION_TASK && d->step->act.due)
        put_var(&v, SLICE("due"), run_value(d->r, d->seat, d->step->act.due));
    d->at[KEY_TEMPLATE] = text(t ? t->name : c->named_by ? run_text(d->r, d->seat, c->named_by) : c->name);
    d->at[KEY_VARS] = vars_map(d, &v);
    d->at[KEY_LANG] = t && t->lang ? run_value(d->r, d->seat, t->lang)
                                   : person_source.profile(d->r->person, PROFILE_LANGUAGE);
    if (d->at[KEY_LANG].kind != V_STRING) d->at[KEY_LANG] = value_none();
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static struct value profile_map(struct draft *d)
{
    const struct walk *w = d->r->w;
    struct slice user = ids_user(w->store, w->row), anonymous = {0};
    uint32_t known = ids_anonymous(w->store, w->row, &anonymous, 1);
    struct pack out = {.arena = w->scratch};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &out, pack_write);
    msgpack_pack_map(&pk, (user.n > 0) + (known > 0));
    if (user.n) pack_text(&pk, SLICE("user_id")), pack_text(&pk, user);
    if (known) pack_text(&pk, SLICE("anonymous_id")), pack_text(&pk, anonymous);
    return raw(d, &out);
}

static struct value variant(const struct seat *seat)
{
    uint32_t split = seat->head.split_step - 1u;
    if (seat->head.split_step == 0 || split >= seat->journey->step_count) return value_none();
    const struct step *s = &seat->journey->steps[split];
    return s->kind == STEP_SPLIT && seat->head.split_path < s->split.count
               ? text(s->split.names[seat->head.split_path])
               : value_none();
}

static void fill_where_from(struct draft *d)
{
    const struct instance *i = &d->seat->head;
    d->at[KEY_ACTION_ID] = hex(d, action_id(i, d->step->id));
    d->at[KEY_KIND] = text(KIND_TEXT[d->order->kind]);
    d->at[KEY_CHANNEL] = text(d->order->channel->name);
    d->at[KEY_JOURNEY] = text(d->seat->journey->name);
    d->at[KEY_VERSION] = value_int(i->version);
    d->at[KEY_STEP] = text(d->step->id);
    d->at[KEY_INSTANCE] = hex(d, i->id);
    d->at[KEY_VARIANT] = variant(d->seat);
    d->at[KEY_ATTEMPT] = value_int(i->attempt + 1);
    d->at[KEY_PROFILE] = profile_map(d);
    d->at[KEY_TO] = d->order->to;
    d->at[KEY_CREATED_AT] = value_time(d->r->w->now);
    d->at[KEY_TEST] = value_bool(d->order->test);
}

static void fill_send(struct draft *d)
{
    const struct step *s = d->step;
    d->at[KEY_TOPIC] = text(s->send.topic);
    d->at[KEY_TYPE] = text(TYPE_TEXT[s->send.type]);
    d->at[KEY_PRIORITY] = value_int(d->seat->priority);
    if (d->order->expires_at != NEVER) d->at[KEY_EXPIRES_AT] = value_time(d->order->expires_at);
    fill_content(d, &(struct content){s->send.template, s->send.template_name, s->send.template_by,
                                      s->send.vars, s->send.field_count});
}

static void fill_act(struct draft *d)
{
    const struct step *s = d->step;
    d->at[KEY_OP] = text(s->act.op);
    d->at[KEY_AUDIENCE] = text(s->act.audience);
    fill_content(d, &(struct content){s->act.template, s->act.template_name, s->act.template_by, s->act.vars,
                                      s->act.field_count});
}

static struct slice pack_draft(struct draft *d)
{
    struct pack out = {.arena = d->r->w->scratch};
    msgpack_packer pk;
    uint32_t present = 0;
    for (uint32_t k = 0; k < ACTION_KEY_COUNT; k++) present += d->at[k].kind != V_NONE;
    msgpack_packer_init(&pk, &out, pack_write);
    msgpack_pack_map(&pk, present);
    for (uint32_t k = 0; k < ACTION_KEY_COUNT; k++)
        if (d->at[k].kind != V_NONE) pack_text(&pk, KEY_TEXT[k]), pack_value(&pk, d->at[k]);
    d->full |= out.full;
    return pack_slice(&out);
}

bool action_create(struct run *r, struct seat *seat, const struct step *s, const struct action_order *o)
{
    struct walk *w = r->w;
    struct draft d = {.r = r, .seat = seat, .step = s, .order = o};
    if (!o->channel) return false;
    fill_where_from(&d);
    o->kind == ACTION_SEND ? fill_send(&d) : fill_act(&d);
    struct slice content = pack_draft(&d);
    if (d.full || w->actions_made == WALK_ACTIONS_MAX || w->action_bytes + content.n > WALK_ACTION_BYTES_MAX)
        return false;
    w->actions_made++;
    w->action_bytes += content.n;
    struct action a = {.id = action_id(&seat->head, s->id), .channel = o->channel->id, .created_at = w->now};
    if (PLANTED(action_id_names_second)) a.id.lo += w->now;
    a.sequence = outbox_add(w->outbox, a.id, a.channel, w->now, content);
    CHECK(outbox_get(w->outbox, a.id, &a));
    w->actions->created += !o->test;
    r->dirty = true;
    if (w->on_action) w->on_action(w->observer, &a);
    return true;
}
