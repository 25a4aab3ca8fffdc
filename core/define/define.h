/* define.h - definition files become a checked, compiled, immutable set.
 * Owner: whoever compiled it; shards share it read-only; defset_release when the last one let go.
 * Memory: one arena per set. Fails: with diagnostics of all files in one run; a set is all or nothing.
 * Ids (event types, properties, attributes, segments, journeys, channels, lists) come from the registry of the set
 * before, so that state stays readable; a bundle holds the sources and the registry, and compiles to the same set. */
#ifndef HG_DEFINE_DEFINE_H
#define HG_DEFINE_DEFINE_H

#include "core/journey/graph.h"
#include "core/segment/segments.h"

struct source_file {
    struct slice name; /* as shown in messages, relative to the directory */
    struct slice text;
};

enum severity { SEVERITY_WARNING, SEVERITY_ERROR };
struct diagnostic {
    uint8_t severity;
    const char *file;
    uint32_t line, column, length; /* 1-based; length of the marked text */
    const char *reason, *fix;      /* fix: what to do, or NULL */
    struct slice source_line;
};
struct diagnostics {
    struct arena arena;
    uint32_t count, errors, capacity;
    struct diagnostic *list;
    struct {
        const struct source_file *file;
        uint32_t at, line;
    } place; /* reported last */
};
void diagnostics_init(struct diagnostics *d);
void diagnostics_free(struct diagnostics *d);
/* `file:line:col: error: reason`, the source line, a caret, the fix. */
void diagnostics_print(const struct diagnostics *d, struct buf *out);

struct defset {
    struct arena arena;
    uint32_t version; /* of the data directory: 1, 2, ... */
    struct key hash;  /* of the sources */
    struct schema schema;
    struct segment_set segments;
    struct journey_set journeys;
    struct slice bundle; /* sources + registry: what the data directory keeps */
    struct registry *registry;
    struct named_value {
        struct slice name;
        double number;
    } * values; /* value(NAME) */
    uint32_t value_count;
    uint32_t file_count;
    struct source_file *files;
    uint32_t references;   /* how many let go with defset_free */
    struct defset *before; /* holds the journeys of `older`; NULL: none are needed */
};

/* previous: the set before (its registry and journeys are continued), NULL: the first. Sources are copied.
 * Files that do not end in .yaml are texts that templates may name. NULL when there were errors. Zones are read from
 * zone_dir (NULL: the system's). The set keeps `previous` alive as long as it needs journeys of it. */
struct defset *defset_compile(const struct source_file *files, uint32_t count, const struct defset *previous,
                              const char *zone_dir, struct diagnostics *d);
/* The same for looking only: also takes what this version reads but does not run yet (defset_compile refuses it). */
struct defset *defset_check(const struct source_file *files, uint32_t count, const struct defset *previous,
                            const char *zone_dir, struct diagnostics *d);
/* The set that wrote the bundle: same ids, versions and hash; former versions of journeys too. Layout: bundle.c. */
struct defset *defset_from_bundle(struct slice bundle, const char *zone_dir, struct diagnostics *d);
/* The files of the set that wrote the bundle, without compiling them: in `a`, their bytes in the bundle. False: damaged. */
bool bundle_files(struct slice bundle, struct arena *a, const struct source_file **files, uint32_t *count);
struct defset *defset_empty(void); /* nothing declared, version 0 */
/* Lets go of former versions of journeys that nobody is inside of; before the set is shared. The bundle follows. */
void defset_forget(struct defset *set, bool (*inside)(void *self, uint16_t journey, uint16_t version),
                   void *self);
struct defset *defset_share(const struct defset *set); /* one more who will call defset_free; any thread */
void defset_free(struct defset *set);                  /* the last one frees it; NULL is fine; any thread */
/* Compiles one more expression against a set: ad-hoc count, simulate's filters. `event`: the type that `e` and `trigger`
 * mean; ID_NONE: there is none. Memory from `a`. */
const struct program *defset_expression(const struct defset *set, uint16_t event, struct slice text,
                                        enum expr_want want, struct arena *a, struct expr_errors *errors);

/* Reads *.yaml below dir (not *.test.yaml), and *.html, *.txt for templates; sorted by name; links are not followed, at
 * most 1 MiB each. Texts in d's arena. Unreadable ones are reported and left out. */
struct source_file *sources_read(const char *dir, uint32_t *count, struct diagnostics *d);

/* What a definition file may hold, as JSON Schema draft-07 for editors. */
void definitions_json_schema(struct buf *out);

uint16_t defset_segment(const struct defset *set, struct slice name); /* ID_NONE if unknown */
uint16_t defset_journey(const struct defset *set, struct slice name);
struct slice defset_journey_name(const struct defset *set,
                                 uint16_t id); /* of one that was removed, too; empty: there never was one */
uint16_t defset_channel(const struct defset *set, struct slice name);

#endif
