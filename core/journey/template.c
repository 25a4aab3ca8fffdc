/* template.c - text to a row of operations with jumps, and the small machine that runs them.
 *
 *   {% if a %}x{% else %}y{% endif %}      0 BRANCH a, else 3   1 TEXT x   2 JUMP 4   3 TEXT y
 *   {% for i in l %}z{% endfor %}          0 FOR l, end 3       1 TEXT z   2 NEXT 0
 *
 * While a block is open, its jumps to the end are a chain through their `to`. */
#include "core/journey/template.h"
#include "core/base/check.h"
#include "core/journey/pack.h"

#include <stdio.h>
#include <stdlib.h>

enum op_kind { OP_TEXT, OP_OUT, OP_BRANCH, OP_JUMP, OP_FOR, OP_NEXT };
enum { NO_OP = UINT32_MAX };

struct op {
    uint8_t kind;
    uint8_t loops; /* around it: how many items `program` knows; of FOR and NEXT the number of its own */
    bool raw;
    uint32_t to;
    struct slice text; /* TEXT; in the set's arena */
    struct slice date; /* OUT: how a time is written; empty: as RFC 3339 has it */
    const struct program *program;
    struct value otherwise; /* OUT: V_NONE: no default */
};
struct template_text {
    bool html;
    uint32_t count;
    const struct op *ops;
};

/* ---- parsing ------------------------------------------------------------------------------------ */

struct block {
    bool is_for, has_else;
    uint32_t at;      /* of the opening tag, for messages */
    uint32_t pending; /* BRANCH or FOR that waits for its target */
    uint32_t ends;    /* chain of JUMPs to the end */
};
struct parser {
    struct slice text;
    const struct template_host *host;
    struct arena *arena;
    struct op *ops;
    uint32_t count, capacity;
    struct block blocks[TEMPLATE_NESTING_MAX];
    uint32_t depth;
    struct expr_item items[TEMPLATE_NESTING_MAX]; /* of the loops that are open */
    uint8_t loops;
    bool failed, trim; /* trim: white space that follows goes */
};

static void fail(struct parser *p, struct slice where, const char *reason)
{
    p->failed = true;
    p->host->error(p->host->self, (uint32_t)(where.p - p->text.p), where.n, reason);
}

static uint32_t emit(struct parser *p, struct op op)
{
    if (p->count == p->capacity) {
        uint32_t capacity = p->capacity ? p->capacity * 2 : 16;
        struct op *more = ARENA_ARRAY(p->arena, struct op, capacity);
        if (p->count) memcpy(more, p->ops, p->count * sizeof *more);
        p->ops = more;
        p->capacity = capacity;
    }
    p->ops[p->count] = op;
    return p->count++;
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct slice trimmed(struct slice s)
{
    while (s.n && is_space(s.p[0])) s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1])) s.n--;
    return s;
}

static bool is_word(uint8_t c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct slice take_word(struct slice *s)
{
    *s = trimmed(*s);
    uint32_t n = 0;
    while (n < s->n && is_word(s->p[n])) n++;
    struct slice word = slice_of(s->p, n);
    *s = trimmed(slice_of(s->p + n, s->n - n));
    return word;
}

static void set_source(struct parser *p, struct op *op, struct slice expression)
{
    op->loops = p->loops;
    op->program =
        p->host->compile(p->host->self, expression, p->items, p->loops, (uint32_t)(expression.p - p->text.p));
    p->failed |= op->program == NULL;
}

/* Up to a single | outside quotes. */
static struct slice take_part(struct slice *s)
{
    uint8_t quote = 0;
    uint32_t i = 0;
    for (; i < s->n; i++) {
        uint8_t c = s->p[i];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '|' && i + 1 < s->n && s->p[i + 1] == '|')
            i++;
        else if (c == '|')
            break;
    }
    struct slice part = trimmed(slice_of(s->p, i));
    *s = i < s->n ? slice_of(s->p + i + 1, s->n - i - 1) : slice_of(s->p + s->n, 0);
    return part;
}

static bool literal(struct parser *p, struct slice s, struct value *out)
{
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0]) {
        *out = value_string(arena_slice(p->arena, slice_of(s.p + 1, s.n - 2)));
        return true;
    }
    char *end, *text = arena_strndup(p->arena, s.p, s.n);
    *out = value_double(strtod(text, &end));
    return s.n > 0 && *end == 0;
}

