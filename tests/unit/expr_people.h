/* expr_people.h - random people as a block of rows: columns as the store would hold them, for plans over blocks. */
#ifndef HG_TESTS_EXPR_PEOPLE_H
#define HG_TESTS_EXPR_PEOPLE_H

#include "core/expr/block.h"
#include "tests/unit/expr_generator.h"

enum { PEOPLE = BLOCK_ROWS < 80 ? BLOCK_ROWS : 80, TEXTS_MAX = PEOPLE };

static struct person people[PEOPLE];
static struct people_block {
    uint64_t present[ATTRIBUTES][BLOCK_WORDS], members[BLOCK_WORDS];
    double plan[BLOCK_ROWS];
    uint8_t vip[BLOCK_ROWS];
    uint16_t city[BLOCK_ROWS];
    uint64_t expires[BLOCK_ROWS];
    struct slice texts[TEXTS_MAX];
    uint32_t text_count;
    bool city_is_packed; /* else its texts are no codes */
    uint32_t now;
    struct arena *scratch;
} people_block;

static uint16_t people_code(struct value v)
{
    uint16_t code = 0;
    for (; code < people_block.text_count; code++)
        if (slice_eq(people_block.texts[code], value_text(v))) return code;
    people_block.texts[people_block.text_count++] = value_text(v);
    return code;
}

/* A stranger's bits where nobody has a value must not matter. */
static void people_pack(void)
{
    struct people_block *b = &people_block;
    for (uint32_t i = 0; i < sizeof *b; i++) ((uint8_t *)b)[i] = (uint8_t)random_below(256);
    memset(b->present, 0, sizeof b->present);
    memset(b->members, 0, sizeof b->members);
    b->text_count = 0;
    b->city_is_packed = chance(80);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        const struct person *p = &people[i];
        for (uint32_t a = 0; a < ATTRIBUTES; a++)
            b->present[a][i / 64] |= (uint64_t)(p->attribute[a].kind != V_NONE) << i % 64;
        b->members[i / 64] |= (uint64_t)p->member << i % 64;
        if (p->attribute[PLAN].kind) b->plan[i] = p->attribute[PLAN].d;
        if (p->attribute[VIP].kind) b->vip[i] = p->attribute[VIP].b;
        if (p->attribute[CITY].kind) b->city[i] = people_code(p->attribute[CITY]);
        if (p->attribute[EXPIRES].kind)
            b->expires[i] = cell_make(p->attribute[EXPIRES], T_TIME, &person_heap);
    }
}

static void people_new(bool near)
{
    static bool made;
    for (uint32_t i = 0; i < PEOPLE; i++) {
        if (made) person_unseal(&people[i]);
        random_person(&people[i], near);
    }
    made = true;
    people_pack();
}

/* ---- the source ------------------------------------------------------------------------------------- */

static struct vector people_vector(void *self, uint16_t attribute)
{
    const struct people_block *b = self;
    struct vector v = {VECTOR_OTHER, NULL, b->present[attribute]};
    if (attribute == PLAN) v.form = VECTOR_NUMBERS, v.values = b->plan;
    if (attribute == VIP) v.form = VECTOR_BOOLS, v.values = b->vip;
    if (attribute == EXPIRES) v.form = VECTOR_TIMES, v.values = b->expires;
    if (attribute == CITY && b->city_is_packed) v.form = VECTOR_CODES, v.values = b->city;
    return v;
}

static const uint64_t *people_members(void *self, uint16_t segment)
{
    return ((struct people_block *)self)->members;
}

static uint32_t people_texts(void *self, uint16_t attribute)
{
    const struct people_block *b = self;
    return attribute == CITY && b->city_is_packed ? b->text_count : 0;
}

static struct slice people_text(void *self, uint16_t attribute, uint32_t code)
{
    return ((struct people_block *)self)->texts[code];
}

static struct value people_row(void *self, const struct program *p, uint32_t row)
{
    const struct people_block *b = self;
    arena_reset(b->scratch);
    struct expr_context ctx = {.source = &person_source,
                               .self = &people[row],
                               .now = b->now,
                               .zone = people[row].zone,
                               .scratch = b->scratch,
                               .next_change = UINT32_MAX};
    return program_run(p, &ctx);
}

static const struct block_source people_source = {
    &people_block, people_vector, people_members, people_texts, people_text, people_row, NULL};

#endif
