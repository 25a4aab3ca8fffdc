/* Random typed expressions on random people: the machine against the reference, and every predicted change against the
 * clock. HG_EXPR_COUNT sets how many expressions (default 100,000), HG_EXPR_SEED the seed; both tests print theirs. */
#include "tests/unit/expr_reference.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { BASE = 1772355600, STEPS = 600 };

/* Where clocks do something within the next ten minutes: midnight of a month in UTC, in Moscow, in New York; New York's
 * leap forward and back; a week's end in Kolkata. */
static const uint32_t bases[] = {1772322900, 1780260900, 1772340900, 1772952900,
                                 1793512500, 1774203900, BASE};
static uint32_t base = BASE;

static uint64_t state;
static uint32_t random_below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 24) % n);
}
static bool chance(uint32_t percent) { return random_below(100) < percent; }

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void seed(const char *test)
{
    uint64_t s = number_from("HG_EXPR_SEED", 20260301);
    fprintf(stderr, "%s: seed %llu\n", test, (unsigned long long)s);
    state = s * 0x9e3779b97f4a7c15 + 1;
}

/* ---- people ---------------------------------------------------------------------------------------- */

static struct value random_city(void)
{
    static const char *const cities[] = {"Kazan", "Moscow", "Nizhny Novgorod", ""};
    return value_string(slice_str(cities[random_below(4)]));
}

static struct value random_total(void)
{
    return value_double(random_below(5) ? (double)random_below(400) / 8 : -(double)random_below(10));
}

static void random_props(struct value *prop)
{
    prop[0] = chance(85) ? random_total() : value_none();
    prop[1] = chance(85) ? random_city() : value_none();
    prop[2] = chance(70) ? value_bool(chance(50)) : value_none();
}

static int by_time(const void *a, const void *b)
{
    uint32_t x = ((const struct deed *)a)->time, y = ((const struct deed *)b)->time;
    return x < y ? -1 : x > y;
}

static int64_t thirty_years_ago(uint32_t days_more)
{
    struct civil c;
    civil_from_seconds(base, &c);
    return civil_days(c.year - 30, c.month, c.day) + days_more - 1;
}

/* `near`: deeds stand so that windows of a few minutes let go of them within the next STEPS seconds. */
static void random_person(struct person *p, bool near)
{
    static const char *const zones[] = {"UTC", "Europe/Moscow", "America/New_York", "Asia/Kolkata"};
    static struct value tags[2];
    memset(p, 0, sizeof *p);
    for (uint32_t t = 0; t < TYPES; t++) {
        p->count[t] = chance(15) ? 0 : random_below(chance(50) ? 5 : 24);
        for (uint32_t i = 0; i < p->count[t]; i++) {
            int64_t back = near ? (int64_t)random_below(1500) - 400
                                : (int64_t)random_below(chance(50) ? 30000 : 5000000) - 50;
            if (near && chance(20)) back = random_below(4) * 3600; /* several in one second */
            if (near && chance(20)) back = random_below(3) * 86400 + random_below(900);
            p->deeds[t][i].time = (uint32_t)(base - back);
            random_props(p->deeds[t][i].prop);
        }
        qsort(p->deeds[t], p->count[t], sizeof p->deeds[t][0], by_time);
    }
    if (chance(70)) p->attribute[CITY] = random_city();
    if (chance(70)) p->attribute[PLAN] = random_total();
    if (chance(70)) p->attribute[VIP] = value_bool(chance(50));
    if (chance(70)) p->attribute[BIRTHDAY] = value_time((int64_t)random_below(20510) * 86400);
    if (chance(40)) p->attribute[BIRTHDAY] = value_time(thirty_years_ago(random_below(3)) * 86400);
    if (chance(70))
        p->attribute[EXPIRES] = value_time(base + (int64_t)random_below(near ? 900 : 9000000) - 200);
    tags[0] = random_city();
    tags[1] = random_city();
    if (chance(70)) p->attribute[TAGS] = (struct value){.kind = V_LIST, .n = random_below(3), .list = tags};
    random_props(p->at_hand);
    p->event_at = base - random_below(100);
    p->member = chance(50);
    p->zone = zone_load(NULL, slice_str(zones[random_below(4)]));
    person_seal(p, random_below(RING));
}

/* ---- expressions ------------------------------------------------------------------------------------- */

static struct arena texts;
static bool near_windows;
#define TEXT(...) arena_printf(&texts, __VA_ARGS__)

static const char *boolean(int depth, bool entry);
static const char *number(int depth, bool entry);
static const char *event(void) { return chance(60) ? "'Order'" : "'View'"; }

