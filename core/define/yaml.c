#include "core/define/yaml.h"
#include "core/base/check.h"
#include "core/base/hash.h"

#include <yaml.h>

struct parse {
    yaml_parser_t parser;
    const struct source_file *file;
    struct arena *arena;
    struct diagnostics *d;
    uint32_t character, byte; /* the same place, counted both ways */
    bool failed;
};

/* libyaml counts characters; the file is bytes. Marks mostly move forward, so going on from the last one is cheap. */
static uint32_t byte_of(struct parse *p, size_t character)
{
    if (character < p->character) p->character = p->byte = 0;
    struct slice text = p->file->text;
    while (p->character < character && p->byte < text.n) {
        do p->byte++;
        while (p->byte < text.n && (text.p[p->byte] & 0xc0) == 0x80);
        p->character++;
    }
    return p->byte;
}

/* ---- expressions that YAML cuts or swallows ---------------------------------------------- */

static struct slice line_text(const struct source_file *file, uint32_t at)
{
    uint32_t from = at < file->text.n ? at : file->text.n, to = from;
    while (from && file->text.p[from - 1] != '\n') from--;
    while (to < file->text.n && file->text.p[to] != '\n' && file->text.p[to] != '\r') to++;
    return slice_of(file->text.p + from, to - from);
}

static int32_t find(struct slice s, uint32_t from, const char *what)
{
    uint32_t n = (uint32_t)strlen(what);
    for (uint32_t i = from; i + n <= s.n; i++)
        if (memcmp(s.p + i, what, n) == 0) return (int32_t)i;
    return -1;
}

/* What stands behind the first `key: ` of the line at hand; empty: nothing. */
static struct slice value_on_line(const struct source_file *file, uint32_t at)
{
    struct slice line = line_text(file, at);
    int32_t colon = find(line, 0, ": ");
    uint32_t from = colon < 0 ? line.n : (uint32_t)colon + 2;
    while (from < line.n && line.p[from] == ' ') from++;
    return slice_of(line.p + from, line.n - from);
}

static const char TAG_REASON[] = "this starts with '!', which YAML takes for a type tag";

/* Does it look like an expression that needs quotes? */
static void quote_hint(struct parse *p, struct slice value)
{
    if (value.n && strchr("!\"'[&*%@`", value.p[0]))
        report_fix(
            p->d,
            "an expression that starts with %c must be quoted for YAML's sake: put it between single quotes",
            value.p[0]);
    else if (value.n && value.p[0] == '{')
        report_fix(p->d,
                   "an expression that starts with { must be quoted, and so must one inside { } that holds "
                   "', ', ': ' or a bracket: put it between single quotes");
    else if (find(value, 0, ": ") >= 0)
        report_fix(p->d,
                   "a text that holds ': ' must be quoted for YAML's sake: put it between single quotes");
    else
        report_fix(p->d,
                   "indent with spaces, close every bracket and quote, and put texts with signs of YAML "
                   "between single quotes");
}

static void parser_failed(struct parse *p)
{
    const yaml_parser_t *y = &p->parser;
    p->failed = true;
    if (y->error == YAML_READER_ERROR) {
        report_at(p->d, SEVERITY_ERROR, p->file, (uint32_t)y->problem_offset, 1, "%s", y->problem);
        report_fix(p->d, "definition files are UTF-8 text");
        return;
    }
    uint32_t at = byte_of(p, y->problem_mark.index);
    struct slice value = value_on_line(p->file, at);
    if (value.n && value.p[0] == '!')
        report_at(p->d, SEVERITY_ERROR, p->file, (uint32_t)(value.p - p->file->text.p), value.n, "%s",
                  TAG_REASON);
    else
        report_at(p->d, SEVERITY_ERROR, p->file, at, 1, "%s%s%s", y->problem ? y->problem : "not YAML",
                  y->context ? ", " : "", y->context ? y->context : "");
    quote_hint(p, value);
}

/* ---- events to nodes ------------------------------------------------------------------------ */

static bool next_event(struct parse *p, yaml_event_t *e)
{
    if (yaml_parser_parse(&p->parser, e)) return true;
    parser_failed(p);
    return false;
}

