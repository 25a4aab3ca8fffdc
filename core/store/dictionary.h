/* dictionary.h - the different texts of one column, numbered in order of arrival.
 * Owner: its column. Texts are heap blocks {u32 length, bytes} and are never removed one by one.
 * Memory: tables from malloc, grown by dictionary_reserve. Fails: dictionary_reserve only. */
#ifndef HG_STORE_DICTIONARY_H
#define HG_STORE_DICTIONARY_H

#include "core/base/heap.h"

enum {
#ifdef HG_TINY
    DICTIONARY_TEXTS_MAX = 32,
#else
    DICTIONARY_TEXTS_MAX = 1 << 16,
#endif
};

struct dictionary {
    uint32_t *texts; /* heap handles by code */
    uint32_t *table; /* code + 1, linear probing */
    uint32_t count, capacity, mask;
};

bool dictionary_reserve(struct dictionary *d, const struct heap *heap, uint32_t more);
uint32_t dictionary_code(struct dictionary *d, struct heap *heap, struct slice text); /* finds or adds */
struct slice dictionary_text(const struct dictionary *d, const struct heap *heap, uint32_t code);
void dictionary_free(struct dictionary *d, struct heap *heap); /* heap may be NULL: it goes as a whole */

#endif
