/* The file as a tree: places inside scalars of every style, small texts, and whatever strangers put into a file. */
#include "core/define/scalar.h"
#include "core/define/yaml.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

static uint64_t seed = 20260301;
static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- places --------------------------------------------------------------------------------------- */

static int append(void *data, unsigned char *bytes, size_t n)
{
    buf_put(data, bytes, n);
    return 1;
}

/* {k: text} as libyaml writes it: an independent idea of quoting and folding. */
static void emit(const struct buf *text, yaml_scalar_style_t style, int width, struct buf *out)
{
    yaml_emitter_t emitter;
    yaml_event_t e;
    yaml_emitter_initialize(&emitter);
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_width(&emitter, width);
    yaml_emitter_set_unicode(&emitter, (int)below(2));
    yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING);
    yaml_emitter_emit(&emitter, &e);
    yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1);
    yaml_emitter_emit(&emitter, &e);
    yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
    yaml_emitter_emit(&emitter, &e);
    yaml_scalar_event_initialize(&e, NULL, NULL, (yaml_char_t *)"k", 1, 1, 1, YAML_PLAIN_SCALAR_STYLE);
    yaml_emitter_emit(&emitter, &e);
    yaml_scalar_event_initialize(&e, NULL, NULL, text->p, (int)text->n, 1, 1, style);
    yaml_emitter_emit(&emitter, &e);
    yaml_mapping_end_event_initialize(&e);
    yaml_emitter_emit(&emitter, &e);
    yaml_document_end_event_initialize(&e, 1);
    yaml_emitter_emit(&emitter, &e);
    yaml_stream_end_event_initialize(&e);
    yaml_emitter_emit(&emitter, &e);
    yaml_emitter_delete(&emitter);
}

static void random_text(struct buf *out)
{
    static const char *const pieces[] = {"a", "b", "xyz", " ",  "  ", "\n", "'",  "\"", "\\",
                                         "Ж", "€", "#",   ": ", "(",  ")",  ", ", "\t", "\xc2\x85"};
    for (uint32_t n = 1 + below(40); n; n--) buf_put_str(out, pieces[below(sizeof pieces / sizeof *pieces)]);
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static void check_places(const struct node *n, const struct buf *file)
{
    uint32_t last = 0;
    for (uint32_t k = 0; k < n->text.n; k++) {
        uint32_t at = node_byte(n, k);
        cr_assert(at >= n->at && at <= n->end, "byte %u of '%.*s' lies outside", k, SHOWN(n->text));
        cr_assert(at >= last, "places go forward");
        last = at;
        if (is_blank(n->text.p[k]) || (n->style == STYLE_DOUBLE && file->p[at] == '\\')) continue;
        cr_assert_eq(file->p[at], n->text.p[k], "byte %u of '%.*s' in\n%.*s", k, SHOWN(n->text), (int)file->n,
                     (char *)file->p);
    }
}

Test(define_yaml, every_byte_of_a_scalar_is_found_in_the_file)
{
    static const yaml_scalar_style_t styles[] = {YAML_PLAIN_SCALAR_STYLE, YAML_SINGLE_QUOTED_SCALAR_STYLE,
                                                 YAML_DOUBLE_QUOTED_SCALAR_STYLE, YAML_LITERAL_SCALAR_STYLE,
                                                 YAML_FOLDED_SCALAR_STYLE};
    cr_log_info("seed %llu", (unsigned long long)seed);
    for (uint32_t round = 0; round < 5000; round++) {
        struct buf text = {0}, out = {0};
        random_text(&text);
        emit(&text, styles[round % 5], 10 + (int)below(60), &out);
        struct source_file file = {SLICE("x.yaml"), buf_slice(&out)};
        struct arena a;
        struct diagnostics d;
        arena_init(&a);
        diagnostics_init(&d);
        struct node *root = yaml_parse(&file, &a, &d);
        cr_assert(root && root->count == 1, "round %u:\n%.*s", round, (int)out.n, (char *)out.p);
        check_places(node_value(root, 0), &out);
        diagnostics_free(&d);
        arena_free(&a);
        buf_free(&text);
        buf_free(&out);
    }
}

/* ---- what files may not be --------------------------------------------------------------------------- */

static uint32_t errors_of(struct slice text, char reason[100])
{
    struct source_file file = {SLICE("x.yaml"), text};
    struct arena a;
    struct diagnostics d;
    arena_init(&a);
    diagnostics_init(&d);
    struct node *root = yaml_parse(&file, &a, &d);
    cr_expect(!root || !d.errors || root->kind == NODE_MAPPING);
    snprintf(reason, 100, "%s", d.count ? d.list[0].reason : "");
    uint32_t errors = d.errors;
    diagnostics_free(&d);
    arena_free(&a);
    return errors;
}

Test(define_yaml, odd_bytes_are_refused_with_their_name)
{
    char reason[100];
    cr_expect_eq(errors_of(slice_of("\xff\xfe"
                                    "a\0",
                                    4),
                           reason),
                 1);
    cr_expect(strstr(reason, "UTF-16") != NULL);
    cr_expect_eq(errors_of(slice_of("a: \0b", 5), reason), 1);
    cr_expect(strstr(reason, "NUL") != NULL);
    cr_expect_eq(errors_of(SLICE("\xef\xbb\xbf"
                                 "a: b"),
                           reason),
                 1);
    cr_expect(strstr(reason, "byte order mark") != NULL);
    cr_expect_eq(errors_of(SLICE(""), reason), 0);
    cr_expect_eq(errors_of(SLICE("# nothing\n"), reason), 0);
    uint8_t *large = malloc(YAML_BYTES_MAX + 1);
    memset(large, '#', YAML_BYTES_MAX + 1);
    cr_expect_eq(errors_of(slice_of(large, YAML_BYTES_MAX), reason), 0);
    cr_expect_eq(errors_of(slice_of(large, YAML_BYTES_MAX + 1), reason), 1);
    cr_expect(strstr(reason, "1 MiB") != NULL);
    memset(large, '[', YAML_BYTES_MAX);
    cr_expect_eq(errors_of(slice_of(large, 5000), reason), 1);
    cr_expect(strstr(reason, "nested deeper") != NULL, "%s", reason);
    free(large);
}

Test(define_yaml, no_is_a_text_and_layout_does_not_count)
{
    struct source_file files[] = {{SLICE("a"), SLICE("a: {b: no, c: [1, '2']}\n")},
                                  {SLICE("b"), SLICE("a:\n  c:\n  - 1\n  - \"2\"\n  b: no # x\n")}};
    struct arena a;
    struct diagnostics d;
    bool flag;
    arena_init(&a);
    diagnostics_init(&d);
    struct node *x = yaml_parse(&files[0], &a, &d), *y = yaml_parse(&files[1], &a, &d);
    cr_assert(x && y);
    cr_expect(node_same(x, y) && node_same(y, x));
    cr_expect(!parse_bool(node_find(node_find(x, "a"), "b")->text, &flag));
    diagnostics_free(&d);
    arena_free(&a);
}

/* ---- small texts ----------------------------------------------------------------------------------------- */

Test(define_yaml, durations)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"90s", 90},          {"30m", 1800}, {"2h", 7200},    {"7d", 604800},
                {"1d12h30m", 131400}, {"0s", 0},     {"1d1s", 86401}, {"100h", 360000}};
    static const char *const bad[] = {"",    "7",    "d",  "7 d", "7d ",         "1h1d", "1h2h",
                                      "-3d", "1.5h", "7w", "7D",  "9999999999s", "1dd"};
    int64_t s;
    for (uint32_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(parse_duration(slice_str(good[i].text), &s) && s == good[i].seconds, "%s", good[i].text);
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!parse_duration(slice_str(bad[i]), &s), "%s", bad[i]);
    cr_expect(parse_offset(SLICE("-3d"), &s) && s == -259200);
    cr_expect(parse_offset(SLICE("+3d"), &s) && s == 259200);
    cr_expect(!parse_offset(SLICE("--3d"), &s));
}

