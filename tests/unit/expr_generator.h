/* expr_generator.h - random people and random typed expressions about them. One seed gives one run, everywhere.
 * Owner: `texts` holds the expression at hand; the caller resets it. */
#ifndef HG_TESTS_EXPR_GENERATOR_H
#define HG_TESTS_EXPR_GENERATOR_H

#include "tests/unit/expr_person.h"

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

/* One of several texts. */
#define ONE_OF(...)                                                                                          \
    ((const char *const[]){                                                                                  \
        __VA_ARGS__}[random_below(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

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
    static const char *const cities[] = {"Kazan",
                                         "Moscow",
                                         "Nizhny Novgorod",
                                         "",
                                         "o",
                                         "Элиста-12 \xc2\xa0",
                                         "12",
                                         " \xc3\x89pinal\t",
                                         "true",
                                         "90s",
                                         "4.5",
                                         "\xf0\x9f\x98\x80 a.z"};
    return value_string(
        slice_str(cities[chance(60) ? random_below(3) : random_below(sizeof cities / sizeof *cities)]));
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

/* As a list, or packed as a message brings it. */
static void random_tags(struct person *p)
{
    struct buf packed = {0};
    for (uint32_t i = 0; i < 3; i++) p->tag_items[i] = random_city();
    p->tags = (struct value){.kind = V_LIST, .n = random_below(4), .list = p->tag_items};
    p->attribute[TAGS] = p->tags;
    if (chance(50)) return;
    value_write(p->tags, &packed);
    CHECK(packed.n <= sizeof p->tags_packed);
    memcpy(p->tags_packed, packed.p, packed.n);
    p->attribute[TAGS] = (struct value){.kind = V_RAW, .n = (uint32_t)packed.n, .s = p->tags_packed};
    buf_free(&packed);
}

static void random_own(struct person *p, const char *zone)
{
    p->own[PROFILE_USER_ID] = chance(60) ? value_string(SLICE("u1")) : value_none();
    p->own[PROFILE_KNOWN] = value_bool(p->own[PROFILE_USER_ID].kind == V_STRING);
    p->own[PROFILE_FIRST_SEEN] = value_time(base - random_below(9000000));
    p->own[PROFILE_LAST_SEEN] = value_time(base - random_below(1000));
    p->own[PROFILE_LANGUAGE] = chance(70) ? value_string(slice_str(ONE_OF("ru", "en"))) : value_none();
    p->own[PROFILE_TIMEZONE] = chance(70) ? value_string(slice_str(zone)) : value_none();
    if (chance(10)) p->own[PROFILE_TIMEZONE] = value_string(SLICE("+02:30"));
    if (chance(10)) p->own[PROFILE_TIMEZONE] = value_string(SLICE("Nowhere/Land"));
}

static void random_facts(struct person *p)
{
    p->member = chance(50);
    p->listed = chance(50);
    p->consents = chance(50);
    p->reachable = chance(50);
    p->inside = chance(50);
    p->sends = (uint8_t)random_below(32);
    p->entered = p->member ? base - random_below(100000) : 0;
    p->left = !p->member && chance(50) ? base - random_below(100000) : 0;
}

/* Days that folded, before the oldest deed that is kept. */
static void random_days(struct person *p)
{
    uint32_t oldest = p->count[0] ? p->deeds[0][0].time : base,
             n = p->count[0] && chance(40) ? 1 + random_below(4) : 0;
    uint32_t day = oldest / 86400 - random_below(n + 30);
    for (uint32_t i = 0; i < n; i++, day += random_below(3)) {
        if (day > oldest / 86400) day = oldest / 86400;
        struct day_bucket *b = &p->days[p->day_count++];
        *b = (struct day_bucket){.day = (uint16_t)day, .count = (uint16_t)(1 + random_below(5))};
        p->folded += b->count;
        if (chance(20)) continue;
        b->sums = heap_alloc(&person_heap, 8);
        *(int64_t *)heap_at(&person_heap, b->sums) = (int64_t)random_below(300) * 125000 - 4000000;
    }
    if (p->folded) p->folded_first = p->days[0].day * 86400u + random_below(40000);
    if (p->folded && p->folded_first > oldest) p->folded_first = oldest;
}

/* `near`: deeds stand so that windows of a few minutes let go of them within the next STEPS seconds. */
static void random_person(struct person *p, bool near)
{
    static const char *const zones[] = {"UTC", "Europe/Moscow", "America/New_York", "Asia/Kolkata"};
    person_open();
    memset(p, 0, sizeof *p);
    for (uint32_t t = 0; t < TYPES; t++) {
        p->count[t] = chance(15) ? 0 : random_below(chance(50) ? 5 : 24);
        for (uint32_t i = 0; i < p->count[t]; i++) {
            int64_t back = near ? (int64_t)random_below(1500) - 400
                                : (int64_t)random_below(chance(50) ? 30000 : 5000000) - 5000;
            if (near && chance(20)) back = random_below(4) * 3600; /* several in one second */
            if (near && chance(20)) back = random_below(3) * 86400 + random_below(900);
            p->deeds[t][i].time = (uint32_t)(base - back);
            random_props(p->deeds[t][i].prop);
        }
        qsort(p->deeds[t], p->count[t], sizeof p->deeds[t][0], by_time);
    }
    random_days(p);
    if (chance(70)) p->attribute[CITY] = random_city();
    if (chance(70)) p->attribute[PLAN] = random_total();
    if (chance(70)) p->attribute[VIP] = value_bool(chance(50));
    if (chance(70)) p->attribute[BIRTHDAY] = value_time((int64_t)random_below(20510) * 86400);
    if (chance(40)) p->attribute[BIRTHDAY] = value_time(thirty_years_ago(random_below(3)) * 86400);
    if (chance(70))
        p->attribute[EXPIRES] = value_time(base + (int64_t)random_below(near ? 900 : 9000000) - 200);
    if (chance(70)) random_tags(p);
    for (uint32_t scope = 0; scope < SCOPES; scope++) {
        random_props(p->at_hand[scope]);
        p->event_at[scope] = chance(85) ? base - random_below(100) : 0;
    }
    random_facts(p);
    const char *zone = zones[random_below(4)];
    p->zone = zone_load(NULL, slice_str(zone));
    random_own(p, zone);
    person_seal(p, random_below(RING));
}

/* ---- expressions ------------------------------------------------------------------------------------- */

static struct arena texts;
static bool near_windows;
static uint32_t macros; /* open around what is being made: two may nest */
#define TEXT(...) arena_printf(&texts, __VA_ARGS__)

static const char *boolean(int depth, bool entry);
static const char *number(int depth, bool entry);
static const char *whole(int depth, bool entry);
static const char *text_list(int depth, bool entry);
static const char *number_list(int depth, bool entry);
static const char *number_map(int depth, bool entry);
static const char *moment(int depth, bool entry);
static const char *length(int depth, bool entry);
static const char *unsigned_number(int depth, bool entry);

static const char *event(void) { return chance(60) ? "'Order'" : "'View'"; }
static const char *any_event(void) { return chance(80) ? event() : "'*'"; }
static const char *scope_name(void) { return chance(60) ? "e" : ONE_OF("trigger", "bought"); }

static const char *duration(int depth)
{
    if (near_windows && chance(90)) return TEXT("duration('%us')", 1 + random_below(900));
    switch (random_below(depth > 1 ? 5 : 4)) {
    case 0: return TEXT("days(%u)", 1 + random_below(chance(20) ? 4000 : 40));
    case 1: return TEXT("hours(%u)", 1 + random_below(60));
    case 2: return TEXT("minutes(%u)", 1 + random_below(600));
    case 3: return TEXT("duration('%s')", ONE_OF("90s", "3h", "45d", "5400s"));
    default: return TEXT("%s(%s)", ONE_OF("days", "hours", "minutes"), whole(depth - 2, false));
    }
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static const char *text_made(int depth, bool entry)
{
    const char *of = chance(10) ? TEXT("dyn(%s)", text_list(depth, entry)) : NULL;
    const char *a =
        entry && chance(50) ? "e.city" : ONE_OF("profile.city", "profile.language", "profile.timezone");
    if (chance(40)) a = TEXT("(%s + %s)", a, ONE_OF("' x'", "'Ab'", "profile.city", "'o'"));
    if (chance(10)) a = TEXT("dyn(%s)", a);
    switch (random_below(12)) {
    case 0: return TEXT("%s.%s()", a, ONE_OF("lower", "lowerAscii", "upperAscii", "trim", "reverse"));
    case 1: return TEXT("%s.charAt(%s)", a, whole(depth - 2, entry));
    case 2: return TEXT("%s.substring(%u)", a, random_below(6));
    case 3: return TEXT("%s.substring(%u, %s)", a, random_below(3), whole(depth - 2, entry));
    case 4:
        return TEXT("%s.replace(%s, %s)", a, ONE_OF("'a'", "'o'", "''", "profile.city"),
                    ONE_OF("'oo'", "''", "' '"));
    case 5: return TEXT("%s.replace('%s', 'z', %d)", a, ONE_OF("a", "o", ""), (int)random_below(4) - 1);
    case 6: return TEXT("%s.join()", of ? of : text_list(depth - 2, entry));
    case 7:
        return TEXT("%s.join(%s)", of ? of : text_list(depth - 2, entry),
                    ONE_OF("','", "profile.city", "''"));
    case 8: return TEXT("%s[%s]", text_list(depth - 2, entry), whole(0, entry));
    case 9:
        switch (random_below(6)) {
        case 0: return TEXT("string(%s)", whole(depth - 2, entry));
        case 1: return TEXT("string(%s)", number(depth - 2, entry));
        case 2: return TEXT("string(%s)", moment(depth - 2, entry));
        case 3: return TEXT("string(%s)", length(depth - 2, entry));
        case 4: return TEXT("string(%s)", unsigned_number(depth - 2, entry));
        default: return TEXT("string(%s)", ONE_OF("profile.vip", "profile.city", "profile.known"));
        }
    case 10: return TEXT("(%s ? %s : 'o')", boolean(depth - 3, entry), a);
    default: return "context.campaign.source";
    }
}

static const char *text(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 8 : 4)) {
    case 0: return ONE_OF("'Kazan'", "'ru'", "'Kazan Kazan'", "'12'", "'Элиста'");
    case 1: return ONE_OF("'o'", "'a'", "''", "'Kaz'");
    case 2:
        return ONE_OF("profile.city", "profile.city", "profile.user_id", "profile.language",
                      "profile.timezone");
    case 3: return TEXT("%s.city", scope_name());
    case 4: return TEXT("(%s + %s)", text(depth - 1, entry), text(depth - 1, entry));
    default: return entry || !chance(50) ? "profile.city" : text_made(depth, entry);
    }
}

/* Where no event's context may be asked for. */
static const char *text_for(int depth, bool entry)
{
    const char *t = chance(50) ? text_made(depth, entry) : text(depth, entry);
    return entry && strstr(t, "context.") ? "e.city" : t;
}

static const char *text_list(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 7 : 3)) {
    case 0:
    case 1: return "profile.tags";
    case 2: return TEXT("[%s, %s]", text(0, entry), text(0, entry));
    case 3: return TEXT("%s.split(%s)", text(0, entry), ONE_OF("'a'", "' '", "''", "profile.city"));
    case 4: return TEXT("%s.split(' ', %d)", text(0, entry), (int)random_below(4) - 1);
    case 5: return TEXT("(profile.tags + %s)", text_list(depth - 1, entry));
    default:
        if (macros >= 2) return "['o']";
        macros++;
        const char *made = chance(50) ? TEXT("profile.tags.filter(t, t != %s)", text(0, entry))
                                      : TEXT("profile.tags.map(t, t + %s)", text(0, entry));
        macros--;
        return made;
    }
}