static const char *duration(void)
{
    if (near_windows) return TEXT("duration('%us')", 1 + random_below(900));
    switch (random_below(3)) {
    case 0: return TEXT("days(%u)", 1 + random_below(40));
    case 1: return TEXT("hours(%u)", 1 + random_below(60));
    default: return TEXT("minutes(%u)", 1 + random_below(600));
    }
}

static const char *text(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 5 : 4)) {
    case 0: return "'Kazan'";
    case 1: return "'o'";
    case 2: return "profile.city";
    case 3: return "e.city";
    default: return TEXT("(%s + %s)", text(depth - 1, entry), text(depth - 1, entry));
    }
}

static const char *moment(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 7 : 6)) {
    case 0: return "now";
    case 1: return "profile.expires";
    case 2: return TEXT("last(%s)", event());
    case 3: return TEXT("first(%s)", event());
    case 4: return "e.at";
    case 5: return TEXT("(now - %s)", duration());
    default: return TEXT("(%s + %s)", moment(depth - 1, entry), duration());
    }
}

static const char *length(int depth, bool entry)
{
    switch (random_below(3)) {
    case 0: return duration();
    case 1: return TEXT("ago(%s)", event());
    default: return TEXT("(%s - %s)", moment(depth - 1, entry), moment(depth - 1, entry));
    }
}

static const char *window(int depth)
{
    if (chance(70)) return duration();
    if (chance(50)) return TEXT("calendar('%s')", (const char *[]){"day", "week", "month"}[random_below(3)]);
    return TEXT("since(%s)", chance(50) ? TEXT("last(%s)", event()) : moment(depth > 1, false));
}

static const char *tally(int depth)
{
    static const char *const names[] = {"sum", "avg", "min", "max"};
    const char *where = chance(35) && depth > 0 ? TEXT(", %s", boolean(depth - 1, true)) : "";
    const char *span = chance(80) ? TEXT(", %s", window(depth)) : "";
    const char *e = event();
    if (chance(50)) return TEXT("count(%s%s%s)", e, span, where);
    if (chance(20)) return TEXT("distinct(%s, e.city%s%s)", e, span, where);
    const char *value = chance(70) || depth < 1 ? "e.total" : number(depth - 2, true);
    return TEXT("%s(%s, %s%s%s)", names[random_below(4)], e, value, span, where);
}

static const char *number(int depth, bool entry)
{
    static const char *const signs[] = {"+", "-", "*", "/"};
    switch (random_below(depth > 0 ? 9 : 4)) {
    case 0: return TEXT("%u", random_below(12));
    case 1: return TEXT("%u.5", random_below(30));
    case 2: return "profile.plan";
    case 3: return "e.total";
    case 4:
    case 5:
    case 6: return depth > 0 ? tally(depth - 1) : "1";
    case 7: return chance(50) ? "age(profile.birthday)" : TEXT("days_in_row(%s)", event());
    default:
        return TEXT("(%s %s %s)", number(depth - 1, entry), signs[random_below(4)], number(depth - 1, entry));
    }
}

/* A comparison that is likely to flip soon. */
static const char *timely(int depth, const char *sign)
{
    struct civil c;
    civil_from_seconds(base, &c);
    switch (random_below(6)) {
    case 0: return TEXT("count(%s, %s) %s %u", event(), duration(), sign, random_below(5));
    case 1: return TEXT("%u %s count(%s, %s, e.ok)", random_below(3), sign, event(), window(depth));
    case 2: return TEXT("age(profile.birthday) %s %u", sign, 29 + random_below(3));
    case 3: return TEXT("days_in_row(%s) %s %u", event(), sign, random_below(3));
    case 4: return TEXT("now.%s %s %u", chance(50) ? "getHours()" : "getDayOfWeek()", sign, random_below(24));
    default: return TEXT("sum(%s, e.total, %s) %s %u", event(), window(depth), sign, random_below(60));
    }
}

static const char *comparison(int depth, bool entry)
{
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">="};
    const char *sign = signs[random_below(6)];
    if (near_windows && chance(40)) return timely(depth, sign);
    switch (random_below(6)) {
    case 0: return TEXT("%s %s %s", text(depth, entry), sign, text(depth, entry));
    case 1:
        return TEXT("%s %s %s", moment(depth, entry), sign,
                    chance(15) ? "profile.birthday" : moment(depth, entry));
    case 2: return TEXT("%s %s %s", length(depth, entry), sign, length(depth, entry));
    case 3:
        return TEXT("now.%s() %s %u",
                    (const char *[]){"getHours", "getMinutes", "getDayOfWeek"}[random_below(3)], sign,
                    random_below(24));
    default: return TEXT("%s %s %s", number(depth, entry), sign, number(depth, entry));
    }
}

