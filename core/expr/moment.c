/* What a clock on the wall says: parts of a timestamp in a zone, ages, civil days. */
#include "core/expr/program.h"

enum { DAY_SECONDS = 86400 };

/* ---- parts of a timestamp ------------------------------------------------------------------------ */

static int64_t part_of(const struct civil *c, struct value v, enum time_part part)
{
    switch (part) {
    case PART_YEAR: return c->year;
    case PART_MONTH: return c->month - 1;
    case PART_DATE: return c->day;
    case PART_DAY_OF_MONTH: return c->day - 1;
    case PART_DAY_OF_WEEK: return c->weekday;
    case PART_DAY_OF_YEAR: return c->yday;
    case PART_HOURS: return c->hour;
    case PART_MINUTES: return c->minute;
    case PART_SECONDS: return c->second;
    case PART_MILLISECONDS: return v.n / 1000000;
    }
    return 0;
}

/* A clock that moves by `pace` a second: while the offset stands, the part changes at the next second, minute, hour or
 * midnight. */
static uint32_t part_next(const struct machine *m, const struct zone *z, struct value v, enum time_part part,
                          int32_t pace)
{
    int64_t unit = part == PART_SECONDS || part == PART_MILLISECONDS ? 1
                   : part == PART_MINUTES                            ? 60
                   : part == PART_HOURS                              ? 3600
                                                                     : DAY_SECONDS;
    int64_t local = v.i + zone_offset(z, v.i), rest = ((local % unit) + unit) % unit;
    int64_t next = v.i + unit - rest, shift = zone_next_transition(z, v.i);
    int64_t left = (shift < next ? shift : next) - v.i;
    return as_second(m->ctx->now + (left + pace - 1) / pace);
}

static struct value duration_part(struct value v, enum time_part part)
{
    switch (part) {
    case PART_HOURS: return value_int(v.i / 3600);
    case PART_MINUTES: return value_int(v.i / 60);
    case PART_SECONDS: return value_int(v.i);
    case PART_MILLISECONDS: return value_int((int32_t)v.n / 1000000);
    default: return NO_OVERLOAD;
    }
}

/* A zone by a name that only the running program knows: fixed offsets, UTC, and the person's own. Others would need
 * files, which this step may not read. */
static const struct zone *zone_named(const struct machine *m, struct value name, int32_t *offset)
{
    const struct zone *own = machine_zone(m);
    if (name.kind != V_STRING) return NULL;
    if (slice_is(value_text(name), "UTC") || slice_is(value_text(name), "Z")) return zone_utc();
    if (slice_is(value_text(name), zone_name(own))) return own;
    return zone_parse_offset(value_text(name), offset) ? zone_utc() : NULL;
}

/* [time] or [time, zone name]; in->b: 0 the person's zone, 1 UTC, 2 a zone of the program (c), 3 a name on the stack. */
struct slot *op_access(struct machine *m, const struct instr *in, struct slot *top)
{
    int32_t shift = 0;
    const struct zone *z = in->b == 1 ? zone_utc() : in->b == 2 ? m->program->zones[in->c] : machine_zone(m);
    struct value name = value_none();
    if (in->b == 3) {
        name = (--top)->v;
        top[-1].change = sooner(top[-1].change, top->change);
        z = zone_named(m, name, &shift);
    }
    struct slot *s = top - 1;
    if (s->v.kind == V_ERROR) return top;
    if (name.kind == V_ERROR) s->v = name;
    if (s->v.kind == V_DURATION && in->b != 3) {
        slot_settle(m, s);
        s->v = duration_part(s->v, in->a);
    } else if (s->v.kind != V_TIME || !z) {
        if (s->v.kind != V_ERROR) s->v = z ? NO_OVERLOAD : value_fail("unknown time zone");
        s->slope = 0;
    } else {
        struct civil c;
        struct value v = s->v;
        v.i += shift;
        zone_civil(z, v.i, &c);
        if (s->slope > 0) s->change = sooner(s->change, part_next(m, z, v, in->a, s->slope));
        if (s->slope < 0) slot_settle(m, s);
        *s = (struct slot){value_int(part_of(&c, v, in->a)), s->change, 0};
    }
    return top;
}

/* ---- civil days -------------------------------------------------------------------------------------- */

struct slot *op_local_date(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind == V_TIME) s->v = value_time(zone_to_utc(machine_zone(m), s->v.i));
    return top;
}

/* Its day in that year; who was born on February 29th has it on the 28th of other years, as a yearly trigger has it. */
static int64_t birthday_in(int32_t year, const struct civil *born)
{
    return civil_days(year, born->month, civil_valid(year, born->month, born->day) ? born->day : 28);
}

/* Whole years. */
struct slot *op_age(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct zone *z = machine_zone(m);
    struct slot *s = top - 1;
    slot_settle(m, s);
    if (s->v.kind == V_ERROR) return top;
    if (s->v.kind != V_TIME) {
        s->v = NO_OVERLOAD;
        return top;
    }
    struct civil born, today;
    if (in->a)
        civil_from_seconds(s->v.i, &born);
    else
        zone_civil(z, s->v.i, &born);
    zone_civil(z, m->ctx->now, &today);
    bool before = civil_days(today.year, today.month, today.day) < birthday_in(today.year, &born);
    s->v = value_int(today.year - born.year - before);
    s->change =
        sooner(s->change, as_second(zone_to_utc(z, birthday_in(today.year + !before, &born) * DAY_SECONDS)));
    return top;
}
