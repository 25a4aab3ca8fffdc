/* preview.c - template.preview: what one person would read. A template means something inside a journey only (what
 * `trigger` is), so it is shown once for each step that uses it. The trigger is that of the person's own instance; outside
 * it is the person's last event that could have started the journey, and without one its values are missing. Renders as core/journey/action.c does: step's vars beside the template's parts, a
 * fallback in place of a template that lacks a value. */
#include "core/define/yaml.h"
#include "core/journey/parts.h"
#include "core/journey/template.h"
#include "io/introspect.h"

enum { FALLBACKS_MAX = 8 };

struct preview {
    pk_t *pk;
    struct looking l;
};

/* Into the value; true when a template lacked something. */
static bool render(struct preview *p, const struct field *f, struct value *out)
{
    struct slice text = {0};
    if (!f->text) {
        *out = f->program ? program_run(f->program, &p->l.context) : f->literal;
        return out->kind == V_ERROR;
    }
    enum render result = template_render(f->text, &p->l.context, &text);
    *out = value_string(text);
    return result != RENDER_OK;
}

static bool pack_fields(struct preview *p, const struct field *fields, uint32_t count)
{
    bool missing = false;
    pk_map(p->pk, count);
    for (uint32_t i = 0; i < count; i++) {
        struct value v;
        missing |= render(p, &fields[i], &v);
        pk_slice(p->pk, fields[i].name);
        value_write(v, p->pk->data);
    }
    return missing;
}

static const struct template_part *part_of(const struct template *t, uint16_t channel)
{
    for (uint32_t i = 0; i < t->part_count; i++)
        if (t->parts[i].channel == channel) return &t->parts[i];
    return NULL;
}

static bool lacks(struct preview *p, const struct template_part *part)
{
    struct value v;
    bool missing = false;
    for (uint32_t i = 0; part && i < part->field_count; i++) missing |= render(p, &part->fields[i], &v);
    return missing;
}

static void pack_part(struct preview *p, const struct template *t, uint16_t channel)
{
    for (uint32_t i = 0; i < FALLBACKS_MAX && t->fallback && lacks(p, part_of(t, channel)); i++)
        t = t->fallback;
    const struct template_part *part = part_of(t, channel);
    const struct channel *c = &p->l.set->journeys.channels[channel];
    pk_map(p->pk, 4);
    pk_text(p->pk, "channel");
    pk_slice(p->pk, c->name);
    pk_text(p->pk, "template"); /* its own or a fallback's name */
    pk_slice(p->pk, t->name);
    pk_text(p->pk, "fields");
    bool missing = pack_fields(p, part ? part->fields : NULL, part ? part->field_count : 0);
    pk_text(p->pk, "missing");
    pk_bool(p->pk, missing);
}

/* The person's own instance of this journey, so that trigger means what it will mean. */
static bool enter_instance(struct preview *p, const struct journey *j)
{
    p->l.person.instance = NULL;
    for (const struct instance *i = NULL; (i = instance_after(p->l.person.store, p->l.person.row, i));) {
        if (i->journey != j->id || i->version != j->version) continue;
        p->l.person.instance = i;
        p->l.person.kept = slice_of(i + 1, i->bytes - (uint32_t)sizeof *i);
        p->l.person.journey = j;
        return true;
    }
    return false;
}

/* Does the journey's trigger take the recalled event, as things are now? */
static bool would_start(struct preview *p, const struct journey *j)
{
    for (uint32_t i = 0; i < j->trigger_count; i++)
        if (!j->triggers[i].where || program_true(j->triggers[i].where, &p->l.context)) return true;
    return false;
}

/* The newest event that would start the journey, else the newest one: `where` may ask for what has changed since. */
static void recall_trigger(struct preview *p, const struct journey *j)
{
    looking_recall(&p->l, looking_trigger(j));
    uint32_t newest = p->l.entry;
    for (uint32_t left = p->l.history.n; left-- > 0;) {
        p->l.entry = left;
        if (would_start(p, j)) return;
    }
    p->l.entry = newest;
}