static const char *atom(int depth, bool entry)
{
    switch (random_below(9)) {
    case 0: return "profile.vip";
    case 1: return "e.ok";
    case 2: return "segment('vips')";
    case 3: return "has(profile.city)";
    case 4: return "has(e.total)";
    case 5: return TEXT("%s in profile.tags", text(0, entry));
    case 6:
        return TEXT("%s.%s(%s)", text(0, entry),
                    (const char *[]){"contains", "startsWith", "endsWith"}[random_below(3)], text(0, entry));
    case 7:
        return TEXT("profile.tags.%s(x, x != %s)",
                    (const char *[]){"exists", "all", "exists_one"}[random_below(3)], text(0, entry));
    default:
        return TEXT("[%s, %s].%s(y, y > %s)", number(depth - 2, entry), number(0, entry),
                    chance(50) ? "exists" : "all", number(depth - 2, entry));
    }
}

static const char *sequence(int depth)
{
    const char *step = chance(50) ? event() : TEXT("ev(%s, %s)", event(), boolean(depth - 2, true));
    const char *third = chance(50) ? TEXT(", %s", event()) : "";
    return TEXT("sequence([%s, %s%s], %s)", step, event(), third, duration());
}

static const char *boolean(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 9 : 2)) {
    case 0: return atom(depth, entry);
    case 1:
    case 2:
    case 3: return comparison(depth - 1, entry);
    case 4: return TEXT("!(%s)", boolean(depth - 1, entry));
    case 5:
        return TEXT("(%s ? %s : %s)", boolean(depth - 1, entry), boolean(depth - 1, entry),
                    boolean(depth - 1, entry));
    case 6: return depth > 1 ? sequence(depth) : "true";
    case 7: return TEXT("(%s && %s)", boolean(depth - 1, entry), boolean(depth - 1, entry));
    default: return TEXT("(%s || %s)", boolean(depth - 1, entry), boolean(depth - 1, entry));
    }
}

/* ---- one expression, both ways --------------------------------------------------------------------------- */

static struct arena arena, scratch;

struct both {
    const char *text;
    const struct program *program;
    const struct tree *tree;
};

static bool compile(struct both *b)
{
    struct expr_errors errors = {0};
    arena_reset(&arena);
    arena_reset(&texts);
    do b->text = boolean(1 + (int)random_below(4), false);
    while (strlen(b->text) > 3000);
    b->program =
        expr_compile(expr_pool_create(&arena), &person_scope, slice_str(b->text), WANT_BOOL, &errors);
    struct expr_errors none = {0};
    b->tree = expr_parse(&arena, slice_str(b->text), &none);
    for (uint32_t i = 0; !b->program && i < errors.count; i++)
        if (!errors.list[i].warning) cr_assert_fail("%s: %s", b->text, errors.list[i].reason);
    return b->program != NULL;
}

static struct value run(const struct both *b, struct person *p, uint32_t now, uint32_t *next)
{
    arena_reset(&scratch);
    struct expr_context ctx = {.source = &person_source,
                               .self = p,
                               .now = now,
                               .zone = p->zone,
                               .scratch = &scratch,
                               .next_change = UINT32_MAX};
    struct value v = program_run(b->program, &ctx);
    *next = ctx.next_change;
    return v;
}

static struct value reference(const struct both *b, struct person *p, uint32_t now)
{
    arena_reset(&scratch);
    struct ref r = {.p = p, .now = now, .arena = &scratch};
    return ref_eval(&r, b->tree);
}

/* true, false, or an error: that is all a predicate can be. */
static int truth(struct value v) { return v.kind == V_BOOL ? v.b : 2; }

static void set_up(void)
{
    arena_init(&arena);
    arena_init(&texts);
    arena_init(&scratch);
}

