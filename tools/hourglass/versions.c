/* versions.c - `definitions history | diff A [B] | revert N`: what was applied before, what changed, and back again. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

#define SHOWN(slice) (int)(slice).n, (const char *)(slice).p
enum { CONTEXT_LINES = 2, CELLS_MAX = 16 << 20 };

/* ---- lines that differ ---------------------------------------------------------------------------------- */

struct text_lines {
    uint32_t count;
    struct slice *list;
};

static struct text_lines lines_of(struct slice text)
{
    struct text_lines l = {0};
    uint32_t room = 1;
    for (uint32_t i = 0; i < text.n; i++) room += text.p[i] == '\n';
    l.list = calloc(room, sizeof *l.list);
    if (!l.list) die(EXIT_FAILED, "no memory");
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        uint32_t n = end ? (uint32_t)(end - text.p) : text.n;
        l.list[l.count++] = slice_of(text.p, n);
        text = slice_of(text.p + n + (end != NULL), text.n - n - (end != NULL));
    }
    return l;
}

struct change { /* one line of the answer */
    char sign;  /* ' ', '-', '+' */
    struct slice text;
};
struct changes {
    struct change *list;
    uint32_t count;
};

static void add(struct changes *c, char sign, struct slice text)
{
    c->list[c->count++] = (struct change){sign, text};
}

/* The longest common part of what lies between equal beginnings and equal ends. Too long for a table: all is different. */
static void compare_middle(struct changes *c, const struct slice *a, uint32_t n, const struct slice *b,
                           uint32_t m)
{
    uint32_t i = 0, k = 0, width = m + 1;
    uint32_t *common =
        (uint64_t)(n + 1) * width <= CELLS_MAX ? calloc((size_t)(n + 1) * width, sizeof *common) : NULL;
    for (uint32_t x = n; common && x-- > 0;)
        for (uint32_t y = m; y-- > 0;) {
            uint32_t down = common[(x + 1) * width + y], right = common[x * width + y + 1];
            common[x * width + y] = slice_eq(a[x], b[y]) ? common[(x + 1) * width + y + 1] + 1
                                    : down > right       ? down
                                                         : right;
        }
    while (common && i < n && k < m) {
        if (slice_eq(a[i], b[k]))
            add(c, ' ', a[i]), i++, k++;
        else if (common[(i + 1) * width + k] >= common[i * width + k + 1])
            add(c, '-', a[i++]);
        else
            add(c, '+', b[k++]);
    }
    while (i < n) add(c, '-', a[i++]);
    while (k < m) add(c, '+', b[k++]);
    free(common);
}

static struct changes compare(const struct text_lines *a, const struct text_lines *b)
{
    struct changes c = {calloc((size_t)a->count + b->count + 1, sizeof *c.list), 0};
    uint32_t least = a->count < b->count ? a->count : b->count, head = 0, tail = 0;
    if (!c.list) die(EXIT_FAILED, "no memory");
    while (head < least && slice_eq(a->list[head], b->list[head])) add(&c, ' ', a->list[head++]);
    while (tail < least - head && slice_eq(a->list[a->count - 1 - tail], b->list[b->count - 1 - tail]))
        tail++;
    compare_middle(&c, a->list + head, a->count - head - tail, b->list + head, b->count - head - tail);
    for (uint32_t i = tail; i > 0; i--) add(&c, ' ', a->list[a->count - i]);
    return c;
}

static bool near_a_change(const struct changes *c, uint32_t i)
{
    uint32_t from = i < CONTEXT_LINES ? 0 : i - CONTEXT_LINES;
    for (uint32_t k = from; k <= i + CONTEXT_LINES && k < c->count; k++)
        if (c->list[k].sign != ' ') return true;
    return false;
}

static void print_changes(const struct cli *c, const struct changes *changes, struct buf *out)
{
    bool gap = false;
    for (uint32_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->list[i];
        const char *color = !c->color || x->sign == ' ' ? "" : x->sign == '+' ? "\033[32m" : "\033[31m";
        if (!near_a_change(changes, i)) {
            gap = true;
            continue;
        }
        if (gap) buf_put_str(out, "  ...\n");
        gap = false;
        buf_printf(out, "%s%c %.*s%s\n", color, x->sign, SHOWN(x->text), *color ? "\033[0m" : "");
    }
}