/* Whose values `trigger` has: of which event and second; nil: of none. */
static void pack_trigger(struct preview *p, const struct journey *j)
{
    const struct schema_event *type = schema_event(&p->l.set->schema, looking_trigger(j));
    bool known = p->l.person.instance || p->l.history.n;
    pk_text(p->pk, "trigger_event");
    pk_text_or_nil(p->pk, type ? type->name : (struct slice){0});
    pk_text(p->pk, "trigger_at");
    pk_second(p->pk, known ? p->l.source.event_time(&p->l, 1) : 0);
}

struct used { /* by a step */
    struct slice name;
    const struct template *template;
    const struct field *vars;
    uint32_t var_count;
};

static struct used used_by(const struct step *s)
{
    if (s->kind == STEP_SEND || s->kind == STEP_CASCADE)
        return (struct used){s->send.template_name, s->send.template, s->send.vars, s->send.field_count};
    if (s->kind == STEP_WEBHOOK || s->kind == STEP_TASK || s->kind == STEP_AUDIENCE)
        return (struct used){s->act.template_name, s->act.template, s->act.vars, s->act.field_count};
    return (struct used){0};
}

/* The template that is asked for: the step's own, or what stands behind it when a value is missing. */
static bool asked_for(struct used *u, struct slice name)
{
    if (!u->name.n || slice_eq(u->name, name)) return u->name.n;
    for (uint32_t i = 0; i < FALLBACKS_MAX && u->template; i++) {
        u->template = u->template->fallback;
        if (u->template && slice_eq(u->template->name, name)) return true;
    }
    return false;
}

static bool goes_through(const struct step *s, uint16_t channel)
{
    if (s->kind != STEP_SEND && s->kind != STEP_CASCADE) return true;
    for (uint32_t i = 0; i < s->send.option_count; i++)
        if (s->send.options[i].channel == channel) return true;
    return false;
}

static void pack_template(struct preview *p, const struct step *s, const struct template *t)
{
    uint32_t n = 0;
    size_t open = pk_open(p->pk, PK_LIST);
    for (uint32_t i = 0; t && i < t->part_count; i++) {
        if (!goes_through(s, t->parts[i].channel)) continue;
        pack_part(p, t, t->parts[i].channel);
        n++;
    }
    pk_close(p->pk, open, n);
}

static void pack_use(struct preview *p, const struct journey *j, const struct step *s, const struct used *u)
{
    bool inside = enter_instance(p, j);
    if (!inside) recall_trigger(p, j);
    pk_map(p->pk, 8);
    pk_text(p->pk, "journey");
    pk_slice(p->pk, j->name);
    pk_text(p->pk, "step");
    pk_slice(p->pk, s->id);
    pk_text(p->pk, "inside"); /* false: trigger's values are those of another event, or missing */
    pk_bool(p->pk, inside);
    pack_trigger(p, j);
    pk_text(p->pk, "opaque"); /* no `templates:` block defines it: its receiver renders it from vars */
    pk_bool(p->pk, u->template == NULL);
    pk_text(p->pk, "parts");
    pack_template(p, s, u->template);
    pk_text(p->pk, "vars");
    pack_fields(p, u->vars, u->var_count);
}

static enum call_state preview(struct request *r, const struct person_at *at)
{
    struct preview p = {.pk = &r->pack};
    struct slice name;
    uint32_t n = 0;
    param_text(r, 0, "template", &name);
    looking_begin(&p.l, at);
    size_t open = pk_open(&r->pack, PK_LIST);
    for (uint32_t i = 0; i < p.l.set->journeys.journey_count; i++) {
        const struct journey *j = p.l.set->journeys.journeys[i];
        for (uint32_t k = 0; j && k < j->step_count; k++) {
            struct used u = used_by(&j->steps[k]);
            if (!asked_for(&u, name)) continue;
            pack_use(&p, j, &j->steps[k], &u);
            n++;
        }
    }
    pk_close(&r->pack, open, n);
    looking_end(&p.l);
    return CALL_HELD;
}

void method_template_preview(struct request *r)
{
    struct slice name, id;
    if (param_text(r, 0, "template", &name) && param_text(r, 1, "id", &id))
        lookup_person(r, id, preview);
    else
        request_bad(r, "template and id are texts");
}
