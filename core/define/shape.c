#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/define/scalar.h"
#include "core/define/table.h"

struct checker {
    struct diagnostics *d;
    bool for_running;
};

static void check(struct checker *c, struct node *n, const struct shape *shape, struct slice key);

/* ---- did you mean ------------------------------------------------------------------------ */

static bool next_word(const char **at, struct slice *word)
{
    if (!**at) return false;
    size_t n = strcspn(*at, "|");
    *word = slice_of(*at, n);
    *at += n + ((*at)[n] == '|');
    return true;
}

bool word_in(struct slice text, const char *words, uint32_t *index)
{
    struct slice word;
    for (uint32_t i = 0; next_word(&words, &word); i++) {
        if (!slice_eq(word, text)) continue;
        if (index) *index = i;
        return true;
    }
    return false;
}

const char *nearest_word(struct slice text, const char *const *words, uint32_t count, struct arena *a)
{
    uint32_t best = text.n < 4 ? 1 : text.n / 3;
    const char *found = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t distance = text_distance(text, slice_str(words[i]), best);
        if (distance > best || (found && distance == best)) continue;
        best = distance;
        found = words[i];
    }
    return found ? arena_printf(a, "did you mean '%s'?", found) : NULL;
}

const char *nearest_in_words(struct slice text, const char *words, struct arena *a)
{
    const char *list[32];
    uint32_t count = 0;
    struct slice word;
    while (count < 32 && next_word(&words, &word)) list[count++] = arena_strndup(a, word.p, word.n);
    return nearest_word(text, list, count, a);
}

static const char *nearest_key(struct slice text, const struct block *block, struct arena *a)
{
    const char *list[64];
    uint32_t count = 0;
    for (const struct key_row *row = block->keys; row->name && count < 64; row++) list[count++] = row->name;
    return nearest_word(text, list, count, a);
}

/* ---- scalars ------------------------------------------------------------------------------- */

static bool duration_in_bounds(struct checker *c, struct node *n, int64_t seconds)
{
    if (seconds <= SECONDS_MAX && seconds >= -SECONDS_MAX) return true;
    report_wrong(c->d, n, "3660d is the longest", "longer than ten years");
    return false;
}

static bool fits(struct checker *c, struct node *n, const struct shape *shape)
{
    struct slice s = n->text;
    bool plain = n->style == STYLE_PLAIN, computed = s.n && s.p[0] == '=', flag;
    int64_t seconds, integer;
    uint32_t a, b;
    int32_t days;
    double number;
    switch ((enum scalar_kind)shape->scalar) {
    case SCALAR_NONE: return false;
    case SCALAR_TEXT:
    case SCALAR_VALUE: return true;
    case SCALAR_NOTHING: return plain && text_is_null(s);
    case SCALAR_NAME: return s.n && s.n <= KEY_BYTES_MAX && !(plain && text_is_null(s)) && !computed;
    case SCALAR_FORMULA: return s.n && !(plain && text_is_null(s));
    case SCALAR_EXPRESSION: return s.n && !(plain && text_is_null(s)) && !computed;
    case SCALAR_BOOL: return plain && parse_bool(s, &flag);
    case SCALAR_COUNT: return plain && parse_integer(s, &integer) && integer >= 0 && integer <= UINT32_MAX;
    case SCALAR_INTEGER:
        return plain && parse_integer(s, &integer) && integer > INT32_MIN && integer <= INT32_MAX;
    case SCALAR_NUMBER: return plain && parse_number(s, &number);
    case SCALAR_PERCENT: return parse_percent(s, &a);
    case SCALAR_LIFETIME:
        if (slice_is(s, "never")) return true;
        if (parse_duration(s, &seconds) && !seconds) return false;
        /* fall through */
    case SCALAR_DURATION: return parse_duration(s, &seconds) && (duration_in_bounds(c, n, seconds), true);
    case SCALAR_OFFSET: return parse_offset(s, &seconds) && (duration_in_bounds(c, n, seconds), true);
    case SCALAR_CLOCK: return parse_clock(s, &a);
    case SCALAR_HOURS: return parse_hours(s, &a, &b);
    case SCALAR_DATE: return parse_date(s, &days);
    case SCALAR_RANGE: return parse_range(s, &a, &b);
    case SCALAR_RATE: return parse_rate(s, &a, &b);
    case SCALAR_WORD: return word_in(s, shape->words, NULL);
    }
    return false;
}

static const char *readable_words(const char *words, struct arena *a)
{
    char *text = arena_strndup(a, words, strlen(words));
    for (char *p = text; *p; p++)
        if (*p == '|') *p = ' ';
    return text;
}