/* ---- moments and lengths ----------------------------------------------------------------------------------- */

static const char *moment(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 10 : 6)) {
    case 0: return "now";
    case 1: return ONE_OF("profile.expires", "profile.first_seen", "profile.last_seen");
    case 2: return TEXT("last(%s)", any_event());
    case 3: return TEXT("first(%s)", any_event());
    case 4: return chance(70) ? TEXT("%s.at", scope_name()) : ONE_OF("entered('vips')", "left('vips')");
    case 5: return TEXT("(now - %s)", duration(depth));
    case 6: return TEXT("(%s ? %s : now)", boolean(depth - 2, entry), moment(depth - 1, entry));
    case 7:
        return ONE_OF("timestamp('2026-03-01T09:00:00Z')", "timestamp(profile.expires)",
                      "timestamp(int(now) - 60)", "timestamp(string(profile.expires))",
                      "timestamp(profile.city)", "timestamp(int(profile.birthday))");
    case 8: return TEXT("(%s + %s)", length(0, entry), moment(depth - 1, entry));
    default: return TEXT("(%s %s %s)", moment(depth - 1, entry), chance(70) ? "+" : "-", duration(depth));
    }
}

static const char *length(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 5 : 3)) {
    case 0: return duration(depth);
    case 1: return TEXT("ago(%s)", any_event());
    case 2:
        return ONE_OF("duration(profile.city)", "duration(ago('View'))", "duration(string(ago('Order')))",
                      "duration('90s')");
    case 3: return TEXT("(%s %s %s)", length(depth - 1, entry), chance(50) ? "+" : "-", duration(depth));
    default: return TEXT("(%s - %s)", moment(depth - 1, entry), moment(depth - 1, entry));
    }
}

