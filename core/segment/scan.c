#include "core/segment/scan.h"
#include "core/store/blocks.h"

enum { CODES_PER_STEP = 1024 };

struct scan {
    const struct store *store;
    const struct kernels *kernels;
    const struct scan_person *person;
    struct block_source source;
    struct block_run *run;
    uint32_t block, word;
    uint32_t words_per_step;
    struct truth truth;
};

/* ---- the store as a source of columns --------------------------------------------------------------- */

static struct vector get_vector(void *self, uint16_t attribute)
{
    const struct scan *s = self;
    struct column_view c = store_column(s->store, attribute, s->block);
    struct vector v = {VECTOR_OTHER, c.values, c.present};
    if (!c.present)
        v.form = VECTOR_EMPTY;
    else if (c.form == COLUMN_NUMBER)
        v.form = VECTOR_NUMBERS;
    else if (c.form == COLUMN_BOOL)
        v.form = VECTOR_BOOLS;
    else if (c.form == COLUMN_CODE)
        v.form = VECTOR_CODES;
    else if (c.type == T_TIME)
        v.form = VECTOR_TIMES;
    return v;
}

static const uint64_t *get_members(void *self, uint16_t segment)
{
    const struct scan *s = self;
    return member_page(s->store, segment, s->block);
}

static uint32_t get_texts(void *self, uint16_t attribute)
{
    return store_column_texts(((struct scan *)self)->store, attribute);
}

static struct slice get_text(void *self, uint16_t attribute, uint32_t code)
{
    return store_column_text(((struct scan *)self)->store, attribute, code);
}

static struct value get_row(void *self, const struct program *p, uint32_t row)
{
    const struct scan *s = self;
    s->person->turn(s->person->self, (row_t){s->block * BLOCK_ROWS + row});
    return program_run(p, s->person->ctx);
}

static void prefetch_row(void *self, uint32_t row)
{
    const struct scan *s = self;
    store_prefetch_history(s->store, (row_t){s->block * BLOCK_ROWS + row});
}

/* ---- walking ---------------------------------------------------------------------------------------------- */

struct scan *scan_begin(const struct store *store, const struct block_plan *plan,
                        const struct kernels *kernels, const struct scan_person *person, struct arena *a)
{
    struct scan *s = ARENA_NEW(a, struct scan);
    s->store = store;
    s->kernels = kernels;
    s->person = person;
    s->source = (struct block_source){s, get_vector, get_members, get_texts, get_text, get_row, prefetch_row};
    s->words_per_step = block_plan_asks_rows(plan) ? 1 : BLOCK_WORDS;
    s->run = block_run_make(plan, kernels, &s->source, person->ctx->now, a, person->ctx->scratch);
    return s;
}

bool scan_next(struct scan *s, struct scan_step *out)
{
    *out = (struct scan_step){.block = s->block, .first = s->word, .truth = &s->truth};
    if (s->block >= store_blocks(s->store)) return false;
    if (block_run_prepare(s->run, CODES_PER_STEP)) return true;
    out->used = store_used(s->store, s->block);
    out->words = s->words_per_step;
    block_run_words(s->run, s->word, out->words, out->used, &s->truth);
    s->word += out->words;
    if (s->word == BLOCK_WORDS) {
        s->word = 0;
        s->block++;
    }
    return true;
}

bool scan_count(struct scan *s, struct scan_count *sum)
{
    struct scan_step step;
    if (!scan_next(s, &step)) return false;
    if (step.words == 0) return true;
    const struct kernels *k = s->kernels;
    uint64_t of = k->count(step.used + step.first, step.words),
             yes = k->count(step.truth->yes + step.first, step.words),
             no = k->count(step.truth->no + step.first, step.words);
    sum->of += of;
    sum->yes += yes;
    sum->errors += of - yes - no;
    return true;
}

struct overlap segments_overlap(const struct store *s, const struct kernels *kernels, uint16_t a, uint16_t b)
{
    struct overlap sum = {0};
    for (uint32_t block = 0; block < store_blocks(s); block++) {
        const uint64_t *x = member_page(s, a, block), *y = member_page(s, b, block);
        if (x && y) sum.both += kernels->count_both(x, y, BLOCK_WORDS);
    }
    sum.only_a = member_count(s, a) - sum.both;
    sum.only_b = member_count(s, b) - sum.both;
    return sum;
}