/* True if it differs. */
static bool diff_file(const struct cli *c, struct slice name, struct slice was, struct slice is,
                      struct buf *out)
{
    if (slice_eq(was, is)) return false;
    struct text_lines a = lines_of(was), b = lines_of(is);
    struct changes changes = compare(&a, &b);
    buf_printf(out, "%s%.*s%s\n", c->color ? "\033[1m" : "", SHOWN(name), c->color ? "\033[0m" : "");
    print_changes(c, &changes, out);
    free(a.list);
    free(b.list);
    free(changes.list);
    return true;
}

/* ---- versions -------------------------------------------------------------------------------------------- */

static struct slice file_named(struct slice files, struct slice name)
{
    for (struct items i = items_of(files); items_next(&i);)
        if (slice_eq(i.key, name)) return view_text(i.value, "");
    return (struct slice){0};
}

static int64_t version_number(const struct cli *c, const char *text)
{
    if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 9)
        cli_usage(c, "a version is a number, not '%s'; `hourglass definitions history` lists them", text);
    return strtol(text, NULL, 10);
}

/* A version's reply; NULL: the one that runs. */
static struct slice version_text(struct cli *c, const char *version)
{
    struct request r = {0};
    if (!version) return ask(c, "definitions.get", NULL);
    request_int(&r, "version", version_number(c, version));
    return ask(c, "definitions.text", &r);
}

static void json_differences(struct slice was, struct slice is, struct buf *out)
{
    uint32_t shown = 0;
    buf_put_u8(out, '[');
    for (uint32_t pass = 0; pass < 2; pass++)
        for (struct items i = items_of(pass ? is : was); items_next(&i);) {
            struct slice before = file_named(was, i.key), after = file_named(is, i.key);
            if (slice_eq(before, after) || (pass && before.n)) continue;
            buf_printf(out, "%s{\"file\":", shown++ ? "," : "");
            json_print_text(i.key, out);
            buf_put_str(out, ",\"was\":");
            before.p ? json_print_text(before, out) : buf_put_str(out, "null");
            buf_put_str(out, ",\"is\":");
            after.p ? json_print_text(after, out) : buf_put_str(out, "null");
            buf_put_u8(out, '}');
        }
    buf_put_str(out, "]\n");
}

static int diff(struct cli *c)
{
    struct slice was = view(version_text(c, c->argv[0]), "files"),
                 is = view(version_text(c, c->argc > 1 ? c->argv[1] : NULL), "files");
    struct buf out = {0};
    bool differs = false;
    if (c->json) {
        json_differences(was, is, &out);
    } else {
        for (struct items i = items_of(was); items_next(&i);)
            differs |= diff_file(c, i.key, view_text(i.value, ""), file_named(is, i.key), &out);
        for (struct items i = items_of(is); items_next(&i);)
            if (!file_named(was, i.key).p)
                differs |= diff_file(c, i.key, (struct slice){0}, view_text(i.value, ""), &out);
        if (!differs) buf_put_str(&out, "no difference\n");
    }
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

int print_applied(struct slice reply, const char *former)
{
    struct buf out = {0};
    struct slice messages = view_text(reply, "messages");
    bool changed = is_true(view(reply, "changed"));
    if (messages.n) fwrite(messages.p, 1, messages.n, stderr); /* warnings, as `check` has them */
    if (changed)
        buf_printf(&out, "version %lld runs", (long long)view_int(reply, "version"));
    else
        buf_put_str(&out, "nothing to do: the same text already runs");
    if (former) buf_printf(&out, changed ? ", with the text of version %s" : ", that of version %s", former);
    if (!changed && !former) buf_printf(&out, ", as version %lld", (long long)view_int(reply, "version"));
    buf_put_u8(&out, '\n');
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* The texts of version N become the newest version: people inside journeys finish on theirs. */
static int revert(struct cli *c)
{
    struct request r = {0};
    request_raw(&r, "files", view(version_text(c, c->argv[0]), "files"));
    struct slice reply = ask(c, "definitions.apply", &r);
    return c->json ? print_json(c, reply) : print_applied(reply, c->argv[0]);
}

static int history(struct cli *c)
{
    static const char *const COLUMNS[] = {"version", "hash", "files", "bytes", NULL};
    struct buf out = {0};
    struct slice reply = ask(c, "definitions.history", NULL);
    if (c->json) return print_json(c, reply);
    view_table(reply, COLUMNS, &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

const struct word DEFINITIONS_WORDS[] = {
    {"history", "", history, 0, 0}, {"diff", "N [M]", diff, 1, 2}, {"revert", "N", revert, 1, 1}, {0}};