Test(expr_random, the_machine_agrees_with_the_reference, .init = set_up)
{
    seed("expr_random");
    uint64_t count = number_from("HG_EXPR_COUNT", 100000), seen[3] = {0};
    static struct person people[16];
    for (uint64_t i = 0; i < count; i++) {
        struct both b;
        uint32_t next;
        if (i % 4096 == 0)
            for (uint32_t k = 0; k < 16; k++) {
                if (i) person_unseal(&people[k]);
                random_person(&people[k], false);
            }
        compile(&b);
        struct person *p = &people[random_below(16)];
        int got = truth(run(&b, p, BASE, &next)), wanted = truth(reference(&b, p, BASE));
        cr_assert_eq(got, wanted, "expression %llu: %s: %d, not %d", (unsigned long long)i, b.text, got,
                     wanted);
        seen[got]++;
    }
    fprintf(stderr, "expr_random: %llu false, %llu true, %llu errors\n", (unsigned long long)seen[0],
            (unsigned long long)seen[1], (unsigned long long)seen[2]);
    cr_assert(seen[0] > count / 10 && seen[1] > count / 10 && seen[2] > count / 50);
}

Test(expr_random, no_change_comes_before_it_was_predicted, .init = set_up)
{
    seed("expr_time");
    uint64_t count = number_from("HG_EXPR_COUNT", 100000) / 20, wakes = 0, flips = 0, seconds = 0;
    near_windows = true;
    static struct person p;
    for (uint64_t i = 0; i < count; i++) {
        struct both b;
        base = bases[random_below(sizeof bases / sizeof *bases)];
        compile(&b);
        if (!program_timed(b.program)) continue;
        random_person(&p, true);
        uint32_t next;
        int held = truth(run(&b, &p, base, &next));
        for (uint32_t now = base + 1; now <= base + STEPS; now++, seconds++) {
            int real = truth(reference(&b, &p, now));
            if (now < next) {
                cr_assert_eq(real, held, "%s: at +%u it is %d, but %d was said to last until +%u", b.text,
                             now - base, real, held, next - base);
                continue;
            }
            cr_assert_eq(now, next, "a change in the past");
            int was = held;
            held = truth(run(&b, &p, now, &next));
            cr_assert_eq(held, real, "%s: at +%u", b.text, now - base);
            cr_assert_gt(next, now);
            wakes++;
            flips += held != was;
        }
        person_unseal(&p);
    }
    fprintf(stderr, "expr_time: %llu seconds, %llu wake-ups, %llu flips\n", (unsigned long long)seconds,
            (unsigned long long)wakes, (unsigned long long)flips);
    cr_assert_gt(flips, count / 20);
}

/* Bytes of a good text replaced, dropped, doubled: a program or errors, and no other way out. */
Test(expr_random, any_text_ends_in_a_program_or_in_errors, .init = set_up)
{
    seed("expr_text");
    static const char letters[] = "()[]{}.,:?+-*/%!<>=&|'\"\\ e1u\n\xd1#rb";
    uint64_t count = number_from("HG_EXPR_COUNT", 100000) / 10, broken = 0;
    for (uint64_t i = 0; i < count; i++) {
        arena_reset(&arena);
        arena_reset(&texts);
        char text_bytes[4096];
        int n = snprintf(text_bytes, sizeof text_bytes, "%s", boolean(3, false));
        if (n >= (int)sizeof text_bytes) continue;
        for (uint32_t k = 1 + random_below(4); k; k--)
            text_bytes[random_below((uint32_t)n)] = letters[random_below(sizeof letters - 1)];
        struct expr_errors errors = {0};
        struct slice s = slice_of(text_bytes + (chance(20) ? random_below((uint32_t)n) : 0), 0);
        s.n = (uint32_t)(text_bytes + n - (const char *)s.p);
        const struct program *p =
            expr_compile(expr_pool_create(&arena), &person_scope, s, WANT_BOOL, &errors);
        uint32_t serious = 0;
        for (uint32_t k = 0; k < errors.count; k++) {
            serious += !errors.list[k].warning;
            cr_assert(errors.list[k].at <= s.n && errors.list[k].length <= s.n + 1 &&
                      errors.list[k].reason[0]);
        }
        cr_assert_eq(p == NULL, serious > 0, "%.*s", (int)s.n, (const char *)s.p);
        broken += !p;
    }
    cr_assert_gt(broken, count / 4);
}

Test(expr_random, a_text_without_end_is_refused_not_followed, .init = set_up)
{
    static const char *const parts[] = {"true && ", "1 + ",           "!", "-", "(", "[", "a.",
                                        "x[",       "true ? true : ", "f("};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buf b = {0};
        for (int k = 0; k < 100000; k++) buf_put_str(&b, parts[i]);
        buf_put_str(&b, "1");
        struct expr_errors errors = {0};
        cr_assert_null(
            expr_compile(expr_pool_create(&arena), &person_scope, buf_slice(&b), WANT_ANY, &errors));
        cr_assert_gt(errors.count, 0);
        buf_free(&b);
        arena_reset(&arena);
    }
}