static const char DATE_LETTERS[] = "demyYHMS%";

static void apply_date(struct parser *p, struct op *op, struct slice argument)
{
    struct value format;
    enum expr_want kind = op->program ? program_result(op->program) : WANT_ANY;
    if (!literal(p, argument, &format) || format.kind != V_STRING || !format.n)
        return fail(p, argument, "a date's form is a text in quotes: \"%d.%m.%Y\"");
    if (kind != WANT_TIME && kind != WANT_ANY)
        return fail(p, argument, "this value is no date or time: its declaration says what it is");
    op->date = value_text(format);
    for (uint32_t i = 0; i < op->date.n; i++)
        if (op->date.p[i] == '%' && (++i == op->date.n || !strchr(DATE_LETTERS, op->date.p[i])))
            return fail(p, argument, "a date's form knows %d %e %m %y %Y %H %M %S and %%");
}

static void apply_filter(struct parser *p, struct op *op, struct slice filter)
{
    struct slice rest = filter, name = take_word(&rest);
    if (slice_is(name, "raw") && rest.n == 0)
        op->raw = true;
    else if (slice_is(name, "escape") && rest.n == 0)
        op->raw = false;
    else if (slice_is(name, "default") && rest.n && rest.p[0] == ':') {
        struct slice argument = trimmed(slice_of(rest.p + 1, rest.n - 1));
        if (!literal(p, argument, &op->otherwise))
            fail(p, argument, "a default is a text in quotes or a number");
    } else if (slice_is(name, "date") && rest.n && rest.p[0] == ':')
        apply_date(p, op, trimmed(slice_of(rest.p + 1, rest.n - 1)));
    else
        fail(p, filter, "unknown filter: there are default, date, raw and escape");
}

static void parse_output(struct parser *p, struct slice inside)
{
    struct slice rest = inside, path = take_part(&rest);
    struct op op = {.kind = OP_OUT};
    if (path.n == 0) return fail(p, inside, "nothing between {{ and }}");
    bool failed = p->failed;
    p->failed = false;
    set_source(p, &op, path);
    while (rest.n) apply_filter(p, &op, take_part(&rest));
    bool open = p->loops && op.program && program_result(op.program) == WANT_ANY; /* an item of any type */
    bool bare = op.otherwise.kind == V_NONE && op.program && (open || program_may_fail(op.program));
    if (!p->failed && bare && p->host->bare) /* one mistake is one message */
        p->host->bare(p->host->self, (uint32_t)(path.p - p->text.p), path.n);
    p->failed |= failed;
    emit(p, op);
}

/* ---- blocks --------------------------------------------------------------------------------------- */

static struct block *innermost(struct parser *p, struct slice tag, bool is_for)
{
    struct block *b = p->depth ? &p->blocks[p->depth - 1] : NULL;
    if (b && b->is_for == is_for) return b;
    fail(p, tag, "no open block that this belongs to");
    return NULL;
}

static struct block *open_block(struct parser *p, struct slice tag, bool is_for)
{
    if (p->depth == TEMPLATE_NESTING_MAX) return fail(p, tag, "blocks are nested too deep"), NULL;
    struct block *b = &p->blocks[p->depth];
    *b = (struct block){
        .is_for = is_for, .at = (uint32_t)(tag.p - p->text.p), .pending = NO_OP, .ends = NO_OP};
    return b;
}

static void open_if(struct parser *p, struct slice tag, struct slice condition)
{
    struct block *b = open_block(p, tag, false);
    if (!b) return;
    struct op op = {.kind = OP_BRANCH};
    set_source(p, &op, condition);
    p->depth++;
    b->pending = emit(p, op);
}

static void next_branch(struct parser *p, struct slice tag, const struct slice *condition)
{
    struct block *b = innermost(p, tag, false);
    if (!b) return;
    if (b->has_else) return fail(p, tag, "after else only endif may come");
    b->ends = emit(p, (struct op){.kind = OP_JUMP, .to = b->ends});
    p->ops[b->pending].to = p->count;
    b->has_else = condition == NULL;
    b->pending = NO_OP;
    if (!condition) return;
    struct op op = {.kind = OP_BRANCH};
    set_source(p, &op, *condition);
    b->pending = emit(p, op);
}

