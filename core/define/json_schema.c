/* json_schema.c - the table (table.c) as JSON Schema draft-07, so that an editor completes what the reader takes.
 * Every block is one definition, named after its title; steps refer to themselves through it. */
#include "core/define/table.h"

struct writer {
    struct buf *out;
    const struct block *blocks[96]; /* met so far; those below `written` are put out */
    uint32_t count, written;
};

static void put_string(struct buf *out, const char *text, size_t n)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\') buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)text[i]);
    }
    buf_put_u8(out, '"');
}

static void put_text(struct buf *out, const char *text) { put_string(out, text, strlen(text)); }

static uint32_t number_of(struct writer *w, const struct block *block)
{
    uint32_t i = 0;
    while (i < w->count && w->blocks[i] != block) i++;
    if (i == w->count && w->count < sizeof w->blocks / sizeof *w->blocks) w->blocks[w->count++] = block;
    return i;
}

#define DURATION "(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?"
#define CLOCK    "([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"

/* Texts that only the reader understands are told as text with a pattern, so that an editor marks what is no such. */
static const char *pattern_of(enum scalar_kind kind)
{
    switch (kind) {
    case SCALAR_PERCENT: return "^(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)%$";
    case SCALAR_DURATION: return "^" DURATION "$";
    case SCALAR_LIFETIME: return "^(never|(?=.*[1-9])" DURATION ")$";
    case SCALAR_OFFSET: return "^[-+]?" DURATION "$";
    case SCALAR_CLOCK: return "^" CLOCK "$";
    case SCALAR_HOURS: return "^" CLOCK "-" CLOCK "$";
    case SCALAR_DATE: return "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";
    case SCALAR_RANGE: return "^([0-9]+\\.\\.[0-9]*|\\.\\.[0-9]+)$";
    case SCALAR_RATE: return "^[0-9]+ *per  *" DURATION " *$";
    default: return NULL;
    }
}

static void put_words(struct buf *out, const char *words)
{
    buf_put_str(out, "\"enum\":[");
    while (*words) {
        size_t n = strcspn(words, "|");
        put_string(out, words, n);
        words += n + (words[n] == '|');
        if (*words) buf_put_u8(out, ',');
    }
    buf_put_u8(out, ']');
}

static void put_pattern(struct buf *out, const char *pattern)
{
    buf_put_str(out, "\"type\":\"string\",\"pattern\":");
    put_text(out, pattern);
}

static void put_scalar(struct buf *out, const struct shape *s)
{
    const char *pattern = pattern_of(s->scalar);
    buf_put_u8(out, '{');
    if (s->scalar == SCALAR_WORD)
        put_words(out, s->words);
    else if (s->scalar == SCALAR_BOOL)
        buf_put_str(out, "\"type\":\"boolean\"");
    else if (s->scalar == SCALAR_COUNT)
        buf_put_str(out, "\"type\":\"integer\",\"minimum\":0");
    else if (s->scalar == SCALAR_INTEGER)
        buf_put_str(out, "\"type\":\"integer\"");
    else if (s->scalar == SCALAR_NUMBER)
        buf_put_str(out, "\"type\":\"number\"");
    else if (s->scalar == SCALAR_NOTHING)
        buf_put_str(out, "\"type\":\"null\"");
    else if (pattern)
        put_pattern(out, pattern);
    else if (s->scalar == SCALAR_NAME || s->scalar == SCALAR_EXPRESSION) /* no = before it */
        buf_put_str(out, "\"type\":[\"string\",\"number\",\"boolean\"],\"pattern\":\"^[^=]\"");
    else if (s->scalar == SCALAR_FORMULA)
        buf_put_str(out, "\"type\":[\"string\",\"number\",\"boolean\"],\"minLength\":1");
    else
        buf_put_str(out, "\"type\":[\"string\",\"number\",\"boolean\",\"null\"]");
    buf_put_u8(out, '}');
}

static void put_shape(struct writer *w, const struct shape *s);

/* Steps and values hold themselves: a list of them refers back instead of unfolding. */
static void put_inner(struct writer *w, const struct shape *inner, const struct shape *outer)
{
    if (inner == outer || inner->values == inner)
        buf_put_str(w->out, "true");
    else
        put_shape(w, inner);
}

static void put_form(struct writer *w, const struct shape *s, uint32_t form)
{
    if (form == 0) put_scalar(w->out, s);
    if (form == 1 && s->block) {
        buf_printf(w->out, "{\"$ref\":\"#/definitions/%u\"}", number_of(w, s->block));
    } else if (form == 1) {
        buf_put_str(w->out, "{\"type\":\"object\",\"additionalProperties\":");
        put_inner(w, s->values, s);
        buf_put_u8(w->out, '}');
    }
    if (form != 2) return;
    buf_put_str(w->out, "{\"type\":\"array\",\"items\":");
    put_inner(w, s->item, s);
    buf_put_u8(w->out, '}');
}

static void put_shape(struct writer *w, const struct shape *s)
{
    bool forms[3] = {s->scalar != SCALAR_NONE, s->block || s->values, s->item != NULL};
    uint32_t count = forms[0] + forms[1] + forms[2];
    if (count > 1) buf_put_str(w->out, "{\"anyOf\":[");
    for (uint32_t i = 0, put = 0; i < 3; i++) {
        if (!forms[i]) continue;
        if (put++) buf_put_u8(w->out, ',');
        put_form(w, s, i);
    }
    if (count > 1) buf_put_str(w->out, "]}");
}

static void put_block(struct writer *w, const struct block *block)
{
    uint32_t required = 0;
    buf_put_str(w->out, "{\"title\":");
    put_text(w->out, block->title);
    buf_put_str(w->out, ",\"type\":\"object\",\"properties\":{");
    for (const struct key_row *row = block->keys; row->name; row++) {
        if (row != block->keys) buf_put_u8(w->out, ',');
        put_text(w->out, row->name);
        buf_put_str(w->out, ":{\"description\":");
        put_text(w->out, row->doc);
        buf_put_str(w->out, ",\"allOf\":[");
        put_shape(w, &row->shape);
        buf_put_str(w->out, "]}");
    }
    buf_put_u8(w->out, '}');
    for (const struct key_row *row = block->keys; row->name; row++) {
        if (!(row->flags & KEY_REQUIRED)) continue;
        buf_put_str(w->out, required++ ? "," : ",\"required\":[");
        put_text(w->out, row->name);
    }
    if (required) buf_put_u8(w->out, ']');
    /* Templates name channels beside their own keys. */
    buf_printf(w->out, ",\"additionalProperties\":%s}",
               strcmp(block->title, "a template") == 0 ? "true" : "false");
}

void definitions_json_schema(struct buf *out)
{
    struct writer w = {.out = out};
    buf_put_str(out, "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"title\":\"hourglass "
                     "definitions\",\"$ref\":\"#/definitions/0\","
                     "\"definitions\":{");
    number_of(&w, &definition_block);
    for (; w.written < w.count; w.written++) {
        buf_printf(out, "%s\"%u\":", w.written ? "," : "", w.written);
        put_block(&w, w.blocks[w.written]);
    }
    buf_put_str(out, "}}\n");
}