static const char *window(int depth)
{
    if (chance(70)) return duration(depth);
    if (chance(50)) return TEXT("calendar('%s')", ONE_OF("day", "week", "month"));
    if (chance(10)) return "since(profile.birthday)";
    return TEXT("since(%s)",
                chance(50) ? TEXT("%s(%s)", ONE_OF("last", "first"), any_event()) : moment(depth > 1, false));
}

static const char *part(int depth, bool entry)
{
    const char *name = ONE_OF("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek",
                              "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds");
    switch (random_below(8)) {
    case 0: return TEXT("profile.birthday.%s()", name);
    case 1:
        return TEXT("%s.%s('%s')", moment(depth, entry), name, ONE_OF("America/New_York", "+03:00", "UTC"));
    case 2: return TEXT("%s.%s(profile.timezone)", moment(depth, entry), name);
    case 3:
        return TEXT("%s.%s()", length(depth, entry),
                    ONE_OF("getHours", "getMinutes", "getSeconds", "getMilliseconds"));
    case 4:
    case 5: return TEXT("now.%s()", name);
    default: return TEXT("%s.%s()", moment(depth, entry), name);
    }
}

/* ---- numbers ------------------------------------------------------------------------------------------------- */

static const char *tally(int depth)
{
    const char *where = chance(35) && depth > 0 ? TEXT(", %s", boolean(depth - 1, true)) : "";
    const char *span = chance(80) ? TEXT(", %s", window(depth)) : "";
    const char *e = event();
    if (chance(8)) return TEXT("count('*'%s)", span);
    if (chance(8)) return TEXT("count(%s)", any_event());
    if (chance(50)) return TEXT("count(%s%s%s)", e, span, where);
    if (chance(20)) return TEXT("distinct(%s, e.city%s%s)", e, span, where);
    const char *value = chance(70) || depth < 1 ? "e.total" : number(depth - 2, true);
    return TEXT("%s(%s, %s%s%s)", ONE_OF("sum", "avg", "min", "max"), e, value, span, where);
}