static void close_if(struct parser *p, struct slice tag)
{
    struct block *b = innermost(p, tag, false);
    if (!b) return;
    if (b->pending != NO_OP) p->ops[b->pending].to = p->count;
    for (uint32_t at = b->ends, next; at != NO_OP; at = next) {
        next = p->ops[at].to;
        p->ops[at].to = p->count;
    }
    p->depth--;
}

static void open_for(struct parser *p, struct slice tag, struct slice rest)
{
    struct slice name = take_word(&rest), in = take_word(&rest);
    if (name.n == 0 || !slice_is(in, "in") || rest.n == 0)
        return fail(p, tag, "write {% for name in list %}");
    struct block *b = open_block(p, tag, true);
    if (!b) return;
    struct op op = {.kind = OP_FOR};
    set_source(p, &op, rest);
    const struct type *item = op.program ? program_item(op.program) : NULL;
    if (op.program && !item) fail(p, rest, "this is no list");
    p->items[p->loops++] = (struct expr_item){name, item};
    p->depth++;
    b->pending = emit(p, op);
}

static void close_for(struct parser *p, struct slice tag)
{
    struct block *b = innermost(p, tag, true);
    if (!b) return;
    p->loops--;
    emit(p, (struct op){.kind = OP_NEXT, .loops = p->loops, .to = b->pending + 1});
    p->ops[b->pending].to = p->count;
    p->depth--;
}

static void parse_tag(struct parser *p, struct slice tag)
{
    struct slice rest = tag, word = take_word(&rest);
    if (slice_is(word, "if"))
        open_if(p, tag, rest);
    else if (slice_is(word, "elsif"))
        next_branch(p, tag, &rest);
    else if (slice_is(word, "else"))
        next_branch(p, tag, NULL);
    else if (slice_is(word, "endif"))
        close_if(p, tag);
    else if (slice_is(word, "for"))
        open_for(p, tag, rest);
    else if (slice_is(word, "endfor"))
        close_for(p, tag);
    else
        fail(p, tag, "unknown tag: there are if, elsif, else, endif, for and endfor");
}

static void put_literal(struct parser *p, struct slice s, bool trim_end)
{
    while (p->trim && s.n && is_space(s.p[0])) s.p++, s.n--;
    while (trim_end && s.n && is_space(s.p[s.n - 1])) s.n--;
    if (s.n) emit(p, (struct op){.kind = OP_TEXT, .text = arena_slice(p->arena, s)});
}

/* The next {{ or {% at or after `at`; the text's length if there is none. */
static uint32_t find_open(struct slice s, uint32_t at)
{
    for (; at + 1 < s.n; at++)
        if (s.p[at] == '{' && (s.p[at + 1] == '{' || s.p[at + 1] == '%')) return at;
    return s.n;
}

static uint32_t find_close(struct slice s, uint32_t at, uint8_t first)
{
    uint8_t quote = 0;
    for (; at + 1 < s.n; at++) {
        uint8_t c = s.p[at];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == first && s.p[at + 1] == '}')
            return at;
    }
    return s.n;
}

static uint32_t parse_braces(struct parser *p, uint32_t open, uint32_t literal_from)
{
    struct slice s = p->text;
    bool output = s.p[open + 1] == '{';
    uint32_t begin = open + 2, close = find_close(s, begin, output ? '}' : '%');
    if (close == s.n) return fail(p, slice_of(s.p + open, 2), "this is never closed"), s.n;
    struct slice inside = slice_of(s.p + begin, close - begin);
    bool trim_before = inside.n && inside.p[0] == '-',
         trim_after = inside.n > 1 && inside.p[inside.n - 1] == '-';
    put_literal(p, slice_of(s.p + literal_from, open - literal_from), trim_before);
    inside = trimmed(slice_of(inside.p + trim_before, inside.n - trim_before - trim_after));
    p->trim = trim_after;
    output ? parse_output(p, inside) : parse_tag(p, inside);
    return close + 2;
}

