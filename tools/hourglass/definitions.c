/* definitions.c - reading and checking a directory of definitions. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/hourglass/arrives.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/load.h"

/* ---- reading and checking ---------------------------------------------------------------------- */

/* `look`: also what this version reads and does not run yet, with a warning. A file that cannot be read does not hide
 * the mistakes of the others. */
static struct defset *compile(const char *dir, struct diagnostics *d, uint32_t *files, bool look)
{
    struct source_file *sources = sources_read(dir, files, d);
    if (!sources) return NULL;
    struct defset *set = (look ? defset_check : defset_compile)(sources, *files, NULL, NULL, d);
    if (!d->errors) return set;
    defset_free(set);
    return NULL;
}

static void show_diagnostics(const struct diagnostics *d)
{
    struct buf text = {0};
    diagnostics_print(d, &text);
    if (text.n) fwrite(text.p, 1, text.n, stderr);
    buf_free(&text);
}

struct defset *load_definitions(const char *dir, int code)
{
    struct diagnostics d;
    uint32_t files;
    diagnostics_init(&d);
    struct defset *set = compile(dir, &d, &files, false);
    show_diagnostics(&d);
    if (!set) die(code, "%s: %u error%s", dir, d.errors, d.errors == 1 ? "" : "s");
    diagnostics_free(&d);
    return set;
}

static void check_json(const struct diagnostics *d, struct buf *out)
{
    buf_put_u8(out, '[');
    for (uint32_t i = 0; i < d->count; i++) {
        const struct diagnostic *at = &d->list[i];
        buf_printf(out, "%s{\"severity\":\"%s\",\"file\":", i ? "," : "",
                   at->severity == SEVERITY_ERROR ? "error" : "warning");
        json_print_text(slice_str(at->file ? at->file : ""), out);
        buf_printf(out, ",\"line\":%u,\"column\":%u,\"length\":%u,\"reason\":", at->line, at->column,
                   at->length);
        json_print_text(slice_str(at->reason), out);
        buf_put_str(out, ",\"fix\":");
        if (at->fix)
            json_print_text(slice_str(at->fix), out);
        else
            buf_put_str(out, "null");
        buf_put_u8(out, '}');
    }
    buf_put_str(out, "]\n");
}

static uint32_t live_journeys(const struct defset *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->journeys.journey_count; i++) n += set->journeys.journeys[i] != NULL;
    return n;
}

int run_check(struct cli *c)
{
    struct diagnostics d;
    struct buf out = {0};
    uint32_t files = 0;
    diagnostics_init(&d);
    struct defset *set = compile(c->argv[0], &d, &files, true);
    if (set && cli_option(c, "live")) check_arrivals(c, set, &d);
    uint32_t warnings = d.count - d.errors;
    if (c->json)
        check_json(&d, &out);
    else
        show_diagnostics(&d);
    if (!c->json && set)
        buf_printf(&out, "%u file%s, %u segments, %u journeys: %s", files, files == 1 ? "" : "s",
                   set->segments.order_count, live_journeys(set), warnings ? "" : "good\n");
    if (!c->json && set && warnings) buf_printf(&out, "%u warning%s\n", warnings, warnings == 1 ? "" : "s");
    if (!c->json && !set) buf_printf(&out, "%u error%s\n", d.errors, d.errors == 1 ? "" : "s");
    put_out(&out);
    bool wrong = !set || (warnings && cli_option(c, "strict"));
    if (set) defset_free(set);
    diagnostics_free(&d);
    buf_free(&out);
    return wrong ? EXIT_WRONG : EXIT_OK;
}
