#include "core/journey/parts.h"
#include "core/base/check.h"

/* Opens a gap of `bytes` at `at`, or closes one (bytes < 0) there. Returns where it is. */
static uint8_t *block_splice(struct store *s, row_t row, enum block_kind kind, uint32_t at, int32_t bytes)
{
    uint32_t n;
    store_touch(s, row);
    uint8_t *p = store_block(s, row, kind, &n);
    CHECK(at <= n && (bytes >= 0 || (uint32_t)-bytes <= n - at));
    if (bytes < 0) memmove(p + at, p + at - bytes, n - at - (uint32_t)-bytes);
    p = store_block_resize(s, row, kind, n + (uint32_t)bytes);
    if (bytes > 0) {
        memmove(p + at + bytes, p + at, n - at);
        memset(p + at, 0, (uint32_t)bytes);
    }
    return p ? p + at : NULL;
}

/* ---- journey instances --------------------------------------------------------------------- */

const struct instance *instance_after(const struct store *s, row_t row, const struct instance *last)
{
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_JOURNEYS, &bytes),
                  *at = last ? (const uint8_t *)last + last->bytes : block;
    if (!block || at == block + bytes) return NULL;
    CHECK((size_t)(block + bytes - at) >= sizeof *last &&
          ((const struct instance *)at)->bytes >= sizeof *last);
    return (const struct instance *)at;
}

bool is_inside(const struct store *s, row_t row, uint16_t journey)
{
    for (const struct instance *i = NULL; (i = instance_after(s, row, i));)
        if (i->journey == journey && i->state == INSTANCE_ACTIVE) return true;
    return false;
}

/* ---- journey memory ------------------------------------------------------------------------ */

static struct journey_memory *memory_list(const struct store *s, row_t row, uint32_t *count)
{
    uint32_t bytes;
    uint8_t *p = store_block(s, row, BLOCK_JSTATS, &bytes);
    *count = bytes / (uint32_t)sizeof(struct journey_memory);
    return (struct journey_memory *)p;
}

struct journey_memory *memory_find(const struct store *s, row_t row, uint16_t journey)
{
    uint32_t n;
    struct journey_memory *list = memory_list(s, row, &n);
    for (uint32_t i = 0; i < n && list[i].journey <= journey; i++)
        if (list[i].journey == journey) return &list[i];
    return NULL;
}

struct journey_memory *memory_make(struct store *s, row_t row, uint16_t journey)
{
    uint32_t n, i = 0;
    store_touch(s, row);
    struct journey_memory *list = memory_list(s, row, &n);
    while (i < n && list[i].journey < journey) i++;
    if (i < n && list[i].journey == journey) return &list[i];
    struct journey_memory *m = (void *)block_splice(s, row, BLOCK_JSTATS, i * (uint32_t)sizeof *m, sizeof *m);
    m->journey = journey;
    return m;
}

/* ---- sends --------------------------------------------------------------------------------- */

struct send *sends_list(const struct store *s, row_t row, uint32_t *count)
{
    uint32_t bytes;
    uint8_t *p = store_block(s, row, BLOCK_SENDS, &bytes);
    *count = bytes / (uint32_t)sizeof(struct send);
    return (struct send *)p;
}

static uint32_t sends_victim(const struct send *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].state & MESSAGE_SUPPRESSED) return i; /* caps count the others */
    return 0;
}

void sends_add(struct store *s, row_t row, const struct send *send)
{
    uint32_t n;
    struct send *list = sends_list(s, row, &n);
    while (n >= SENDS_KEPT_MAX) { /* more than one only after a merge */
        block_splice(s, row, BLOCK_SENDS, sends_victim(list, n) * (uint32_t)sizeof *send,
                     -(int32_t)sizeof *send);
        list = sends_list(s, row, &n);
    }
    memcpy(block_splice(s, row, BLOCK_SENDS, n * (uint32_t)sizeof *send, sizeof *send), send, sizeof *send);
}

/* ---- consent ------------------------------------------------------------------------------- */

uint32_t consent_topic(struct slice topic) { return topic.n ? (uint32_t)hash64_plain(topic.p, topic.n) : 0; }

static struct consent *consent_list(const struct store *s, row_t row, uint32_t *count)
{
    uint32_t bytes;
    uint8_t *p = store_block(s, row, BLOCK_CONSENT, &bytes);
    *count = bytes / (uint32_t)sizeof(struct consent);
    return (struct consent *)p;
}

static struct consent *consent_find(const struct store *s, row_t row, uint16_t channel, uint32_t topic)
{
    uint32_t n;
    struct consent *list = consent_list(s, row, &n);
    for (uint32_t i = 0; i < n; i++)
        if (list[i].channel == channel && list[i].topic == topic) return &list[i];
    return NULL;
}

enum consent_state consent_get(const struct store *s, row_t row, uint16_t channel, uint32_t topic)
{
    const struct consent *c = consent_find(s, row, channel, topic);
    return c ? (enum consent_state)c->state : CONSENT_UNKNOWN;
}

static uint32_t consent_place(const struct store *s, row_t row, const struct consent *c)
{
    uint32_t n, i = 0;
    const struct consent *list = consent_list(s, row, &n);
    while (i < n &&
           (list[i].channel < c->channel || (list[i].channel == c->channel && list[i].topic < c->topic)))
        i++;
    return i * (uint32_t)sizeof *list;
}

