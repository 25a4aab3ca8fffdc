/* introspect.h - methods that explain: why somebody is where they are, what a template would look like, what is kept.
 * They read only, and run on the person's worker. One file per method; each is a row in admin_methods.c. */
#ifndef HG_IO_INTROSPECT_H
#define HG_IO_INTROSPECT_H

#include "io/lookup.h"

void method_profile_export(struct request *r);   /* export.c */
void method_template_preview(struct request *r); /* preview.c */
void method_definitions_text(struct request *r); /* versions.c */

/* explain.c: expressions over one person, as of now. */
struct looking {
    struct person person; /* first: it is the source's self */
    struct expr_context context;
    struct expr_source source; /* person_source, with a recalled event behind `e` and `trigger` */
    struct arena scratch;      /* values live as long as it */
    const struct defset *set;
    uint16_t event;              /* type of the recalled event; ID_NONE: none */
    struct history_view history; /* of that type; all zero: it never happened */
    uint32_t entry;              /* which of them; none is kept when history.n is 0 */
    bool context_asked;          /* history has no context */
};
void looking_begin(struct looking *l, const struct person_at *p);
void looking_end(struct looking *l);
/* From now on `e` and `trigger` mean the person's last event of this type, as history keeps it; ID_NONE: nothing. */
void looking_recall(struct looking *l, uint16_t type);
/* The type that all of a journey's triggers are events of; ID_NONE: there is none. */
uint16_t looking_trigger(const struct journey *j);

/* [{text, depth, kind, value, true, next_change, event_at, unknown}] of an expression and its parts. What only an event
 * decides (e.total) is neither true nor false, and so is what depends on it; its value is that of the recalled event, which
 * happened at event_at. Returns 1: true, 0: false, -1: the event decides, or it cannot be asked. */
int pack_parts(pk_t *pk, struct looking *l, struct slice text);
/* The text of journeys.NAME.KEY in the set's files, as bytes of a scalar; empty: absent or no scalar. */
struct slice journey_text(const struct defset *set, struct slice journey, const char *key, struct arena *a);

#endif
