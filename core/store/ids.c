/* BLOCK_IDS: {u16 length, text} of the user id (length 0: anonymous), then the same of every anonymous id, oldest first. */
#include "core/store/parts.h"

static struct slice id_at(const uint8_t *block, uint32_t at)
{
    return slice_of(block + at + 2, load_le16(block + at));
}
static uint32_t after(const uint8_t *block, uint32_t at) { return at + 2 + load_le16(block + at); }

struct slice ids_user(const struct store *s, row_t row)
{
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_IDS, &bytes);
    return bytes ? id_at(block, 0) : (struct slice){0};
}

uint32_t ids_anonymous(const struct store *s, row_t row, struct slice *out, uint32_t max)
{
    uint32_t bytes, count = 0;
    const uint8_t *block = store_block(s, row, BLOCK_IDS, &bytes);
    if (!bytes) return 0;
    for (uint32_t at = after(block, 0); at < bytes && count < max; at = after(block, at))
        out[count++] = id_at(block, at);
    return count;
}

/* Replaces `old` bytes at `at` by one id of that text (NULL: by nothing). */
static void splice(struct store *s, row_t row, uint32_t at, uint32_t old, const struct slice *text)
{
    uint32_t bytes, fresh = text ? text->n + 2 : 0;
    store_block(s, row, BLOCK_IDS, &bytes);
    uint32_t behind = bytes - at - old;
    uint8_t *block = NULL;
    if (fresh > old)
        block = store_block_resize(s, row, BLOCK_IDS, bytes + fresh - old);
    else
        block = store_block(s, row, BLOCK_IDS, &(uint32_t){0});
    if (behind) memmove(block + at + fresh, block + at + old, behind);
    if (text) store_le16(block + at, (uint16_t)text->n);
    if (text && text->n) memcpy(block + at + 2, text->p, text->n);
    if (fresh < old) store_block_resize(s, row, BLOCK_IDS, bytes + fresh - old);
}

void ids_set_user(struct store *s, row_t row, struct slice user_id)
{
    CHECK(user_id.n && user_id.n <= ID_BYTES_MAX);
    struct row *r = store_touch(s, row);
    s->known += !(r->flags & ROW_KNOWN);
    r->flags |= ROW_KNOWN;
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_IDS, &bytes);
    if (bytes && slice_eq(id_at(block, 0), user_id)) return;
    splice(s, row, 0, bytes ? after(block, 0) : 0, &user_id);
}

bool ids_has_anonymous(const struct store *s, row_t row, struct slice anonymous_id)
{
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_IDS, &bytes);
    if (!bytes) return false;
    for (uint32_t at = after(block, 0); at < bytes; at = after(block, at))
        if (slice_eq(id_at(block, at), anonymous_id)) return true;
    return false;
}

static bool drop_oldest(struct store *s, row_t row, struct slice *dropped, struct arena *scratch)
{
    struct slice list[ALIASES_MAX];
    if (ids_anonymous(s, row, list, ALIASES_MAX) < ALIASES_MAX) return false;
    if (dropped) *dropped = arena_slice(scratch, list[0]);
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_IDS, &bytes);
    splice(s, row, after(block, 0), list[0].n + 2, NULL);
    return true;
}

bool ids_add_anonymous(struct store *s, row_t row, struct slice anonymous_id, struct slice *dropped,
                       struct arena *scratch)
{
    CHECK(anonymous_id.n && anonymous_id.n <= ID_BYTES_MAX);
    if (ids_has_anonymous(s, row, anonymous_id)) return false;
    store_touch(s, row);
    uint32_t bytes;
    store_block(s, row, BLOCK_IDS, &bytes);
    struct slice nobody = {0};
    if (!bytes) splice(s, row, 0, 0, &nobody);
    bool drops = drop_oldest(s, row, dropped, scratch);
    store_block(s, row, BLOCK_IDS, &bytes);
    splice(s, row, bytes, 0, &anonymous_id);
    return drops;
}
