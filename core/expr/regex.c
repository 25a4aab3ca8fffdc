#include "core/expr/regex.h"
#include "core/expr/function.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { WORKSPACE_INTS = 2048, PATTERN_BYTES_MAX = 4096, MATCH_LIMIT = 100000, DEPTH_LIMIT = 200 };

struct pattern {
    pcre2_code *code;
};

/* ---- what RE2 does not have ---------------------------------------------------------------------- */

static const char *bad_escape(uint8_t c)
{
    if (c >= '1' && c <= '9') return "back references are not supported";
    if (strchr("kgKGXRNHhVyYZeEuUlLoc", c) && c) return "this escape is not part of RE2's syntax";
    return NULL;
}

/* Behind "(?": flags, a non-capturing group, or a named one; nothing that looks around, recurses or decides. */
static const char *bad_group(struct slice s, uint32_t at)
{
    if (at < s.n && s.p[at] == 'P')
        return at + 1 < s.n && s.p[at + 1] == '<' ? NULL
                                                  : "only (?P<name>...) of the (?P groups is supported";
    if (at < s.n && s.p[at] == '<')
        return at + 1 < s.n && s.p[at + 1] != '=' && s.p[at + 1] != '!' ? NULL
                                                                        : "look-behind is not supported";
    for (; at < s.n && s.p[at] != ':' && s.p[at] != ')'; at++)
        if (!strchr("imsU-", s.p[at]))
            return "this group is not part of RE2's syntax (no look-around, recursion, conditions)";
    return NULL;
}

/* Position behind a class "[...]"; inside it nothing is special to us but escapes. */
static uint32_t skip_class(struct slice s, uint32_t at)
{
    at++;
    if (at < s.n && s.p[at] == '^') at++;
    if (at < s.n && s.p[at] == ']') at++;
    for (; at < s.n && s.p[at] != ']'; at++) {
        if (s.p[at] == '\\') at++;
        if (at + 1 < s.n && s.p[at] == '[' && s.p[at + 1] == ':')
            while (at + 1 < s.n && !(s.p[at] == ':' && s.p[at + 1] == ']')) at++;
    }
    return at;
}

static const char *beyond_re2(struct slice s)
{
    bool repeat = false; /* a quantifier stands just before */
    for (uint32_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i], next = i + 1 < s.n ? s.p[i + 1] : 0;
        const char *bad = NULL;
        if (c == '\\' && next == 'Q') {
            const uint8_t *end = memmem(s.p + i, s.n - i, "\\E", 2);
            i = end ? (uint32_t)(end - s.p) + 1 : s.n;
        } else if (c == '\\') {
            bad = bad_escape(next);
            i++;
        } else if (c == '[') {
            i = skip_class(s, i);
        } else if (c == '(' && next == '*') {
            bad = "verbs are not supported";
        } else if (c == '(' && next == '?') {
            bad = bad_group(s, i + 2);
            i++;
        } else if (c == '+' && repeat) {
            bad = "possessive repeats are not supported";
        }
        if (bad) return bad;
        repeat = !repeat && (c == '*' || c == '+' || c == '?' || c == '}');
    }
    return NULL;
}

/* ---- PCRE2 on an arena ------------------------------------------------------------------------------ */

static void *give(PCRE2_SIZE n, void *arena) { return arena_alloc(arena, n); }
static void keep(void *p, void *arena) { (void)p, (void)arena; }

const struct pattern *pattern_compile(struct arena *a, struct slice text, const char **reason)
{
    *reason = text.n > PATTERN_BYTES_MAX ? "the pattern is too long" : beyond_re2(text);
    if (*reason) return NULL;
    pcre2_general_context *memory = pcre2_general_context_create(give, keep, a);
    pcre2_compile_context *limits = memory ? pcre2_compile_context_create(memory) : NULL;
    int error = 0;
    PCRE2_SIZE at = 0;
    if (limits) pcre2_set_parens_nest_limit(limits, 100);
    pcre2_code *code = NULL;
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE;
    if (limits)
        code = pcre2_compile(text.p ? text.p : (const uint8_t *)"", text.n, options, &error, &at, limits);
    struct pattern *p = code ? arena_alloc(a, sizeof *p) : NULL;
    if (p) {
        p->code = code;
        return p;
    }
    char message[160] = "out of scratch memory";
    if (!code && limits) pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
    *reason = arena_strndup(a, message, strlen(message));
    if (!*reason) *reason = "out of scratch memory";
    return NULL;
}

struct value pattern_match(const struct pattern *p, struct slice text, struct arena *scratch)
{
    int workspace[WORKSPACE_INTS];
    pcre2_general_context *memory = pcre2_general_context_create(give, keep, scratch);
    pcre2_match_data *data = memory ? pcre2_match_data_create(1, memory) : NULL;
    pcre2_match_context *limits = data ? pcre2_match_context_create(memory) : NULL;
    if (!limits) return value_fail("out of scratch memory");
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, 0);
    int r = pcre2_dfa_match(p->code, text.p ? text.p : (const uint8_t *)"", text.n, 0, PCRE2_DFA_SHORTEST,
                            data, limits, workspace, WORKSPACE_INTS);
    if (r >= 0) return value_bool(true);
    return r == PCRE2_ERROR_NOMATCH ? value_bool(false) : value_fail("a match took too much");
}

struct slot *op_matches(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind == V_ERROR) return top;
    if (s->v.kind == V_STRING)
        s->v = pattern_match(m->program->patterns[in->c], value_text(s->v), m->ctx->scratch);
    else
        s->v = NO_OVERLOAD;
    return top;
}

/* A pattern that only the running program knows. */
struct value text_matches(struct machine *m, const struct value *args)
{
    const char *reason;
    const struct pattern *p = pattern_compile(m->ctx->scratch, value_text(args[1]), &reason);
    return p ? pattern_match(p, value_text(args[0]), m->ctx->scratch) : value_fail("a malformed pattern");
}
