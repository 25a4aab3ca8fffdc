/* index.h - extendible hash from a 128-bit key to a u32: the slot of a row, or of a link (top bit set).
 * Owner: the store. Keys are not kept here: a tag filters, the caller's rows and links (struct index_source) verify.
 * Memory: a region of segments and a directory, committed by index_reserve. Fails: index_reserve only.
 * Cost: a hit is the directory entry, one bucket line and the row it leads to; a split moves one segment at a time.
 * Source: Dash (VLDB 2020) without its stash: a full bucket spills into its neighbour, then the segment splits. */
#ifndef HG_STORE_INDEX_H
#define HG_STORE_INDEX_H

#include "core/base/hash.h"
#include "core/base/limits.h"
#include "core/base/region.h"

#define INDEX_NONE UINT32_MAX
enum { INDEX_SLOTS = 12, INDEX_DEPTH_MAX = 16 };
#define INDEX_LINK_BIT 0x80000000u

/* Where the key of a value lies: element number `value` (link bit cleared) of an array that never moves. */
struct index_source {
    const uint8_t *base; /* of the key inside element 0 */
    uint32_t stride;
};

struct index {
    struct region segments;  /* of INDEX_SEGMENT_BUCKETS buckets each */
    struct region directory; /* u32 segment numbers, 2^depth of them */
    uint32_t depth;
    uint32_t segment_count;
    uint32_t count;
    struct index_source rows, links;
};

bool index_create(struct index *ix, struct index_source rows, struct index_source links);
void index_destroy(struct index *ix);
bool index_reserve(struct index *ix, uint32_t more);
uint32_t index_find(const struct index *ix, struct key key);         /* INDEX_NONE: not there */
void index_insert(struct index *ix, struct key key, uint32_t value); /* the key must not be there */
uint32_t index_remove(struct index *ix, struct key key);             /* what it led to; INDEX_NONE: nothing */
void index_prefetch_directory(const struct index *ix, struct key key);
void index_prefetch(const struct index *ix, struct key key);
uint32_t index_guess(const struct index *ix, struct key key); /* by tag alone, in the home bucket */
/* Every entry lies where facts 1 to 3 of index.c say; walks everything: tests and debugging. */
bool index_valid(const struct index *ix);

#endif
