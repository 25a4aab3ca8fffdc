/* The blocks of a profile that are lists of small structs: are they well formed, and how do two halves join. */
#include "core/store/profile.h"

/* ---- checking ------------------------------------------------------------------------ */

static bool ids_valid(struct slice bytes)
{
    struct reader r = reader_of(bytes);
    for (uint32_t i = 0; r.p < r.end && !r.bad; i++) {
        uint32_t n = read_le16(&r);
        if (n > ID_BYTES_MAX || (i && !n) || i > ALIASES_MAX) return false;
        read_slice(&r, n);
    }
    return !r.bad;
}

static bool members_valid(struct slice bytes)
{
    if (bytes.n % sizeof(struct membership)) return false;
    for (uint32_t at = 0, next = 0; at < bytes.n; at += sizeof(struct membership)) {
        uint16_t segment = load_le16(bytes.p + at), member = load_le16(bytes.p + at + 2);
        if (segment < next || member > 1) return false;
        next = segment + 1u;
    }
    return true;
}

static bool journeys_valid(struct slice bytes)
{
    for (uint32_t at = 0; at < bytes.n;) {
        if (bytes.n - at < sizeof(struct instance)) return false;
        uint32_t length = load_le32(bytes.p + at + offsetof(struct instance, bytes));
        if (length < sizeof(struct instance) || length > bytes.n - at) return false;
        at += length;
    }
    return true;
}

bool block_valid(enum block_kind kind, struct slice bytes)
{
    switch (kind) {
    case BLOCK_IDS: return ids_valid(bytes);
    case BLOCK_MEMBERS: return members_valid(bytes);
    case BLOCK_JOURNEYS: return journeys_valid(bytes);
    case BLOCK_JSTATS: return bytes.n % sizeof(struct journey_memory) == 0;
    case BLOCK_SENDS: return bytes.n % sizeof(struct send) == 0;
    case BLOCK_CONSENT: return bytes.n % sizeof(struct consent) == 0;
    case BLOCK_EXTRA: return true;
    case BLOCK_TYPES:
    case BLOCK_KINDS: break;
    }
    return false;
}

/* ---- joining ------------------------------------------------------------------------- */

static void *append(struct store *s, row_t row, enum block_kind kind, const void *p, uint32_t n)
{
    uint32_t bytes;
    store_block(s, row, kind, &bytes);
    uint8_t *block = store_block_resize(s, row, kind, bytes + n);
    return memcpy(block + bytes, p, n);
}

static void merge_ids(struct store *s, row_t row, struct slice other)
{
    struct reader r = reader_of(other);
    for (uint32_t i = 0; r.p < r.end; i++) {
        struct slice id = read_slice(&r, read_le16(&r));
        if (i)
            ids_add_anonymous(s, row, id, NULL, NULL);
        else if (id.n && !ids_user(s, row).n)
            ids_set_user(s, row, id);
    }
}

static bool in_journey(const struct store *s, row_t row, uint16_t journey)
{
    uint32_t bytes;
    const uint8_t *block = store_block(s, row, BLOCK_JOURNEYS, &bytes);
    for (uint32_t at = 0; at < bytes; at += load_le32(block + at + offsetof(struct instance, bytes)))
        if (load_le16(block + at) == journey) return true;
    return false;
}

static uint32_t instance_count(const struct store *s, row_t row)
{
    uint32_t bytes, count = 0;
    const uint8_t *block = store_block(s, row, BLOCK_JOURNEYS, &bytes);
    for (uint32_t at = 0; at < bytes; at += load_le32(block + at + offsetof(struct instance, bytes))) count++;
    return count;
}

/* A journey the survivor is in at all stays as the survivor has it; of others all instances come along. */
static void merge_journeys(struct store *s, row_t row, struct slice other)
{
    uint16_t moving[INSTANCES_MAX];
    uint32_t moves = 0, count = instance_count(s, row);
    for (uint32_t at = 0; at < other.n && count < INSTANCES_MAX;) {
        const uint8_t *p = other.p + at;
        uint32_t bytes = load_le32(p + offsetof(struct instance, bytes));
        uint16_t journey = load_le16(p);
        bool moved = false;
        for (uint32_t i = 0; i < moves; i++) moved |= moving[i] == journey;
        at += bytes;
        if (!moved && in_journey(s, row, journey)) continue;
        if (!moved) moving[moves++] = journey;
        append(s, row, BLOCK_JOURNEYS, p, bytes);
        count++;
    }
}