const struct template_text *template_parse(struct slice text, bool html, const struct template_host *host,
                                           struct arena *a)
{
    struct parser p = {.text = text, .host = host, .arena = a};
    uint32_t at = 0;
    while (at < text.n) {
        uint32_t open = find_open(text, at);
        if (open < text.n) {
            at = parse_braces(&p, open, at);
            continue;
        }
        put_literal(&p, slice_of(text.p + at, text.n - at), false);
        at = text.n;
    }
    if (p.depth) fail(&p, slice_of(text.p + p.blocks[p.depth - 1].at, 2), "this block is never closed");
    if (p.failed) return NULL;
    struct template_text *t = ARENA_NEW(a, struct template_text);
    *t = (struct template_text){html, p.count, p.ops};
    return t;
}

/* ---- rendering -------------------------------------------------------------------------------------- */

struct machine_loop {
    struct value list;
    uint32_t at;
    bool message; /* its numbers are doubles, whatever they came as */
};
struct render_run {
    struct expr_context *ctx;
    struct pack out;
    struct machine_loop loops[TEMPLATE_NESTING_MAX];
    struct value items[TEMPLATE_NESTING_MAX]; /* at hand, one of each loop */
    bool html, missing;
};

static struct value source(struct render_run *r, const struct op *op)
{
    return program_run_over(op->program, r->items, op->loops, r->ctx);
}

static void put(struct render_run *r, const void *p, size_t n) { pack_write(&r->out, p, n); }

static void put_escaped(struct render_run *r, struct slice s)
{
    for (uint32_t i = 0; i < s.n; i++) {
        const char *entity = NULL;
        switch (s.p[i]) {
        case '&': entity = "&amp;"; break;
        case '<': entity = "&lt;"; break;
        case '>': entity = "&gt;"; break;
        case '"': entity = "&quot;"; break;
        case '\'': entity = "&#39;"; break;
        }
        if (entity)
            put(r, entity, strlen(entity));
        else
            put(r, &s.p[i], 1);
    }
}

static struct slice number_text(double d, char out[40])
{
    if (d == (double)(int64_t)d && d < 1e15 && d > -1e15)
        return slice_of(out, (size_t)snprintf(out, 40, "%lld", (long long)d));
    int n = snprintf(out, 40, "%.15g", d);
    if (strtod(out, NULL) != d) n = snprintf(out, 40, "%.17g", d);
    return slice_of(out, (size_t)n);
}

/* False: nothing that could be shown. */
static bool scalar_text(struct value v, char small[40], struct slice *out)
{
    switch ((enum value_kind)v.kind) {
    case V_STRING: *out = value_text(v); return true;
    case V_BOOL: *out = v.b ? SLICE("true") : SLICE("false"); return true;
    case V_INT: *out = slice_of(small, (size_t)snprintf(small, 40, "%lld", (long long)v.i)); return true;
    case V_UINT:
        *out = slice_of(small, (size_t)snprintf(small, 40, "%llu", (unsigned long long)v.u));
        return true;
    case V_DOUBLE: *out = number_text(v.d, small); return true;
    case V_TIME:
        *out = slice_of(small, iso8601_print(v.i * 1000 + (int32_t)v.n / 1000000, small));
        return true;
    case V_DURATION:
        *out = slice_of(small, (size_t)snprintf(small, 40, "%llds", (long long)v.i));
        return true;
    default: return false;
    }
}

static bool put_value(struct render_run *r, struct value v, bool raw)
{
    char small[40];
    struct slice text;
    v = value_expand(v, r->ctx->scratch);
    for (uint32_t i = 0; v.kind == V_LIST && i < v.n; i++) {
        if (i) put(r, ", ", 2);
        if (!put_value(r, v.list[i], raw)) return false;
    }
    if (v.kind == V_LIST) return v.n > 0;
    if (!scalar_text(v, small, &text)) return false;
    if (r->html && !raw)
        put_escaped(r, text);
    else
        put(r, text.p, text.n);
    return true;
}

static int date_part(const struct civil *c, char letter, char two[16])
{
    switch (letter) {
    case 'd': return snprintf(two, 16, "%02d", c->day);
    case 'e': return snprintf(two, 16, "%d", c->day);
    case 'm': return snprintf(two, 16, "%02d", c->month);
    case 'y': return snprintf(two, 16, "%02d", c->year % 100);
    case 'Y': return snprintf(two, 16, "%d", c->year);
    case 'H': return snprintf(two, 16, "%02d", c->hour);
    case 'M': return snprintf(two, 16, "%02d", c->minute);
    case 'S': return snprintf(two, 16, "%02d", c->second);
    default: return snprintf(two, 16, "%%");
    }
}