Test(define_yaml, clocks_percentages_rates_ranges_dates)
{
    uint32_t a, b;
    int32_t days;
    cr_expect(parse_clock(SLICE("10:00"), &a) && a == 36000);
    cr_expect(parse_clock(SLICE("9:05"), &a) && a == 32700);
    cr_expect(parse_clock(SLICE("23:59:59"), &a) && a == 86399);
    cr_expect(!parse_clock(SLICE("24:00"), &a) && !parse_clock(SLICE("10"), &a) &&
              !parse_clock(SLICE("10:60"), &a) && !parse_clock(SLICE("10:5"), &a));
    cr_expect(parse_hours(SLICE("21:00-09:00"), &a, &b) && a == 75600 && b == 32400);
    cr_expect(!parse_hours(SLICE("21:00-21:00"), &a, &b) && !parse_hours(SLICE("21:00"), &a, &b));
    cr_expect(parse_percent(SLICE("5%"), &a) && a == 50000);
    cr_expect(parse_percent(SLICE("0.5%"), &a) && a == 5000);
    cr_expect(parse_percent(SLICE("33.3333%"), &a) && a == 333333);
    cr_expect(parse_percent(SLICE("100%"), &a) && a == 1000000);
    cr_expect(!parse_percent(SLICE("100.1%"), &a) && !parse_percent(SLICE("5"), &a) &&
              !parse_percent(SLICE("-5%"), &a));
    cr_expect(parse_rate(SLICE("3 per 7d"), &a, &b) && a == 3 && b == 604800);
    cr_expect(!parse_rate(SLICE("3 per 0s"), &a, &b) && !parse_rate(SLICE("3/7d"), &a, &b) &&
              !parse_rate(SLICE("per 7d"), &a, &b));
    cr_expect(parse_range(SLICE("500..50000"), &a, &b) && a == 500 && b == 50000);
    cr_expect(parse_range(SLICE("..5"), &a, &b) && a == 0 && b == 5);
    cr_expect(!parse_range(SLICE("5..2"), &a, &b) && !parse_range(SLICE(".."), &a, &b) &&
              !parse_range(SLICE("5"), &a, &b));
    cr_expect(parse_date(SLICE("2026-12-31"), &days) && days == 20818);
    cr_expect(!parse_date(SLICE("2026-02-30"), &days) && !parse_date(SLICE("26-02-03"), &days));
}

