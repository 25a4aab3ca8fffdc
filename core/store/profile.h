/* profile.h - the bytes of one profile, version 1: little-endian, determined by content alone (no slots, handles,
 * dictionary codes, capacities).
 *   version u8 | key 16 | flags u16 | next_wake, last_seen, first_seen u32
 *   types u16, ascending: type u16 | count, first, last, newest own, lost u32 | entries u16 | own u8
 *     entry: at u32 | own u32 if `own` | hash u32 | cells u8: {property u8, value}
 *     days u16, ascending: day u16 | count u32 | sums u8: i64 each, trailing zeros left out
 *   attributes u16, ascending: id u16 | time u32 | value (kind NONE: removed)
 *   per block kind but TYPES: bytes u32, content
 *   value: kind u8, then bool u8 | double 8 | time i64 + nanoseconds u32 | text or raw: length u32 + bytes
 * Flags leave out MERGING; the zone index is the shard's business. */
#ifndef HG_STORE_PROFILE_H
#define HG_STORE_PROFILE_H

#include "core/store/parts.h"

enum { PROFILE_VERSION = 1 };

void value_encode(struct value v, struct buf *out);
/* Of the declared type, or V_NONE; bad sets the reader's flag. */
struct value value_decode(struct reader *r, enum declared_type type);

/* The parts of a merge that are lists of small structs (profile_lists.c). */
bool block_valid(enum block_kind kind, struct slice bytes);
void block_merge(struct store *s, row_t row, enum block_kind kind, struct slice other);

#endif