static const char *position(bool entry)
{
    const char *a = ONE_OF("profile.city", "'Kazan Kazan'", "profile.language"),
               *b = ONE_OF("'a'", "'o'", "''", "profile.city");
    const char *name = ONE_OF("indexOf", "lastIndexOf");
    return chance(50) ? TEXT("%s.%s(%s)", a, name, b) : TEXT("%s.%s(%s, %s)", a, name, b, whole(0, entry));
}

static const char *converted(int depth, bool entry)
{
    switch (random_below(6)) {
    case 0: return TEXT("int(%s)", text(depth > 0, entry));
    case 1: return TEXT("int(%s)", number(depth - 1, entry));
    case 2: return TEXT("int(%s)", moment(depth - 1, entry));
    case 3: return TEXT("int(%s)", unsigned_number(depth - 1, entry));
    case 4: return TEXT("int(dyn(%s))", ONE_OF("profile.plan", "profile.city", "now", "profile.vip"));
    default: return TEXT("int(%s)", whole(depth - 1, entry));
    }
}

static const char *whole(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 11 : 3)) {
    case 0: return TEXT("%u", random_below(12));
    case 1: return TEXT("%d", (int)random_below(5) - 2);
    case 2:
        return depth > -1 ? ONE_OF("size(profile.city)", "profile.city.size()", "size(profile.tags)",
                                   "profile.tags.size()", "count('View')", "count('Order')", "2")
                          : "2";
    case 3:
        return TEXT("(%s %s %s)", whole(depth - 1, entry), ONE_OF("+", "-", "*", "/", "%"),
                    whole(depth - 1, entry));
    case 4: return TEXT("-(%s)", whole(depth - 1, entry));
    case 5: return part(depth - 1, entry);
    case 6: return position(entry);
    case 7: return converted(depth, entry);
    case 8:
        return chance(50) ? TEXT("size(%s)", number_map(depth - 1, entry))
                          : TEXT("%s.size()", number_map(depth - 1, entry));
    case 9:
        return chance(30)   ? "age(profile.birthday)"
               : chance(40) ? TEXT("age(%s)", moment(0, entry))
                            : TEXT("days_in_row(%s)", any_event());
    default:
        return TEXT("(%s ? %s : %s)", boolean(depth - 2, entry), whole(depth - 1, entry),
                    whole(depth - 1, entry));
    }
}