/* A time or a civil day, also one that a message wrote as text. */
static bool civil_of(const struct render_run *r, const struct op *op, struct value v, struct civil *out)
{
    bool day = v.kind == V_STRING ? v.n == 10 /* 2026-03-01 */ : program_yields_date(op->program);
    if (v.kind == V_STRING && !value_fit(v, day ? T_DATE : T_TIME, false, &v)) return false;
    if (v.kind != V_TIME) return false;
    zone_civil(day || !r->ctx->zone ? zone_utc() : r->ctx->zone, v.i, out);
    return true;
}

static struct value dated(struct render_run *r, const struct op *op, struct value v)
{
    struct civil c;
    struct pack text = {.arena = r->ctx->scratch};
    char two[16];
    if (!op->date.n) return v;
    if (!civil_of(r, op, v, &c)) return value_none();
    for (uint32_t i = 0; i < op->date.n; i++) {
        bool letter = op->date.p[i] == '%';
        i += letter;
        int n = letter ? date_part(&c, (char)op->date.p[i], two) : 0;
        pack_write(&text, letter ? (const void *)two : &op->date.p[i], letter ? (size_t)n : 1);
    }
    return text.full ? value_none() : value_string(pack_slice(&text));
}

static void do_output(struct render_run *r, const struct op *op)
{
    struct value v = dated(r, op, source(r, op));
    bool empty = v.kind == V_STRING && v.n == 0 && op->otherwise.kind != V_NONE;
    if (!empty && put_value(r, v, op->raw)) return;
    if (op->otherwise.kind == V_NONE)
        r->missing = true;
    else
        put_value(r, op->otherwise, op->raw);
}

/* As Liquid has it: what is absent or false is false; numbers and text are true. */
static bool truth(struct value v)
{
    return v.kind == V_BOOL ? v.b : v.kind != V_NONE && v.kind != V_NULL && v.kind != V_ERROR;
}

static void take_item(struct render_run *r, uint32_t loop)
{
    const struct machine_loop *l = &r->loops[loop];
    struct value v = l->list.list[l->at];
    if (l->message && v.kind == V_INT) v = value_double((double)v.i);
    if (l->message && v.kind == V_UINT) v = value_double((double)v.u);
    r->items[loop] = v;
}

static uint32_t begin_loop(struct render_run *r, const struct op *op, uint32_t pc)
{
    struct value range = source(r, op), list = value_expand(range, r->ctx->scratch);
    if (list.kind != V_LIST || !list.n) return op->to;
    r->loops[op->loops] = (struct machine_loop){list, 0, range.kind == V_RAW};
    take_item(r, op->loops);
    return pc + 1;
}

static uint32_t next_round(struct render_run *r, const struct op *op, uint32_t pc)
{
    struct machine_loop *l = &r->loops[op->loops];
    if (++l->at == l->list.n) return pc + 1;
    take_item(r, op->loops);
    return op->to;
}

static uint32_t step(struct render_run *r, const struct op *op, uint32_t pc)
{
    switch ((enum op_kind)op->kind) {
    case OP_TEXT: put(r, op->text.p, op->text.n); return pc + 1;
    case OP_OUT: do_output(r, op); return pc + 1;
    case OP_BRANCH: return truth(source(r, op)) ? pc + 1 : op->to;
    case OP_JUMP: return op->to;
    case OP_FOR: return begin_loop(r, op, pc);
    case OP_NEXT: return next_round(r, op, pc);
    }
    return pc + 1;
}

enum render template_render(const struct template_text *t, struct expr_context *ctx, struct slice *out)
{
    struct render_run r = {.ctx = ctx, .out = {.arena = ctx->scratch}, .html = t->html};
    for (uint32_t pc = 0; pc < t->count && !r.out.full && r.out.n <= TEMPLATE_BYTES_MAX;)
        pc = step(&r, &t->ops[pc], pc);
    if (r.out.full || r.out.n > TEMPLATE_BYTES_MAX) return RENDER_FULL;
    *out = pack_slice(&r.out);
    return r.missing ? RENDER_MISSING : RENDER_OK;
}
