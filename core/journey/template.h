/* template.h - text with values in it: {{ path | default: "x" }}, {% if %} {% elsif %} {% else %} {% endif %},
 * {% for x in list %} {% endfor %}.
 * A path is an expression; inside a loop the loop's name stands for the item.
 * Filters: default, raw (not escaped), escape, date: "%d.%m.%Y %H:%M" of a time on the person's clock. What is put out is
 * HTML-escaped when the text says so.
 * Owner: the definitions set, immutable. Memory: parse from the set's arena, render from ctx->scratch.
 * Fails: parse reports each error with its position; render says that a value without default was missing, or that
 * scratch is full. Source: the Liquid subset of the language description, section 4. */
#ifndef HG_JOURNEY_TEMPLATE_H
#define HG_JOURNEY_TEMPLATE_H

#include "core/journey/graph.h"

enum { TEMPLATE_NESTING_MAX = EXPR_ITEMS_MAX, TEMPLATE_BYTES_MAX = 128 << 10 };

struct template_host { /* who parses: the definition reader, or a test */
    void *self;
    /* An expression of the text at byte `at`, inside the loops over `items`; NULL after it has reported why not. */
    const struct program *(*compile)(void *self, struct slice expression, const struct expr_item *items,
                                     uint32_t count, uint32_t at);
    void (*error)(void *self, uint32_t at, uint32_t length, const char *reason);
    void (*bare)(void *self, uint32_t at,
                 uint32_t length); /* an output without default that may be missing; may be NULL */
};

struct template_text;
const struct template_text *template_parse(struct slice text, bool html, const struct template_host *host,
                                           struct arena *a);

enum render { RENDER_OK, RENDER_MISSING, RENDER_FULL };
enum render template_render(const struct template_text *t, struct expr_context *ctx, struct slice *out);

/* One entry of `templates:`. The field names of a part are the channel's (subject, html, text ...). */
struct template_part {
    uint16_t channel, field_count;
    const struct field *fields;
};
struct template
{
    struct slice name;
    const struct program *lang; /* NULL: the profile's language */
    uint16_t part_count;
    const struct template_part *parts;
    const struct template
        *fallback; /* used whole when a value is missing; NULL: the missing value is empty */
};

#endif
