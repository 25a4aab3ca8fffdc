/* block.h - the same expression over a block of rows at once: counts, new segments, questions of the moment.
 * A plan says how: what is decided by one column is compared 64 rows a word, `&& || ! ?:` work on words, and only what
 * needs a person's history is left to the program, row by row, for the rows that are still undecided.
 * Three-valued as the machine: a row is in `yes`, in `no`, or in neither: its evaluation ended in an error.
 * Owner: a plan is immutable and shared by threads; a run belongs to one walk over one store.
 * Memory: the arenas they are made in; `scratch` is reset for every program that is run. A run's tables grow with the
 * dictionaries.
 * Source: design section 6; tests/unit/test_expr_random.c holds it against the program and the reference. */
#ifndef HG_EXPR_BLOCK_H
#define HG_EXPR_BLOCK_H

#include "core/base/limits.h"
#include "core/expr/expr.h"
#include "core/expr/kernel.h"

enum { BLOCK_WORDS = BLOCK_ROWS / 64 };
_Static_assert(BLOCK_ROWS % 64 == 0, "whole words");

enum vector_form {
    VECTOR_EMPTY,   /* nobody here has it: no bits, no values */
    VECTOR_NUMBERS, /* double */
    VECTOR_TIMES,   /* cells of times: milliseconds << 1 | 1 */
    VECTOR_CODES,   /* uint16_t, of the dictionary */
    VECTOR_BOOLS,   /* uint8_t */
    VECTOR_OTHER    /* bits only: values are asked for row by row */
};
struct vector { /* an attribute's column in the block at hand */
    enum vector_form form;
    const void *values;
    const uint64_t *present;
};

struct block_source {
    void *self;
    struct vector (*vector)(void *self, uint16_t attribute);
    const uint64_t *(*members)(void *self, uint16_t segment); /* NULL: nobody here */
    uint32_t (*texts)(void *self, uint16_t attribute);        /* how many codes there are, 0: it has none */
    struct slice (*text)(void *self, uint16_t attribute, uint32_t code);
    struct value (*row)(void *self, const struct program *p,
                        uint32_t row);          /* the program for one row of the block */
    void (*prefetch)(void *self, uint32_t row); /* it will be asked for soon */
};

struct truth {
    uint64_t yes[BLOCK_WORDS], no[BLOCK_WORDS];
};

struct block_plan;
const struct block_plan *block_plan_make(const struct program *p, struct arena *a);
bool block_plan_asks_rows(const struct block_plan *p); /* some rows may need the program */

struct block_run;
struct block_run *block_run_make(const struct block_plan *p, const struct kernels *kernels,
                                 const struct block_source *source, uint32_t now, struct arena *a,
                                 struct arena *scratch);
/* What a text means for the expression is found out once per code. Call it before a block until it returns 0: the number
 * of codes done, at most `most`. */
uint32_t block_run_prepare(struct block_run *r, uint32_t most);
/* Words [first, first + words) of the block at hand; `mask` (of the whole block): the rows asked for, out has no others. */
void block_run_words(struct block_run *r, uint32_t first, uint32_t words, const uint64_t *mask,
                     struct truth *out);

#endif