static const char *unsigned_number(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 5 : 2)) {
    case 0: return TEXT("%uu", random_below(9));
    case 1: return "uint(count('View'))";
    case 2:
        return TEXT("(%s %s %s)", unsigned_number(depth - 1, entry), ONE_OF("+", "-", "*", "/", "%"),
                    unsigned_number(depth - 1, entry));
    case 3: return TEXT("uint(%s)", ONE_OF("profile.city", "profile.plan", "'7'", "3u", "e.total"));
    default: return TEXT("uint(%s)", whole(depth - 1, entry));
    }
}

static const char *number(int depth, bool entry)
{
    switch (random_below(depth > 0 ? 14 : 4)) {
    case 0: return TEXT("%u", random_below(12));
    case 1: return TEXT("%u.5", random_below(30));
    case 2: return chance(90) ? "profile.plan" : "value('avg_cheque')";
    case 3: return TEXT("%s.total", scope_name());
    case 4:
    case 5:
    case 6: return tally(depth - 1);
    case 7: return whole(depth - 1, entry);
    case 8: return TEXT("-%s", ONE_OF("profile.plan", "e.total", "(profile.plan)"));
    case 9:
        return TEXT("double(%s)", ONE_OF("profile.city", "profile.plan", "count('View')",
                                         "uint(count('View'))", "'4.5'", "profile.tags[0]"));
    case 10:
        return chance(50) ? TEXT("%s[%s]", number_list(depth - 1, entry),
                                 chance(80) ? whole(0, entry) : "profile.plan")
                          : TEXT("%s['%s']", number_map(depth - 1, entry), ONE_OF("a", "b"));
    case 11:
        return entry ? "e.total" : chance(50) ? "context.screen" : TEXT("%s.a", number_map(depth - 1, entry));
    default:
        return TEXT("(%s %s %s)", number(depth - 1, entry), ONE_OF("+", "-", "*", "/"),
                    number(depth - 1, entry));
    }
}