bool consent_set(struct store *s, row_t row, const struct consent *c)
{
    store_touch(s, row);
    struct consent *old = consent_find(s, row, c->channel, c->topic);
    if (old && c->at < old->at) return false;
    /* A plain "yes" after a double opt-in takes nothing away. */
    if (old && old->state == CONSENT_CONFIRMED && c->state == CONSENT_GRANTED) return false;
    if (!old) old = (void *)block_splice(s, row, BLOCK_CONSENT, consent_place(s, row, c), sizeof *c);
    bool changed = old->state != c->state;
    *old = *c;
    return changed;
}

enum decision consent_allows(const struct store *s, row_t row, const struct channel *channel,
                             struct slice topic)
{
    enum consent_state state = consent_get(s, row, channel->id, 0);
    if (state == CONSENT_BLOCKED) return DECISION_BLOCKED;
    if (state == CONSENT_DENIED) return DECISION_NO_CONSENT;
    if (topic.n && consent_get(s, row, channel->id, consent_topic(topic)) == CONSENT_DENIED)
        return DECISION_NO_CONSENT;
    bool enough = channel->consent == CHANNEL_CONSENT_NOT_NEEDED || state == CONSENT_CONFIRMED ||
                  (channel->consent == CHANNEL_CONSENT_REQUIRED && state == CONSENT_GRANTED);
    return enough ? DECISION_NONE : DECISION_NO_CONSENT;
}

/* ---- tagged parts -------------------------------------------------------------------------- */

enum { EXTRA_HEAD = 8 };

/* Where the part is or belongs; *bytes: of its payload, UINT32_MAX if it is not there. */
static uint32_t extra_find(const struct store *s, row_t row, uint16_t tag, uint32_t *bytes)
{
    uint32_t n, at = 0;
    const uint8_t *p = store_block(s, row, BLOCK_EXTRA, &n);
    *bytes = UINT32_MAX;
    while (at + EXTRA_HEAD <= n && load_le16(p + at) < tag) at += EXTRA_HEAD + load_le32(p + at + 4);
    CHECK(at <= n);
    if (at + EXTRA_HEAD <= n && load_le16(p + at) == tag) *bytes = load_le32(p + at + 4);
    return at;
}

struct slice extra_get(const struct store *s, row_t row, uint16_t tag)
{
    uint32_t bytes, n, at = extra_find(s, row, tag, &bytes);
    if (bytes == UINT32_MAX) return (struct slice){0};
    return slice_of(store_block(s, row, BLOCK_EXTRA, &n) + at + EXTRA_HEAD, bytes);
}

uint8_t *extra_resize(struct store *s, row_t row, uint16_t tag, uint32_t bytes)
{
    uint32_t old, at = extra_find(s, row, tag, &old);
    if (old == UINT32_MAX) {
        if (bytes == 0) return NULL;
        store_le16(block_splice(s, row, BLOCK_EXTRA, at, EXTRA_HEAD), tag);
        old = 0;
    }
    if (bytes == 0) return block_splice(s, row, BLOCK_EXTRA, at, -(int32_t)(EXTRA_HEAD + old)), NULL;
    uint32_t keep = old < bytes ? old : bytes;
    uint8_t *part = block_splice(s, row, BLOCK_EXTRA, at + EXTRA_HEAD + keep, (int32_t)bytes - (int32_t)old);
    part -= keep;
    store_le32(part - EXTRA_HEAD + 4, bytes);
    return part;
}

bool list_has(const struct store *s, row_t row, uint16_t list)
{
    struct slice ids = extra_get(s, row, EXTRA_LISTS);
    for (uint32_t i = 0; i < ids.n; i += 2)
        if (load_le16(ids.p + i) == list) return true;
    return false;
}

bool list_put(struct store *s, row_t row, uint16_t list, bool member)
{
    if (list_has(s, row, list) == member) return false;
    struct slice ids = extra_get(s, row, EXTRA_LISTS);
    uint32_t at = 0;
    while (at < ids.n && load_le16(ids.p + at) < list) at += 2;
    if (member) {
        uint8_t *p = extra_resize(s, row, EXTRA_LISTS, ids.n + 2);
        memmove(p + at + 2, p + at, ids.n - at);
        store_le16(p + at, list);
    } else {
        store_touch(s, row);
        memmove((uint8_t *)ids.p + at, ids.p + at + 2, ids.n - at - 2);
        extra_resize(s, row, EXTRA_LISTS, ids.n - 2);
    }
    return true;
}

uint32_t pause_until(const struct store *s, row_t row, uint16_t journey)
{
    if (!store_row(s, row)->block[BLOCK_EXTRA]) return 0; /* nearly everybody */
    struct slice all = extra_get(s, row, EXTRA_PAUSES);
    for (uint32_t i = 0; i < all.n; i += sizeof(struct pause))
        if (load_le16(all.p + i) == journey) return load_le32(all.p + i + 4);
    return 0;
}

void pause_set(struct store *s, row_t row, uint16_t journey, uint32_t until, uint32_t now)
{
    struct slice all = extra_get(s, row, EXTRA_PAUSES);
    struct pause kept[INSTANCES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < all.n && n < INSTANCES_MAX - 1; i += sizeof kept[0]) { /* what is over goes */
        memcpy(&kept[n], all.p + i, sizeof kept[0]);
        n += kept[n].journey != journey && kept[n].until > now;
    }
    if (until > now) kept[n++] = (struct pause){journey, 0, until};
    uint8_t *p = extra_resize(s, row, EXTRA_PAUSES, n * (uint32_t)sizeof kept[0]);
    if (n) memcpy(p, kept, n * sizeof kept[0]);
}