static void refuse(struct parse *p, const yaml_event_t *e, const char *what, const char *fix)
{
    uint32_t at = byte_of(p, e->start_mark.index), end = byte_of(p, e->end_mark.index);
    report_at(p->d, SEVERITY_ERROR, p->file, at, end - at, "%s", what);
    report_fix(p->d, "%s", fix);
}

/* True when the event carries what definitions do without. */
static bool has_extras(struct parse *p, const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
    if (e->type == YAML_MAPPING_START_EVENT)
        anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
    if (e->type == YAML_ALIAS_EVENT || anchor)
        refuse(p, e, "anchors and aliases are not used in definitions",
               "write the value out; an expression goes between quotes");
    else if (tag)
        refuse(p, e, TAG_REASON,
               "an expression that starts with ! must be quoted: put it between single quotes");
    else
        return false;
    return true;
}

static struct node *node_new(struct parse *p, const yaml_event_t *e, enum node_kind kind)
{
    struct node *n = ARENA_NEW(p->arena, struct node);
    n->kind = (uint8_t)kind;
    n->file = p->file;
    n->at = byte_of(p, e->start_mark.index);
    n->end = byte_of(p, e->end_mark.index);
    n->bad = has_extras(p, e);
    return n;
}

static struct node *scalar_node(struct parse *p, const yaml_event_t *e)
{
    static const uint8_t styles[] = {STYLE_PLAIN,  STYLE_PLAIN, STYLE_SINGLE,
                                     STYLE_DOUBLE, STYLE_BLOCK, STYLE_BLOCK};
    struct node *n = node_new(p, e, NODE_SCALAR);
    n->text =
        slice_of(arena_strndup(p->arena, e->data.scalar.value, e->data.scalar.length), e->data.scalar.length);
    n->style = styles[e->data.scalar.style];
    return n;
}

static void append(struct parse *p, struct node *n, uint32_t *capacity, uint32_t used, struct node *child)
{
    if (used == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 8;
        struct node **list = ARENA_ARRAY(p->arena, struct node *, *capacity);
        if (used) memcpy(list, n->list, sizeof *list * used);
        n->list = list;
    }
    n->list[used] = child;
}

static struct node *parse_node(struct parse *p, yaml_event_t *e, uint32_t depth);

static struct node *parse_children(struct parse *p, struct node *n, yaml_event_type_t end, uint32_t depth)
{
    uint32_t capacity = 0, used = 0;
    if (depth >= YAML_DEPTH_MAX) {
        report_node(p->d, n, "nested deeper than %d levels", YAML_DEPTH_MAX);
        report_fix(p->d, "name a step with `id` and use `goto` instead of nesting further");
        p->failed = true;
        return NULL;
    }
    for (;;) {
        yaml_event_t e;
        if (!next_event(p, &e)) return NULL;
        bool done = e.type == end;
        if (done) n->end = byte_of(p, e.end_mark.index);
        struct node *child = done ? NULL : parse_node(p, &e, depth + 1);
        yaml_event_delete(&e);
        if (done) break;
        if (!child) return NULL;
        append(p, n, &capacity, used++, child);
    }
    n->count = end == YAML_MAPPING_END_EVENT ? used / 2 : used;
    return n;
}

/* In braces a text without a value that has brackets is a piece of a cut expression (shape.c), not a name. */
static bool is_piece(const struct node *map, uint32_t i)
{
    struct slice key = node_key(map, i)->text;
    bool empty = node_value(map, i)->kind == NODE_SCALAR && !node_value(map, i)->text.n;
    return map->flow && empty && (memchr(key.p, '(', key.n) || memchr(key.p, ')', key.n));
}

static void check_keys(struct parse *p, struct node *map)
{
    struct key_index index = key_index_new(map->count, p->arena);
    for (uint32_t i = 0; i < map->count; i++) {
        struct node *key = node_key(map, i);
        if (key->kind != NODE_SCALAR) {
            report_wrong(p->d, key, "write `name: value`", "a key must be a plain text");
            continue;
        }
        uint32_t first = key_index_put(&index, map, i);
        if (first == i || is_piece(map, i)) continue;
        report_wrong(p->d, key, "keep one of them, or give this one another name",
                     "duplicate key '%.*s': it stands in line %u already", SHOWN(key->text),
                     line_of(p->file, node_key(map, first)->at));
        node_value(map, i)->bad = true;
    }
}

