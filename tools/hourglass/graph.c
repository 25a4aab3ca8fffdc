/* graph.c - `graph DIR JOURNEY`: one journey as a picture for Graphviz or Mermaid; `schema`: what an editor needs to
 * complete and check definition files. Neither asks a server. */
#include <stdio.h>

#include "tools/hourglass/chains.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

/* ---- dot ----------------------------------------------------------------------------------------- */

static void put_dot_text(struct slice s, struct buf *out)
{
    buf_put_u8(out, '"');
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') buf_put_u8(out, '\\');
        buf_put_u8(out, s.p[i]);
    }
    buf_put_u8(out, '"');
}

static void print_dot(const struct chain *chain, const struct flow *f, struct buf *out)
{
    static const char *const STYLE[] = {"shape=oval, style=filled, fillcolor=\"#dbeafe\"",
                                        "shape=doublecircle, fontsize=9",
                                        "shape=note, style=filled, fillcolor=\"#dcfce7\"",
                                        "shape=note, style=filled, fillcolor=\"#fee2e2\"",
                                        "shape=box, style=\"rounded,filled\", fillcolor=\"#fef9c3\"",
                                        "shape=diamond, style=filled, fillcolor=\"#f3f4f6\"",
                                        "shape=box, style=filled, fillcolor=\"#ffffff\""};
    buf_put_str(out, "digraph ");
    put_dot_text(chain->name, out);
    buf_put_str(out, " {\n  node [fontname=\"Helvetica\", fontsize=11];\n"
                     "  edge [fontname=\"Helvetica\", fontsize=10];\n");
    for (uint32_t i = 0; i < f->place_count; i++) {
        buf_printf(out, "  n%u [%s, label=", i, STYLE[f->places[i].kind]);
        put_dot_text(f->places[i].label, out);
        buf_put_str(out, "];\n");
    }
    for (uint32_t i = 0; i < f->path_count; i++) {
        const struct path_drawn *p = &f->paths[i];
        buf_printf(out, "  n%u -> n%u", p->from, p->to);
        if (p->any_time) buf_put_str(out, " [style=dashed, arrowhead=open]");
        if (p->label.n) {
            buf_put_str(out, " [label=");
            put_dot_text(p->label, out);
            buf_put_u8(out, ']');
        }
        buf_put_str(out, ";\n");
    }
    buf_put_str(out, "}\n");
}

/* ---- mermaid --------------------------------------------------------------------------------------- */

/* Inside quotes only the quote itself and # (which begins an entity) mean something; < and > would be read as tags. */
static void put_mermaid_text(struct slice s, struct buf *out)
{
    buf_put_u8(out, '"');
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_put_str(out, "#quot;");
        else if (s.p[i] == '#')
            buf_put_str(out, "#35;");
        else if (s.p[i] == '<')
            buf_put_str(out, "#lt;");
        else if (s.p[i] == '>')
            buf_put_str(out, "#gt;");
        else
            buf_put_u8(out, s.p[i]);
    }
    buf_put_u8(out, '"');
}

static void print_mermaid(const struct chain *chain, const struct flow *f, struct buf *out)
{
    static const char *const SHAPE[][2] = {{"([", "])"}, {"(((", ")))"}, {">", "]"}, {">", "]"},
                                           {"(", ")"},   {"{", "}"},     {"[", "]"}};
    static const char *const CLASS[] = {"start", "finish", "goal", "exit", "wait", "choice", "act"};
    buf_printf(out, "%%%% %.*s\nflowchart TD\n", SHOWN(chain->name));
    for (uint32_t i = 0; i < f->place_count; i++) {
        uint8_t kind = f->places[i].kind;
        buf_printf(out, "  n%u%s", i, SHAPE[kind][0]);
        put_mermaid_text(f->places[i].label, out);
        buf_printf(out, "%s:::%s\n", SHAPE[kind][1], CLASS[kind]);
    }
    for (uint32_t i = 0; i < f->path_count; i++) {
        const struct path_drawn *p = &f->paths[i];
        buf_printf(out, "  n%u %s", p->from, p->any_time ? "-.->" : "-->");
        if (p->label.n) {
            buf_put_u8(out, '|');
            put_mermaid_text(p->label, out);
            buf_put_u8(out, '|');
        }
        buf_printf(out, " n%u\n", p->to);
    }
    buf_put_str(out, "  classDef start fill:#dbeafe\n  classDef finish fill:#ffffff\n"
                     "  classDef goal fill:#dcfce7\n  classDef exit fill:#fee2e2\n"
                     "  classDef wait fill:#fef9c3\n  classDef choice fill:#f3f4f6\n"
                     "  classDef act fill:#ffffff\n");
}

/* ---- json ------------------------------------------------------------------------------------------ */

static void print_json(const struct chain *chain, const struct flow *f, struct buf *out)
{
    static const char *const KIND[] = {"start", "end", "goal", "exit", "wait", "choice", "act"};
    buf_put_str(out, "{\"journey\":");
    json_print_text(chain->name, out);
    buf_put_str(out, ",\"nodes\":[");
    for (uint32_t i = 0; i < f->place_count; i++) {
        buf_printf(out, "%s{\"id\":%u,\"kind\":\"%s\",\"label\":", i ? "," : "", i, KIND[f->places[i].kind]);
        json_print_text(f->places[i].label, out);
        buf_put_u8(out, '}');
    }
    buf_put_str(out, "],\"edges\":[");
    for (uint32_t i = 0; i < f->path_count; i++) {
        const struct path_drawn *p = &f->paths[i];
        buf_printf(out, "%s{\"from\":%u,\"to\":%u,\"any_time\":%s,\"label\":", i ? "," : "", p->from, p->to,
                   p->any_time ? "true" : "false");
        json_print_text(p->label, out);
        buf_put_u8(out, '}');
    }
    buf_put_str(out, "]}\n");
}

/* ---- commands -------------------------------------------------------------------------------------- */

static const char *chain_name(const void *from, uint32_t i)
{
    const struct chains *c = from;
    return i < c->count ? (const char *)c->list[i].name.p : NULL;
}

static const struct chain *find_chain(const struct chains *c, const char *name)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (slice_is(c->list[i].name, name)) return &c->list[i];
    const char *near = cli_nearest(name, chain_name, c);
    die(EXIT_FAILED, "there is no journey '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
        near ? "'?" : "");
}

int run_graph(struct cli *c)
{
    const char *format = cli_option(c, "format");
    struct chains chains;
    struct flow flow;
    struct buf out = {0};
    bool mermaid = format && strcmp(format, "mermaid") == 0;
    if (format && !mermaid && strcmp(format, "dot") != 0)
        cli_usage(c, "--format is dot or mermaid, not '%s'", format);
    chains_read(c->argv[0], &chains);
    const struct chain *chain = find_chain(&chains, c->argv[1]);
    flow_of(&chains, chain, &flow);
    (c->json ? print_json : mermaid ? print_mermaid : print_dot)(chain, &flow, &out);
    put_out(&out);
    buf_free(&out);
    chains_free(&chains);
    return EXIT_OK;
}

int run_schema(struct cli *c)
{
    struct buf out = {0};
    definitions_json_schema(&out);
    if (out.n && out.p[out.n - 1] != '\n') buf_put_u8(&out, '\n');
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}
