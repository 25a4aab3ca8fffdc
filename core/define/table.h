/* table.h - the one table of what a definition file may hold: blocks, their keys, what each key takes.
 * Everything that must agree is driven by it: the reader's checks, "did you mean", the published JSON Schema, the docs.
 * Adding a key: one row in table.c, one line in the reader of its block, one test.
 * Owner: constants of the program. */
#ifndef HG_DEFINE_TABLE_H
#define HG_DEFINE_TABLE_H

#include "core/define/yaml.h"

/* X(name, what a message says was expected, an example) */
#define SCALARS(X)                                                                                           \
    X(NONE, "", "")                                                                                          \
    X(TEXT, "a text", "Hello")                                                                               \
    X(NAME, "a name", "cart")                                                                                \
    X(BOOL, "true or false", "true")                                                                         \
    X(COUNT, "a whole number, zero or more", "50")                                                           \
    X(INTEGER, "a whole number", "50")                                                                       \
    X(NUMBER, "a number", "0.5")                                                                             \
    X(PERCENT, "a percentage such as 5% or 0.5%, at most 100%", "5%")                                        \
    X(DURATION, "a duration such as 90s, 30m, 2h, 7d or 1d12h30m", "30m")                                    \
    X(LIFETIME, "a duration such as 90d, or never", "90d")                                                   \
    X(OFFSET, "a duration such as 3d, or -3d for before", "-3d")                                             \
    X(CLOCK, "a clock time such as \"10:00\"", "\"10:00\"")                                                  \
    X(HOURS, "hours such as \"21:00-09:00\"", "\"21:00-09:00\"")                                             \
    X(DATE, "a date such as 2026-12-31", "2026-12-31")                                                       \
    X(RANGE, "a range such as 500..50000", "500..50000")                                                     \
    X(RATE, "a rate such as 3 per 7d", "3 per 7d")                                                           \
    X(EXPRESSION, "an expression", "count(\"page\") > 0")                                                    \
    X(VALUE, "a value, or = and an expression", "50")                                                        \
    X(FORMULA, "a text, or = and an expression", "Hello")                                                    \
    X(WORD, "one of", "")                                                                                    \
    X(NOTHING, "nothing", "")

enum scalar_kind {
#define X(name, text, example) SCALAR_##name,
    SCALARS(X)
#undef X
};

struct block;
/* What may stand at a place. YAML tells the forms apart by itself: a scalar, a mapping, a sequence. */
struct shape {
    uint8_t scalar;             /* enum scalar_kind; SCALAR_NONE: no scalar here */
    const char *words;          /* SCALAR_WORD: a|b|c; for others further words that are taken as they are */
    const struct block *block;  /* a mapping with these keys ... */
    const struct shape *values; /* ... or with names of the user's own */
    const struct shape *item;   /* a sequence of these */
};

enum key_flags { KEY_REQUIRED = 1, KEY_LATER = 2 /* read and checked, not yet run */ };
struct key_row {
    const char *name;
    struct shape shape;
    uint8_t flags;
    const char *doc;
};
struct block {
    const char *title;          /* "a journey" */
    const struct key_row *keys; /* ends with a row without a name */
};

extern const struct block definition_block; /* the root of every file */
extern const struct block step_block;       /* one step of a journey */
const char *scalar_expected(enum scalar_kind kind);
const char *scalar_example(enum scalar_kind kind); /* empty: there is none */

/* Does the tree have the shape? Reports everything that is wrong, marks those nodes bad.
 * for_running: also refuses what only `check` takes yet. */
void shape_check(struct node *n, const struct block *block, bool for_running, struct diagnostics *d);

/* "did you mean 'x'?" among words, NULL when none is near. */
const char *nearest_word(struct slice text, const char *const *words, uint32_t count, struct arena *a);
/* The same among words written a|b|c. */
const char *nearest_in_words(struct slice text, const char *words, struct arena *a);
bool word_in(struct slice text, const char *words, uint32_t *index);

#endif