static const char *number_list(int depth, bool entry)
{
    switch (random_below(depth > 0 && macros < 2 ? 5 : 1)) {
    case 0: return TEXT("[%s, %s]", number(depth - 2, entry), number(0, entry));
    case 1: return TEXT("([%s] + [%s])", number(depth - 2, entry), number(0, entry));
    default: break;
    }
    macros++;
    const char *of = TEXT("[%s, %s, 3.5]", number(depth - 2, entry), number(0, entry)), *made;
    if (chance(40))
        made = TEXT("%s.map(n, n + %s)", of, number(depth - 2, entry));
    else if (chance(50))
        made = TEXT("%s.map(n, n > %s, n * 2)", of, number(depth - 2, entry));
    else
        made = TEXT("%s.filter(n, n > %s)", of, number(depth - 2, entry));
    macros--;
    return made;
}

static const char *number_map(int depth, bool entry)
{
    const char *key = chance(80) ? "'b'" : text(0, entry);
    return TEXT("{'a': %s, %s: %s}", number(depth - 1, entry), key, number(0, entry));
}

/* ---- truth ---------------------------------------------------------------------------------------------------- */

/* A comparison that is likely to flip soon. */
static const char *timely(int depth, const char *sign)
{
    switch (random_below(6)) {
    case 0: return TEXT("count(%s, %s) %s %u", any_event(), duration(0), sign, random_below(5));
    case 1: return TEXT("%u %s count(%s, %s, e.ok)", random_below(3), sign, event(), window(depth));
    case 2: return TEXT("age(profile.birthday) %s %u", sign, 29 + random_below(3));
    case 3: return TEXT("days_in_row(%s) %s %u", any_event(), sign, random_below(3));
    case 4: return TEXT("now.%s %s %u", chance(50) ? "getHours()" : "getDayOfWeek()", sign, random_below(24));
    default: return TEXT("sum(%s, e.total, %s) %s %u", event(), window(depth), sign, random_below(60));
    }
}

static const char *comparison(int depth, bool entry)
{
    const char *sign = ONE_OF("==", "!=", "<", "<=", ">", ">="), *equality = ONE_OF("==", "!=");
    if (near_windows && chance(40)) return timely(depth, sign);
    switch (random_below(13)) {
    case 0: return TEXT("%s %s %s", text_for(depth, entry), sign, text(depth, entry));
    case 1:
        return TEXT("%s %s %s", moment(depth, entry), sign,
                    chance(15) ? "profile.birthday" : moment(depth, entry));
    case 2: return TEXT("%s %s %s", length(depth, entry), sign, length(depth, entry));
    case 3: return TEXT("%s %s %u", part(depth, entry), sign, random_below(24));
    case 4:
        return TEXT("%s %s %s", unsigned_number(depth, entry), sign,
                    chance(50)   ? unsigned_number(depth, entry)
                    : chance(50) ? number(depth, entry)
                                 : whole(depth, entry));
    case 5: return TEXT("%s %s %s", whole(depth, entry), sign, whole(depth, entry));
    case 6:
        return TEXT("%s %s (%s)", chance(50) ? "profile.vip" : "profile.known", sign,
                    boolean(depth - 2, entry));
    case 7:
        return chance(50)
                   ? TEXT("%s %s %s", text_list(depth, entry), equality, text_list(depth, entry))
                   : TEXT("%s %s dyn(%s)", number_map(depth, entry), equality, number_map(depth, entry));
    case 8:
        return chance(50) && !entry ? TEXT("context.screen %s %s", sign, number(depth, entry))
                                    : TEXT("dyn(%s) %s %s", text(0, entry), equality,
                                           chance(50) ? "null" : "dyn(profile.plan)");
    default: return TEXT("%s %s %s", number(depth, entry), sign, number(depth, entry));
    }
}