static struct journey_memory *memory_for(struct store *s, row_t row, uint16_t journey)
{
    uint32_t bytes, at = 0;
    struct journey_memory *list = (struct journey_memory *)(void *)store_block(s, row, BLOCK_JSTATS, &bytes);
    uint32_t count = bytes / sizeof *list;
    while (at < count && list[at].journey < journey) at++;
    if (at < count && list[at].journey == journey) return &list[at];
    list = (struct journey_memory *)(void *)store_block_resize(s, row, BLOCK_JSTATS,
                                                               bytes + (uint32_t)sizeof *list);
    memmove(&list[at + 1], &list[at], (count - at) * sizeof *list);
    list[at] = (struct journey_memory){.journey = journey};
    return &list[at];
}

static uint32_t later(uint32_t a, uint32_t b) { return a > b ? a : b; }

static void merge_journey_memory(struct store *s, row_t row, struct slice other)
{
    for (uint32_t at = 0; at < other.n; at += sizeof(struct journey_memory)) {
        struct journey_memory theirs;
        memcpy(&theirs, other.p + at, sizeof theirs);
        struct journey_memory *ours = memory_for(s, row, theirs.journey);
        if (theirs.decided_at > ours->decided_at) {
            ours->reason = theirs.reason;
            ours->detail = theirs.detail;
            ours->decided_at = theirs.decided_at;
        }
        ours->entries += theirs.entries;
        ours->last_entry = later(ours->last_entry, theirs.last_entry);
        ours->last_end = later(ours->last_end, theirs.last_end);
    }
}

/* By time, ours first; the newest SENDS_KEPT_MAX stay. */
static void merge_sends(struct store *s, row_t row, struct slice other)
{
    if (!other.n) return;
    uint32_t bytes;
    append(s, row, BLOCK_SENDS, other.p, other.n);
    struct send *list = (struct send *)(void *)store_block(s, row, BLOCK_SENDS, &bytes);
    uint32_t count = bytes / sizeof *list;
    for (uint32_t i = 1; i < count; i++) {
        struct send moving = list[i];
        uint32_t at = i;
        for (; at && list[at - 1].at > moving.at; at--) list[at] = list[at - 1];
        list[at] = moving;
    }
    if (count <= SENDS_KEPT_MAX) return;
    memmove(list, list + count - SENDS_KEPT_MAX, SENDS_KEPT_MAX * sizeof *list);
    store_block_resize(s, row, BLOCK_SENDS, SENDS_KEPT_MAX * sizeof *list);
}

static int restriction(uint16_t state) { return state == CONSENT_BLOCKED ? 2 : state == CONSENT_DENIED; }

static struct consent *consent_for(struct store *s, row_t row, const struct consent *theirs)
{
    uint32_t bytes;
    struct consent *list = (struct consent *)(void *)store_block(s, row, BLOCK_CONSENT, &bytes);
    for (uint32_t i = 0; i < bytes / sizeof *list; i++)
        if (list[i].channel == theirs->channel && list[i].topic == theirs->topic) return &list[i];
    append(s, row, BLOCK_CONSENT, theirs, sizeof *theirs);
    return NULL;
}

/* The newest word counts; of two in the same second the withdrawal. */
static void merge_consent(struct store *s, row_t row, struct slice other)
{
    for (uint32_t at = 0; at < other.n; at += sizeof(struct consent)) {
        struct consent theirs;
        memcpy(&theirs, other.p + at, sizeof theirs);
        struct consent *ours = consent_for(s, row, &theirs);
        if (!ours) continue;
        bool stricter = theirs.at == ours->at && restriction(theirs.state) > restriction(ours->state);
        if (theirs.at > ours->at || stricter) *ours = theirs;
    }
}

void block_merge(struct store *s, row_t row, enum block_kind kind, struct slice other)
{
    uint32_t ours;
    switch (kind) {
    case BLOCK_IDS: merge_ids(s, row, other); return;
    case BLOCK_JOURNEYS: merge_journeys(s, row, other); return;
    case BLOCK_JSTATS: merge_journey_memory(s, row, other); return;
    case BLOCK_SENDS: merge_sends(s, row, other); return;
    case BLOCK_CONSENT: merge_consent(s, row, other); return;
    case BLOCK_EXTRA:
        store_block(s, row, kind, &ours);
        if (!ours && other.n) append(s, row, kind, other.p, other.n);
        return;
    case BLOCK_MEMBERS: /* the caller evaluates anew */
    case BLOCK_TYPES:
    case BLOCK_KINDS: return;
    }
}