/* What to write instead: the word that was meant, the number with a unit, or an example. */
static void fix_scalar(struct checker *c, const struct node *n, const struct shape *shape, struct slice key)
{
    struct arena *a = &c->d->arena;
    bool word = shape->scalar == SCALAR_WORD,
         time = shape->scalar == SCALAR_DURATION || shape->scalar == SCALAR_LIFETIME;
    int64_t number;
    const char *near = word && n->text.n ? nearest_in_words(n->text, shape->words, a) : NULL;
    if (near)
        report_fix(c->d, "%s", near);
    else if (time && n->style == STYLE_PLAIN && parse_integer(n->text, &number) && number > 0)
        report_fix(c->d, "add a unit: %.*ss, %.*sm, %.*sh or %.*sd", SHOWN(n->text), SHOWN(n->text),
                   SHOWN(n->text), SHOWN(n->text));
    else if (word)
        report_fix(c->d, "for example %.*s: %.*s", SHOWN(key), (int)strcspn(shape->words, "|"), shape->words);
    else if (shape->scalar == SCALAR_NOTHING)
        report_fix(c->d, "leave the value away");
    else if (n->text.n && n->text.p[0] == '=')
        report_fix(c->d,
                   shape->scalar == SCALAR_EXPRESSION
                       ? "leave '=' away: here an expression stands as it is"
                       : "write it out: here nothing is computed; = is for vars, set, title, to, template, "
                         "due and the from and to of attribute_changed");
    else
        report_fix(c->d, "for example %.*s: %s", SHOWN(key), scalar_example(shape->scalar));
}

static void check_scalar(struct checker *c, struct node *n, const struct shape *shape, struct slice key)
{
    if (fits(c, n, shape)) return;
    struct arena *a = &c->d->arena;
    bool word = shape->scalar == SCALAR_WORD, empty = n->style == STYLE_PLAIN && text_is_null(n->text);
    const char *expected = word ? arena_printf(a, "one of: %s", readable_words(shape->words, a))
                                : scalar_expected(shape->scalar);
    if (empty)
        report_node(c->d, n, "'%.*s' has no value: expected %s", SHOWN(key), expected);
    else
        report_node(c->d, n, "'%.*s': expected %s, found '%.*s'", SHOWN(key), expected, SHOWN(n->text));
    fix_scalar(c, n, shape, key);
}

/* ---- mappings -------------------------------------------------------------------------------- */

static const struct key_row *row_of(const struct block *block, struct slice key)
{
    for (const struct key_row *row = block->keys; row->name; row++)
        if (slice_is(key, row->name)) return row;
    return NULL;
}

static bool leaves_open(struct slice text)
{
    int32_t open = 0;
    for (uint32_t i = 0; i < text.n; i++) open += (text.p[i] == '(') - (text.p[i] == ')');
    return open > 0;
}

enum { CUT_PIECE = 1 }; /* mark of a key */

/* In braces YAML ends a text at ', ': what remains of a cut expression looks like a key without a value, behind the text
 * that it was cut from or behind another such piece, which report_cut has marked. */
static bool cut_expression(const struct node *map, uint32_t i)
{
    const struct node *key = node_key(map, i), *value = node_value(map, i);
    if (!map->flow || i == 0 || value->kind != NODE_SCALAR || value->text.n || key->style != STYLE_PLAIN)
        return false;
    const struct node *before = node_value(map, i - 1);
    bool behind_piece = node_key(map, i - 1)->mark == CUT_PIECE;
    if (before->kind != NODE_SCALAR || !(before->text.n || behind_piece)) return false;
    for (uint32_t k = 0; k < key->text.n; k++)
        if (strchr("()\"'<>=&|", key->text.p[k])) return true;
    return behind_piece || leaves_open(before->text);
}

/* Several pieces of one expression are one mistake, told at its beginning. */
static void report_cut(struct checker *c, struct node *map, uint32_t i)
{
    uint32_t last = i;
    do {
        node_key(map, last)->bad = node_value(map, last)->bad = true;
        node_key(map, last)->mark = CUT_PIECE;
    } while (++last < map->count && cut_expression(map, last));
    struct node *key = node_key(map, i - 1), *start = node_value(map, i - 1);
    struct slice whole = slice_of(map->file->text.p + start->at, node_key(map, last - 1)->end - start->at);
    report_node(c->d, start, "YAML cuts this expression at ', '");
    report_fix(c->d, "inside { } put it between single quotes: %.*s: '%.*s'", SHOWN(key->text), SHOWN(whole));
}

static const char *keys_of(const struct block *block, struct arena *a)
{
    const char *all = "there are";
    for (const struct key_row *row = block->keys; row->name; row++)
        all = arena_printf(a, "%s%s %s", all, row == block->keys ? "" : ",", row->name);
    return all;
}

static void unknown_key(struct checker *c, struct node *map, uint32_t i, const struct block *block)
{
    struct node *key = node_key(map, i);
    report_node(c->d, key, "unknown key '%.*s' in %s", SHOWN(key->text), block->title);
    const char *near = nearest_key(key->text, block, &c->d->arena);
    report_fix(c->d, "%s", near ? near : keys_of(block, &c->d->arena));
    node_value(map, i)->bad = true;
}