static struct node *parse_node(struct parse *p, yaml_event_t *e, uint32_t depth)
{
    struct node *n;
    switch (e->type) {
    case YAML_SCALAR_EVENT: return scalar_node(p, e);
    case YAML_ALIAS_EVENT: return node_new(p, e, NODE_SCALAR);
    case YAML_SEQUENCE_START_EVENT:
        n = node_new(p, e, NODE_SEQUENCE);
        n->flow = e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        return parse_children(p, n, YAML_SEQUENCE_END_EVENT, depth);
    case YAML_MAPPING_START_EVENT:
        n = node_new(p, e, NODE_MAPPING);
        n->flow = e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        if (!parse_children(p, n, YAML_MAPPING_END_EVENT, depth)) return NULL;
        check_keys(p, n);
        return n;
    default: CHECK(!"an event of this type starts no node"); return NULL;
    }
}

/* The one document of the file. */
static struct node *parse_stream(struct parse *p)
{
    struct node *root = NULL;
    for (bool more = true; more && !p->failed;) {
        yaml_event_t e;
        if (!next_event(p, &e)) break;
        if (e.type == YAML_STREAM_END_EVENT) {
            more = false;
        } else if (e.type == YAML_DOCUMENT_START_EVENT && root) {
            refuse(p, &e, "a definition file holds one document", "remove the '---' line, or make two files");
            p->failed = true;
        } else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_START_EVENT &&
                   e.type != YAML_DOCUMENT_END_EVENT) {
            root = parse_node(p, &e, 0);
        }
        yaml_event_delete(&e);
    }
    return p->failed ? NULL : root;
}

