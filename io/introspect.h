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
    struct person person;
    struct expr_context context;
    struct arena scratch; /* values live as long as it */
    const struct defset *set;
};
void looking_begin(struct looking *l, const struct person_at *p);
void looking_end(struct looking *l);

/* [{text, depth, kind, value, true, next_change, unknown?}] of an expression and its parts. What only an event decides
 * (e.total) is unknown, and so is what depends on it. Returns 1: true, 0: false, -1: unknown. */
int pack_parts(pk_t *pk, struct looking *l, struct slice text);
/* The text of journeys.NAME.KEY in the set's files, as bytes of a scalar; empty: absent or no scalar. */
struct slice journey_text(const struct defset *set, struct slice journey, const char *key, struct arena *a);

#endif
