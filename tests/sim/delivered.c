#include "tests/sim/delivered.h"
#include "core/base/msgpack.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { VISITS_MAX = 64, TEXT_BYTES = 40 };

static void read_text(struct mp *m, char out[TEXT_BYTES])
{
    struct slice s = mp_str(m);
    EXPECT(s.n < TEXT_BYTES, "a text of %u bytes in an action", s.n);
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
}

static struct key read_hex(struct mp *m)
{
    struct key k = {0};
    char digits[TEXT_BYTES];
    read_text(m, digits);
    EXPECT(strlen(digits) == 32, "an id that is no 32 digits");
    sscanf(digits, "%16llx%16llx", (unsigned long long *)&k.hi, (unsigned long long *)&k.lo);
    return k;
}

static uint32_t read_second(struct mp *m)
{
    char text[TEXT_BYTES];
    struct tm t = {0};
    read_text(m, text);
    EXPECT(sscanf(text, "%d-%d-%dT%d:%d:%d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
                  &t.tm_sec) == 6,
           "a time that can not be read");
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return (uint32_t)timegm(&t);
}

/* Ids here are a letter and a number. */
static int read_number(struct mp *m)
{
    char text[TEXT_BYTES];
    read_text(m, text);
    return atoi(text + 1);
}

static void read_profile(struct mp *m, struct taken *out)
{
    char name[TEXT_BYTES];
    for (uint32_t n = mp_map(m); n; n--) {
        read_text(m, name);
        *(strcmp(name, "user_id") ? &out->anonymous : &out->user) = read_number(m);
    }
}

static void read_vars(struct mp *m, struct taken *out)
{
    char name[TEXT_BYTES], value[TEXT_BYTES];
    for (uint32_t n = mp_map(m); n; n--) {
        read_text(m, name);
        read_text(m, value);
        if (!strcmp(name, "order")) out->order = atoi(value);
    }
}

static void check_id(const struct taken *t, struct key instance, const char *step, uint32_t attempt)
{
    uint8_t text[20 + TEXT_BYTES];
    size_t n = strlen(step);
    memcpy(text, &instance, 16);
    store_le16(text + 18, (uint16_t)(attempt - 1));
    memcpy(text + 20, step, n);
    for (uint16_t visit = 0; visit < VISITS_MAX; visit++) {
        store_le16(text + 16, visit);
        if (key_eq(hash128_plain(text, 20 + n), t->id)) return;
    }
    fault("the id of action %016llx does not follow from its instance and step",
          (unsigned long long)t->id.hi);
}

void delivered_read(struct slice content, struct taken *out)
{
    struct mp m = mp_of(content);
    struct key instance = {0};
    char name[TEXT_BYTES], step[TEXT_BYTES] = "";
    uint32_t attempt = 1;
    *out = (struct taken){.order = -1, .user = -1, .anonymous = -1};
    for (uint32_t n = mp_map(&m); n; n--) {
        read_text(&m, name);
        if (!strcmp(name, "action_id"))
            out->id = read_hex(&m);
        else if (!strcmp(name, "instance"))
            instance = read_hex(&m);
        else if (!strcmp(name, "step"))
            read_text(&m, step);
        else if (!strcmp(name, "attempt"))
            attempt = (uint32_t)mp_uint(&m);
        else if (!strcmp(name, "created_at"))
            out->created_at = read_second(&m);
        else if (!strcmp(name, "profile"))
            read_profile(&m, out);
        else if (!strcmp(name, "vars"))
            read_vars(&m, out);
        else
            mp_skip(&m);
    }
    EXPECT(m.err == MP_OK && !key_is_zero(out->id), "an action that can not be read");
    out->kind = !strcmp(step, "thanks")      ? TAKEN_RECEIPT
                : !strcmp(step, "come_back") ? TAKEN_NUDGE
                : !strcmp(step, "news")      ? TAKEN_NEWS
                                             : TAKEN_OTHER;
    out->content = hash64_plain(content.p, content.n);
    check_id(out, instance, step, attempt);
}

static size_t put_part(uint8_t *out, const char *text, size_t n)
{
    store_le32(out, (uint32_t)n);
    memcpy(out + 4, text, n);
    return n + 4;
}

bool held_out(char kind, int number)
{
    char id[TEXT_BYTES];
    uint8_t text[100];
    int n = snprintf(id, sizeof id, "%c%c%d", kind, kind, number); /* the kind, then the id itself */
    size_t at = put_part(text, id, (size_t)n);
    at += put_part(text + at, "holdout", 7);
    at += put_part(text + at, "digest", 6);
    return hash64_plain(text, at) % 1000000 < MODEL_HELD_OUT_PPM;
}