Test(define_yaml, numbers_are_those_of_yaml_1_2)
{
    int64_t i;
    double d;
    cr_expect(parse_integer(SLICE("-9223372036854775807"), &i) && i == -INT64_MAX);
    cr_expect(!parse_integer(SLICE("9223372036854775808"), &i) && !parse_integer(SLICE("1_000"), &i) &&
              !parse_integer(SLICE("1:30"), &i));
    cr_expect(parse_integer(SLICE("0x1F"), &i) && i == 31);
    cr_expect(parse_integer(SLICE("0o17"), &i) && i == 15);
    cr_expect(parse_integer(SLICE("017"), &i) && i == 17);
    cr_expect(parse_number(SLICE("-.5"), &d) && d == -0.5);
    cr_expect(parse_number(SLICE("1e3"), &d) && d == 1000);
    cr_expect(!parse_number(SLICE("e3x"), &d) && !parse_number(SLICE("."), &d) &&
              !parse_number(SLICE("nan"), &d));
}

/* ---- strangers ---------------------------------------------------------------------------------------------- */

static struct slice mutated(struct slice text, struct buf *out)
{
    static const char *const pieces[] = {"{",    "}",  "[",  "]",   ": ",   "- ", "'", "\"",
                                         "\n",   "  ", "!",  "&a ", "*a",   "|",  ">", "#",
                                         "\xff", "=",  "{{", "%}",  "null", "0s", "~"};
    buf_clear(out);
    uint32_t cut = below(text.n), from = below(text.n), length = below(40);
    if (from + length > text.n) length = text.n - from;
    switch (below(4)) {
    case 0: /* a piece put in */
        buf_put(out, text.p, cut);
        buf_put_str(out, pieces[below(sizeof pieces / sizeof *pieces)]);
        buf_put(out, text.p + cut, text.n - cut);
        break;
    case 1: /* a part left out */
        buf_put(out, text.p, from);
        buf_put(out, text.p + from + length, text.n - from - length);
        break;
    case 2: /* a part said twice, elsewhere */
        buf_put(out, text.p, cut);
        buf_put(out, text.p + from, length);
        buf_put(out, text.p + cut, text.n - cut);
        break;
    default: buf_put(out, text.p, cut); /* cut off */
    }
    return buf_slice(out);
}

Test(define_yaml, spoilt_files_are_refused_or_taken_but_never_break_anything)
{
    struct diagnostics d;
    uint32_t count, taken = 0;
    diagnostics_init(&d);
    struct source_file *files = sources_read(HG_TEST_DATA "/definitions/language", &count, &d);
    cr_assert_eq(count, 6);
    cr_log_info("seed %llu", (unsigned long long)seed);
    for (uint32_t round = 0; round < 1500; round++) {
        struct buf one = {0}, two = {0};
        struct diagnostics found;
        uint32_t at = below(count);
        struct slice original = files[at].text, text = mutated(original, &one);
        if (below(2) && text.n) text = mutated(text, &two);
        files[at].text = text;
        diagnostics_init(&found);
        struct defset *set = defset_check(files, count, NULL, NULL, &found);
        cr_assert_eq(set == NULL, found.errors > 0, "round %u", round);
        taken += set != NULL;
        struct buf out = {0};
        diagnostics_print(&found, &out);
        defset_free(set);
        diagnostics_free(&found);
        buf_free(&out);
        buf_free(&one);
        buf_free(&two);
        files[at].text = original;
    }
    cr_expect(taken > 10 && taken < 1490, "%u taken", taken);
    diagnostics_free(&d);
}

Test(define_yaml, every_repeated_key_of_a_long_mapping_is_told_with_its_first_line)
{
    struct buf text = {0};
    struct diagnostics d;
    struct arena a;
    arena_init(&a);
    diagnostics_init(&d);
    for (uint32_t i = 0; i < 3000; i++) buf_printf(&text, "k%u: %u\n", i % 2000, i);
    struct source_file file = {SLICE("long.yaml"), buf_slice(&text)};
    cr_assert_not_null(yaml_parse(&file, &a, &d));
    cr_assert_eq(d.errors, 1000);
    cr_expect_eq(d.list[999].line, 3000);
    cr_expect_str_eq(d.list[999].reason, "duplicate key 'k999': it stands in line 1000 already");
    diagnostics_free(&d);
    arena_free(&a);
    buf_free(&text);
}