/* What libyaml would read in another way than people expect. */
static bool refused_bytes(const struct source_file *f, struct diagnostics *d)
{
    const uint8_t *p = f->text.p;
    const uint8_t *nul = f->text.n ? memchr(p, 0, f->text.n) : NULL;
    const char *reason = NULL;
    if (f->text.n > YAML_BYTES_MAX)
        reason = "the file is larger than 1 MiB";
    else if (f->text.n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
        reason = "the file is UTF-16";
    else if (f->text.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        reason = "the file starts with a byte order mark";
    if (!reason && nul) {
        report_at(d, SEVERITY_ERROR, f, (uint32_t)(nul - p), 1, "a NUL byte");
        report_fix(d, "remove it: definition files are text");
        return true;
    }
    if (!reason) return false;
    report_at(d, SEVERITY_ERROR, f, 0, 1, "%s", reason);
    d->list[d->count - 1].source_line = (struct slice){0};
    if (f->text.n <= YAML_BYTES_MAX) report_fix(d, "save it as plain UTF-8 text without a byte order mark");
    return true;
}

struct node *yaml_parse(const struct source_file *file, struct arena *a, struct diagnostics *d)
{
    if (refused_bytes(file, d)) return NULL;
    struct parse p = {.file = file, .arena = a, .d = d};
    CHECK(yaml_parser_initialize(&p.parser));
    yaml_parser_set_encoding(&p.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.parser, file->text.p ? file->text.p : (const uint8_t *)"", file->text.n);
    struct node *root = parse_stream(&p);
    yaml_parser_delete(&p.parser);
    return root;
}

/* ---- places inside scalars ------------------------------------------------------------------- */

static bool blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Length of an escape in a double-quoted scalar, and how many bytes of its value are not blank. */
static uint32_t escape_length(const uint8_t *p, const uint8_t *end, uint32_t *solid)
{
    uint32_t digits = p + 1 >= end ? 0 : p[1] == 'x' ? 2 : p[1] == 'u' ? 4 : p[1] == 'U' ? 8 : 0;
    uint32_t code = 0;
    *solid = p + 1 < end && !strchr("nrt \t\n\r", p[1]);
    for (uint32_t i = 0; i < digits && p + 2 + i < end; i++)
        code = code * 16 + (uint32_t)(p[2 + i] <= '9' ? p[2 + i] - '0' : (p[2 + i] | 32) - 'a' + 10);
    if (digits) *solid = code < 0x80 ? !blank((uint8_t)code) : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (p + 1 < end && strchr("NLP_", p[1])) *solid = p[1] == 'N' || p[1] == '_' ? 2 : 3;
    return 2 + digits;
}

static uint32_t content_start(const struct node *n)
{
    uint32_t at = n->at;
    if (n->style == STYLE_SINGLE || n->style == STYLE_DOUBLE) return at + 1;
    if (n->style == STYLE_BLOCK)
        while (at < n->end && n->file->text.p[at] != '\n') at++;
    return at;
}

/* Folding changes blanks only: the other bytes come in the same order in the file as in the value, so the place of
 * one is found by counting them, and no scalar has to remember its layout. */
uint32_t node_byte(const struct node *n, uint32_t k)
{
    if (n->kind != NODE_SCALAR) return n->at;
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < k && i < n->text.n; i++) wanted += !blank(n->text.p[i]);
    bool on_blank = k >= n->text.n || blank(n->text.p[k]);
    const uint8_t *text = n->file->text.p, *end = text + n->end;
    const uint8_t *p = text + content_start(n), *after = p;
    for (uint32_t seen = 0; p < end;) {
        uint32_t length = 1, solid = !blank(*p);
        if (n->style == STYLE_DOUBLE && *p == '\\')
            length = escape_length(p, end, &solid);
        else if (n->style == STYLE_SINGLE && *p == '\'')
            length = 2;
        if (solid && seen + solid > wanted && !on_blank) return (uint32_t)(p - text);
        if (on_blank && seen >= wanted) return (uint32_t)(after - text);
        seen += solid;
        p += length;
        if (solid) after = p;
    }
    return (uint32_t)((on_blank && after < end ? after : end) - text);
}

/* ---- looking ---------------------------------------------------------------------------------- */

struct node *node_find(const struct node *map, const char *key)
{
    if (!map || !key || map->kind != NODE_MAPPING) return NULL; /* no key: that of a key which is no text */
    for (uint32_t i = 0; i < map->count; i++)
        if (node_key(map, i)->kind == NODE_SCALAR && slice_is(node_key(map, i)->text, key))
            return node_value(map, i);
    return NULL;
}

struct key_index key_index_new(uint32_t pairs_max, struct arena *a)
{
    uint32_t size = 8;
    while (size < 2 * pairs_max) size *= 2;
    return (struct key_index){ARENA_ARRAY(a, uint32_t, size), size - 1};
}

uint32_t key_index_put(struct key_index *x, const struct node *map, uint32_t pair)
{
    struct slice key = node_key(map, pair)->text;
    uint32_t i = (uint32_t)hash64_plain(key.p, key.n) & x->mask;
    for (; x->slots[i]; i = (i + 1) & x->mask)
        if (slice_eq(node_key(map, x->slots[i] - 1)->text, key)) return x->slots[i] - 1;
    x->slots[i] = pair + 1;
    return pair;
}

/* Mostly it stands where it stood. */
static struct node *find_slice(const struct node *map, struct slice key, uint32_t near)
{
    if (slice_eq(node_key(map, near)->text, key)) return node_value(map, near);
    for (uint32_t i = 0; i < map->count; i++)
        if (slice_eq(node_key(map, i)->text, key)) return node_value(map, i);
    return NULL;
}

bool node_same(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->count != b->count) return false;
    if (a->kind == NODE_SCALAR)
        return slice_eq(a->text, b->text) && (a->style == STYLE_PLAIN) == (b->style == STYLE_PLAIN);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct node *other =
            a->kind == NODE_SEQUENCE ? b->list[i] : find_slice(b, node_key(a, i)->text, i);
        if (!other || !node_same(a->kind == NODE_SEQUENCE ? a->list[i] : node_value(a, i), other))
            return false;
    }
    return true;
}

/* Lengths before texts make it unambiguous; quoting and layout leave no trace. */
void node_canonical(const struct node *n, struct buf *out)
{
    buf_put_u8(out, "s[{"[n->kind]);
    buf_put_le32(out, n->kind == NODE_SCALAR ? n->text.n : n->count);
    if (n->kind == NODE_SCALAR) buf_put_slice(out, n->text);
    uint32_t children = n->kind == NODE_MAPPING ? n->count * 2 : n->count;
    for (uint32_t i = 0; i < children; i++) node_canonical(n->list[i], out);
}
