#include "core/define/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_LINE_BYTES = 160 };

void diagnostics_init(struct diagnostics *d)
{
    *d = (struct diagnostics){0};
    arena_init(&d->arena);
}

void diagnostics_free(struct diagnostics *d)
{
    arena_free(&d->arena);
    *d = (struct diagnostics){0};
}

static struct diagnostic *add(struct diagnostics *d)
{
    if (d->count == d->capacity) {
        uint32_t capacity = d->capacity ? d->capacity * 2 : 16;
        struct diagnostic *list = ARENA_ARRAY(&d->arena, struct diagnostic, capacity);
        if (d->count) memcpy(list, d->list, sizeof *list * d->count);
        d->list = list;
        d->capacity = capacity;
    }
    return &d->list[d->count++];
}

static const char *format_text(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

static uint32_t characters(const uint8_t *from, const uint8_t *to)
{
    uint32_t n = 0;
    for (; from < to; from++) n += (*from & 0xc0) != 0x80;
    return n;
}

static struct slice line_around(struct slice text, uint32_t at)
{
    uint32_t from = at, to = at;
    while (from && text.p[from - 1] != '\n') from--;
    while (to < text.n && text.p[to] != '\n' && text.p[to] != '\r') to++;
    return slice_of(text.p + from, to > from ? to - from : 0);
}

static uint32_t line_breaks(struct slice text, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to && i < text.n; i++) n += text.p[i] == '\n';
    return n;
}

uint32_t line_of(const struct source_file *file, uint32_t at) { return 1 + line_breaks(file->text, 0, at); }

/* What is reported goes forward through a file as a rule: lines are counted on from the place before. */
static uint32_t line_onward(struct diagnostics *d, const struct source_file *file, uint32_t at)
{
    if (d->place.file != file || at < d->place.at) {
        d->place.file = file;
        d->place.at = 0;
        d->place.line = 1;
    }
    d->place.line += line_breaks(file->text, d->place.at, at);
    d->place.at = at;
    return d->place.line;
}

/* A value that ends in a line break, or an empty one behind its key, is shown where the text before it ends. */
static uint32_t last_text_before(struct slice text, uint32_t at)
{
    if (at > text.n) at = text.n;
    while (at && at == text.n && (text.p[at - 1] == '\n' || text.p[at - 1] == '\r')) at--;
    return at;
}

void report_at(struct diagnostics *d, enum severity severity, const struct source_file *file, uint32_t at,
               uint32_t length, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *reason = format_text(&d->arena, format, args);
    va_end(args);
    at = last_text_before(file->text, at);
    struct slice line = line_around(file->text, at);
    struct diagnostic *x = add(d);
    *x = (struct diagnostic){.severity = (uint8_t)severity,
                             .file = arena_strndup(&d->arena, file->name.p, file->name.n),
                             .line = line_onward(d, file, at),
                             .column = 1 + characters(line.p, file->text.p + at),
                             .length = length ? length : 1,
                             .reason = reason,
                             .source_line = arena_slice(&d->arena, line)};
    d->errors += severity == SEVERITY_ERROR;
}

void report_fix(struct diagnostics *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->list[d->count - 1].fix = format_text(&d->arena, format, args);
    va_end(args);
}

static int by_place(const void *a, const void *b)
{
    const struct diagnostic *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    if (order) return order;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    if (x->column != y->column) return x->column < y->column ? -1 : 1;
    return strcmp(x->reason, y->reason);
}

void diagnostics_sort(struct diagnostics *d)
{
    if (!d->count) return;
    qsort(d->list, d->count, sizeof *d->list, by_place);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < d->count; i++) {
        if (by_place(&d->list[i], &d->list[kept - 1]) == 0)
            d->errors -= d->list[i].severity == SEVERITY_ERROR;
        else
            d->list[kept++] = d->list[i];
    }
    d->count = kept;
}

/* Long lines are cut around the column, so that a caret line never wraps for pages. */
static void print_excerpt(const struct diagnostic *x, struct buf *out)
{
    const uint8_t *p = x->source_line.p, *end = slice_end(x->source_line);
    uint32_t skip = x->column > SHOWN_LINE_BYTES ? x->column - SHOWN_LINE_BYTES / 2 : 0;
    for (uint32_t i = 0; i < skip && p < end; i++) do
            p++;
        while (p < end && (*p & 0xc0) == 0x80);
    buf_put_str(out, skip ? " | ..." : " | ");
    const uint8_t *stop = p;
    for (uint32_t i = 0; i < SHOWN_LINE_BYTES && stop < end; i++) do
            stop++;
        while (stop < end && (*stop & 0xc0) == 0x80);
    for (; p < stop; p++) buf_put_u8(out, *p < ' ' ? ' ' : *p);
    buf_put_str(out, stop < end ? "...\n | " : "\n | ");
    for (uint32_t i = 1 + skip; i < x->column + (skip ? 3 : 0); i++) buf_put_u8(out, '.');
    buf_put_str(out, "^\n");
}

void diagnostics_print(const struct diagnostics *d, struct buf *out)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct diagnostic *x = &d->list[i];
        const char *severity = x->severity == SEVERITY_ERROR ? "error" : "warning";
        if (!x->line) {
            buf_printf(out, "%s: %s: %s\n", x->file, severity, x->reason);
        } else {
            buf_printf(out, "%s:%u:%u: %s: %s\n", x->file, x->line, x->column, severity, x->reason);
            print_excerpt(x, out);
        }
        if (x->fix) buf_printf(out, " = %s\n", x->fix);
    }
}