/* True: refused, because this set is to run. */
static bool not_yet(struct checker *c, struct node *key)
{
    report_at(c->d, c->for_running ? SEVERITY_ERROR : SEVERITY_WARNING, key->file, key->at, key->text.n,
              "not yet: '%.*s' is read and checked, but this version does not run it", SHOWN(key->text));
    report_fix(c->d, "take it out of what is to run now");
    return c->for_running;
}

static void check_pair(struct checker *c, struct node *map, uint32_t i, const struct shape *shape)
{
    struct node *key = node_key(map, i), *value = node_value(map, i);
    const struct key_row *row = shape->block ? row_of(shape->block, key->text) : NULL;
    if (!row && cut_expression(map, i)) {
        report_cut(c, map, i);
        return;
    }
    if (!row && !shape->values) {
        unknown_key(c, map, i, shape->block);
        return;
    }
    if (row && (row->flags & KEY_LATER) && not_yet(c, key)) {
        value->bad = true;
        return;
    }
    if (!row && (!key->text.n || key->text.n > KEY_BYTES_MAX)) {
        report_wrong(c->d, key, "shorten it", "a name has 1 to %d bytes", KEY_BYTES_MAX);
        return;
    }
    bool cut = i + 1 < map->count && cut_expression(map, i + 1) &&
               !(shape->block && row_of(shape->block, node_key(map, i + 1)->text));
    if (!cut) check(c, value, row ? &row->shape : shape->values, key->text);
}

static void check_required(struct checker *c, struct node *map, const struct block *block)
{
    for (const struct key_row *row = block->keys; row->name; row++) {
        if (!(row->flags & KEY_REQUIRED) || node_find(map, row->name)) continue;
        report_at(c->d, SEVERITY_ERROR, map->file, map->at, 1, "%s needs '%s': %s", block->title, row->name,
                  row->doc);
        report_fix(c->d, "add `%s:`", row->name);
        map->bad = true;
    }
}

static void check_mapping(struct checker *c, struct node *map, const struct shape *shape)
{
    uint32_t before = c->d->errors;
    for (uint32_t i = 0; i < map->count; i++)
        if (!node_key(map, i)->bad && !node_value(map, i)->bad) check_pair(c, map, i, shape);
    /* A misspelt key is not missing as well. */
    if (shape->block && c->d->errors == before) check_required(c, map, shape->block);
}

static void wrong_form(struct checker *c, struct node *n, const struct shape *shape, struct slice key)
{
    static const char *const found[] = {"a single value", "a list", "keys with values"};
    const char *wanted = shape->block || shape->values ? "keys with values"
                         : shape->item                 ? "a list"
                                                       : scalar_expected(shape->scalar);
    if (shape->scalar == SCALAR_WORD && !shape->block && !shape->values && !shape->item)
        wanted = arena_printf(&c->d->arena, "one of: %s", readable_words(shape->words, &c->d->arena));
    report_node(c->d, n, "'%.*s': expected %s, found %s", SHOWN(key), wanted, found[n->kind]);
    if (n->kind == NODE_SEQUENCE && shape->scalar == SCALAR_EXPRESSION)
        report_fix(c->d, "an expression that starts with [ must be quoted: put it between single quotes");
    else if (n->kind == NODE_MAPPING && shape->scalar == SCALAR_EXPRESSION)
        report_fix(
            c->d,
            "an expression that holds ': ' or starts with { must be quoted: put it between single quotes");
    else if (shape->block)
        report_fix(c->d, "%s", keys_of(shape->block, &c->d->arena));
    else if (shape->values)
        report_fix(c->d, "write `NAME: ...` below '%.*s', one line for each", SHOWN(key));
    else if (shape->item)
        report_fix(c->d, "write them as a list: %.*s: [one, another]", SHOWN(key));
    else
        report_fix(c->d, "for example %.*s: %s", SHOWN(key), scalar_example(shape->scalar));
}

static void check(struct checker *c, struct node *n, const struct shape *shape, struct slice key)
{
    if (n->bad) return;
    if (n->kind == NODE_SCALAR && shape->scalar != SCALAR_NONE) {
        check_scalar(c, n, shape, key);
    } else if (n->kind == NODE_MAPPING && (shape->block || shape->values)) {
        check_mapping(c, n, shape);
    } else if (n->kind == NODE_SEQUENCE && shape->item) {
        for (uint32_t i = 0; i < n->count; i++) check(c, n->list[i], shape->item, key);
    } else if (!(n->kind == NODE_SCALAR && text_is_null(n->text) && (shape->values || shape->item) &&
                 !shape->block)) {
        wrong_form(c, n, shape, key); /* `segments:` with nothing below is an empty block */
    }
}

void shape_check(struct node *n, const struct block *block, bool for_running, struct diagnostics *d)
{
    struct checker c = {d, for_running};
    struct shape shape = {.block = block};
    check(&c, n, &shape, slice_str(block->title));
}
