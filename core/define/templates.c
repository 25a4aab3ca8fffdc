/* templates.c - texts of messages. A template is compiled for each journey that uses it, because what `trigger` means
 * differs; a name that no `templates:` block defines is opaque: the receiver renders it. */
#include "core/define/compile.h"

/* ---- texts that stand in files of their own --------------------------------------------- */

static bool ends_with(struct slice s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n > n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

static bool names_a_file(struct slice s)
{
    for (uint32_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '{') return false;
    return ends_with(s, ".html") || ends_with(s, ".txt");
}

/* Relative to the definition file, else to the directory. */
static const struct source_file *text_file(const struct compile *c, const struct node *n)
{
    uint32_t folder = n->file->name.n;
    while (folder && n->file->name.p[folder - 1] != '/') folder--;
    for (int from_root = 0; from_root < 2; from_root++) {
        uint32_t skip = from_root ? 0 : folder;
        for (uint32_t i = 0; i < c->file_count; i++) {
            struct slice name = c->files[i].name;
            if (name.n != skip + n->text.n || memcmp(name.p, n->file->name.p, skip) != 0) continue;
            if (memcmp(name.p + skip, n->text.p, n->text.n) == 0) return &c->files[i];
        }
    }
    return NULL;
}

/* The node whose text is the template: this one, or one that stands for the whole file it names. */
static struct node *text_node(struct compile *c, struct node *n)
{
    if (!names_a_file(n->text)) return n;
    const struct source_file *file = text_file(c, n);
    if (!file) {
        report_warning(c->d, n, "there is no file '%.*s' here: its receiver must know it", SHOWN(n->text));
        report_fix(c->d, "put the file beside this one, or name it from the top of the directory");
        return n;
    }
    struct node *whole = ARENA_NEW(c->scratch, struct node);
    *whole = (struct node){
        .kind = NODE_SCALAR, .style = STYLE_PLAIN, .end = file->text.n, .file = file, .text = file->text};
    return whole;
}

/* ---- one template -------------------------------------------------------------------------- */

static struct field text_field(struct compile *c, struct place place, struct slice name, struct node *n,
                               bool fallback)
{
    struct field f = {.name = arena_slice(c->arena, name)};
    if (is_computed(n) && n->text.n > 1 && !strchr("= \n", n->text.p[1]) && !n->bad)
        report_wrong(c->d, n, "write {{ and }} around a value: {{ profile.city }}",
                     "a text of `templates:` is written as it is: = computes nothing here");
    struct node *text = n->bad ? NULL : text_node(c, n);
    if (!text) return f;
    bool html = slice_is(name, "html") || ends_with(n->text, ".html");
    f.text = text_of(c, place, text, html, fallback ? MISSING_FALLS_BACK : MISSING_IN_TEMPLATE);
    return f;
}

static void read_part(struct compile *c, struct place place, struct template_part *part, struct node *key,
                      struct node *n, bool fallback)
{
    part->channel = name_id(c, REG_CHANNEL, key);
    bool map = n->kind == NODE_MAPPING;
    part->field_count = (uint16_t)(map ? n->count : 1);
    struct field *fields = ARENA_ARRAY(c->arena, struct field, part->field_count + 1u);
    if (!map) fields[0] = text_field(c, place, SLICE("text"), n, fallback);
    for (uint32_t i = 0; map && i < n->count; i++)
        fields[i] = text_field(c, place, node_key(n, i)->text, node_value(n, i), fallback);
    part->fields = fields;
}

static bool own_key(struct slice key) { return word_in(key, "lang|fallback|description", NULL); }

static void read_parts(struct compile *c, struct place place, struct template *t, struct node *n)
{
    struct template_part *parts = ARENA_ARRAY(c->arena, struct template_part, n->count + 1);
    bool fallback = has(n, "fallback");
    for (uint32_t i = 0; i < n->count; i++) {
        struct node *key = node_key(n, i), *value = node_value(n, i);
        if (own_key(key->text) || key->bad || value->bad) continue;
        read_part(c, place, &parts[t->part_count++], key, value, fallback);
    }
    t->parts = parts;
}

/* Its place under `templates:`, UINT32_MAX: it is not there. */
static uint32_t place_of(const struct node *all, struct slice name)
{
    for (uint32_t i = 0; all && all->kind == NODE_MAPPING && i < all->count; i++)
        if (slice_eq(node_key(all, i)->text, name)) return i;
    return UINT32_MAX;
}

static struct node *find_template(const struct compile *c, struct slice name)
{
    struct node *all = get(c->root, "templates");
    uint32_t i = place_of(all, name);
    return i == UINT32_MAX ? NULL : node_value(all, i);
}

static void warn_unknown(struct compile *c, struct node *name)
{
    struct node *all = get(c->root, "templates");
    if (!all || all->kind != NODE_MAPPING || !all->count) return;
    const char **words = ARENA_ARRAY(c->scratch, const char *, all->count);
    for (uint32_t i = 0; i < all->count; i++) words[i] = (const char *)node_key(all, i)->text.p;
    const char *near = nearest_word(name->text, words, all->count, &c->d->arena);
    report_warning(c->d, name, "no template '%.*s' here: its receiver must know it", SHOWN(name->text));
    report_fix(c->d, "%s", near ? near : "declare it under `templates:`");
}

/* Its receiver renders it, from the step's `vars`. */
static const struct template *opaque(struct compile *c, struct slice name)
{
    struct template *t = ARENA_NEW(c->arena, struct template);
    t->name = arena_slice(c->arena, name);
    return t;
}

static const struct template *compile_template(struct compile *c, struct journey_draft *j, struct slice name,
                                               struct node *n)
{
    for (uint32_t i = 0; i < j->template_count; i++)
        if (slice_eq(j->templates[i]->name, name)) return j->templates[i];
    if (n->bad || n->kind != NODE_MAPPING) return NULL;
    struct template *t = ARENA_NEW(c->arena, struct template);
    struct template **list = ARENA_ARRAY(c->scratch, struct template *, j->template_count + 1);
    if (j->template_count) memcpy(list, j->templates, sizeof *list * j->template_count);
    j->templates = list;
    list[j->template_count++] = t; /* before its fallback is read: a circle of fallbacks ends here */
    t->name = arena_slice(c->arena, name);
    struct place place = {.event = j->trigger_event, .journey = j};
    t->lang = expression(c, place, get(n, "lang"), WANT_STRING);
    read_parts(c, place, t, n);
    struct node *fallback = get(n, "fallback");
    t->fallback = template_of(c, j, fallback);
    if (fallback && !find_template(c, fallback->text)) t->fallback = opaque(c, fallback->text);
    return t;
}

enum { USED = 1, UNUSED }; /* marks of the nodes of templates */

const struct template *template_of(struct compile *c, struct journey_draft *j, struct node *name)
{
    if (!name || name->bad || is_computed(name)) return NULL;
    struct node *n = find_template(c, name->text);
    if (!n) {
        warn_unknown(c, name);
        return NULL;
    }
    n->mark = USED;
    return compile_template(c, j, name->text, n);
}

/* ---- fallbacks ----------------------------------------------------------------------------- */

static struct node *fallback_name(const struct node *template)
{
    struct node *name = get(template, "fallback");
    return name && !name->bad ? name : NULL;
}

/* Says so when this template's fallbacks lead back to it, at the first template of the circle only. */
static bool falls_back_on_itself(struct compile *c, struct node *all, uint32_t i)
{
    const char *path = arena_printf(c->scratch, "%.*s", SHOWN(node_key(all, i)->text));
    struct node *name = fallback_name(node_value(all, i)), *first = name;
    for (uint32_t steps = 0; name && steps < all->count; steps++) {
        uint32_t next = place_of(all, name->text);
        path = arena_printf(c->scratch, "%s -> %.*s", path, SHOWN(name->text));
        if (next == i) {
            report_wrong(c->d, first, "end with a template that needs no value, or has a default for each",
                         "templates fall back on each other in a circle: %s", path);
            return true;
        }
        if (next == UINT32_MAX || next < i) return false;
        name = fallback_name(node_value(all, next));
    }
    return false;
}

static void check_fallback(struct compile *c, struct node *all, uint32_t i)
{
    const struct node *t = node_value(all, i);
    struct node *name = fallback_name(t), *other = name ? find_template(c, name->text) : NULL;
    if (!other || falls_back_on_itself(c, all, i)) return;
    for (uint32_t k = 0; k < t->count; k++) {
        struct node *channel = node_key(t, k);
        if (own_key(channel->text) || channel->bad || has(other, (const char *)channel->text.p)) continue;
        report_warning(c->d, name, "the fallback '%.*s' says nothing for channel '%.*s'", SHOWN(name->text),
                       SHOWN(channel->text));
        report_fix(c->d, "add a part for this channel to it");
    }
}

/* What no journey uses is compiled for journeys to come, so that its mistakes are told now. */
void check_templates(struct compile *c)
{
    struct node *all = get(c->root, "templates");
    uint32_t count = all && all->kind == NODE_MAPPING ? all->count : 0;
    struct journey_draft any = {.trigger_event = ID_NONE, .any = true};
    for (uint32_t i = 0; i < count; i++) check_fallback(c, all, i);
    uint32_t before = c->d->errors;
    for (uint32_t i = 0; i < count; i++)
        if (node_value(all, i)->mark != USED) node_value(all, i)->mark = UNUSED;
    for (uint32_t i = 0; i < count; i++)
        if (node_value(all, i)->mark == UNUSED)
            compile_template(c, &any, node_key(all, i)->text, node_value(all, i));
    for (uint32_t i = 0; i < count && !before; i++) { /* a broken journey may have meant it */
        if (node_value(all, i)->mark != UNUSED) continue;
        report_warning(c->d, node_key(all, i), "no message uses the template '%.*s'",
                       SHOWN(node_key(all, i)->text));
        report_fix(c->d, "name it in the `template:` of a send, or remove it");
    }
}

bool template_has_part(const struct template *t, uint16_t channel)
{
    for (uint16_t i = 0; i < t->part_count; i++)
        if (t->parts[i].channel == channel || t->parts[i].channel == ID_NONE) return true;
    return t->part_count == 0;
}