static const char *fact(bool entry)
{
    return ONE_OF("segment('vips')", "in_list('staff')", "consent('email')", "consent('email', 'news')",
                  "reachable('email')", "in_journey('cart')", "sent('m1')", "delivered('m1')", "opened('m1')",
                  "clicked('m1')", "replied('m1')", "profile.known");
}

static const char *in_collection(int depth, bool entry)
{
    switch (random_below(4)) {
    case 0: return TEXT("%s in %s", text(0, entry), text_list(depth, entry));
    case 1: return TEXT("%s in %s", number(0, entry), number_list(depth, entry));
    case 2: return TEXT("%s in %s", text(0, entry), number_map(depth, entry));
    default: return TEXT("%s in ['Kazan', 'o', profile.language]", text(depth, entry));
    }
}

static const char *over_list(int depth, bool entry)
{
    const char *name = ONE_OF("exists", "all", "exists_one"), *made;
    if (macros >= 2) return "profile.vip";
    macros++;
    switch (random_below(4)) {
    case 0: made = TEXT("%s.%s(x, x != %s)", text_list(depth, entry), name, text(0, entry)); break;
    case 1:
        made = TEXT("%s.%s(y, y > %s)", number_list(depth - 1, entry), name, number(depth - 2, entry));
        break;
    case 2: made = TEXT("%s.%s(k, k < %s)", number_map(depth, entry), name, text(0, entry)); break;
    default: made = TEXT("profile.tags.%s(x, %s)", name, boolean(depth - 2, entry)); break;
    }
    macros--;
    return made;
}

static const char *text_question(int depth, bool entry)
{
    const char *a = chance(60) ? text(0, entry) : text_for(depth, entry);
    switch (random_below(4)) {
    case 0: return TEXT("%s.matches('%s')", a, ONE_OF("a", "^K.*n$", "o*z", "^.a", "Каз", "^$"));
    case 1:
        return chance(50) ? TEXT("matches(%s, 'a.*n')", a)
                          : TEXT("%s.matches(%s)", a, ONE_OF("profile.language", "'K' + profile.language"));
    default: return TEXT("%s.%s(%s)", a, ONE_OF("contains", "startsWith", "endsWith"), text(0, entry));
    }
}

static const char *atom(int depth, bool entry)
{
    switch (random_below(11)) {
    case 0: return "profile.vip";
    case 1: return TEXT("%s.ok", scope_name());
    case 2: return fact(entry);
    case 3:
        return TEXT("has(profile.%s)",
                    ONE_OF("city", "plan", "vip", "expires", "tags", "user_id", "language"));
    case 4: return TEXT("has(%s.%s)", scope_name(), ONE_OF("total", "city", "ok"));
    case 5: return in_collection(depth, entry);
    case 6:
    case 7: return text_question(depth, entry);
    case 8:
        return chance(50)
                   ? TEXT("bool(%s)", ONE_OF("profile.city", "profile.vip", "'true'", "dyn(profile.vip)"))
                   : TEXT("dyn(%s)", boolean(depth - 2, entry));
    case 9:
        return entry ? "e.ok"
               : chance(50)
                   ? TEXT("has(%s.%s)", number_map(depth - 1, entry), ONE_OF("a", "c"))
                   : ONE_OF("has(context.campaign.source)", "has(context.nothing)", "context.nothing == 1");
    default: return over_list(depth, entry);
    }
}

static const char *sequence(int depth)
{
    const char *step = chance(50) ? event() : TEXT("ev(%s, %s)", event(), boolean(depth - 2, true));
    const char *third = chance(50) ? TEXT(", %s", event()) : "";
    return TEXT("sequence([%s, %s%s], %s)", step, event(), third, duration(depth));
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

#endif
