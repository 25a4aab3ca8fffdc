#include "persist/wal_format.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "persist/disk.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- headers ----------------------------------------------------------------------------- */

void log_header_encode(uint8_t p[LOG_HEADER_BYTES], struct log_header *h)
{
    memset(p, 0, LOG_HEADER_BYTES);
    store_le32(p, LOG_MAGIC);
    p[8] = LOG_VERSION;
    store_le16(p + 10, h->thread);
    store_le32(p + 12, h->epoch);
    store_le32(p + 16, h->sequence);
    store_le32(p + 20, h->core_version);
    store_le64(p + 24, h->directory.hi);
    store_le64(p + 32, h->directory.lo);
    store_le64(p + 40, h->shard_mask);
    store_le32(p + 48, h->chain);
    store_le64(p + 56, h->first_group);
    store_le64(p + 64, h->first_ticket);
    store_le64(p + 72, h->durable_group);
    store_le64(p + 80, h->bytes);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) store_le64(p + 128 + 8 * i, h->base_lsn[i]);
    h->crc = crc32c(0, p + 8, LOG_HEADER_BYTES - 8);
    store_le32(p + 4, h->crc);
}

enum format_status log_header_decode(const uint8_t p[LOG_HEADER_BYTES], struct log_header *out)
{
    *out = (struct log_header){.crc = load_le32(p + 4)};
    if (load_le32(p) != LOG_MAGIC || out->crc != crc32c(0, p + 8, LOG_HEADER_BYTES - 8)) return FORMAT_BAD;
    if (p[8] != LOG_VERSION) return FORMAT_NEWER;
    out->thread = load_le16(p + 10);
    out->epoch = load_le32(p + 12);
    out->sequence = load_le32(p + 16);
    out->core_version = load_le32(p + 20);
    out->directory = (struct key){load_le64(p + 24), load_le64(p + 32)};
    out->shard_mask = load_le64(p + 40);
    out->chain = load_le32(p + 48);
    out->first_group = load_le64(p + 56);
    out->first_ticket = load_le64(p + 64);
    out->durable_group = load_le64(p + 72);
    out->bytes = load_le64(p + 80);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) out->base_lsn[i] = load_le64(p + 128 + 8 * i);
    return FORMAT_OK;
}

void group_header_encode(uint8_t p[GROUP_HEADER_BYTES], struct group_header *h)
{
    store_le32(p, GROUP_MAGIC);
    p[8] = LOG_VERSION;
    p[9] = h->flags;
    store_le16(p + 10, h->thread);
    store_le32(p + 12, h->epoch);
    store_le32(p + 16, h->sequence);
    store_le32(p + 20, h->records);
    store_le64(p + 24, h->number);
    store_le32(p + 32, h->payload_bytes);
    store_le32(p + 36, h->payload_crc);
    store_le32(p + 40, h->chain);
    store_le32(p + 44, h->directory);
    store_le64(p + 48, h->durable_group);
    store_le64(p + 56, h->first_ticket);
    h->crc = crc32c(0, p + 8, GROUP_HEADER_BYTES - 8);
    store_le32(p + 4, h->crc);
}

void log_end_encode(uint8_t block[LOG_BLOCK], const struct log_end *end, struct key directory)
{
    memset(block, 0, LOG_BLOCK);
    struct group_header h = {.directory = (uint32_t)directory.lo,
                             .epoch = end->epoch,
                             .sequence = end->sequence,
                             .thread = end->thread,
                             .flags = GROUP_END,
                             .payload_crc =
                                 crc32c(0, block + GROUP_HEADER_BYTES, LOG_BLOCK - GROUP_HEADER_BYTES),
                             .number = end->number + 1,
                             .first_ticket = end->ticket + 1,
                             .chain = end->chain,
                             .durable_group = end->number};
    group_header_encode(block, &h);
}

enum format_status group_header_decode(const uint8_t p[GROUP_HEADER_BYTES], struct group_header *out)
{
    *out = (struct group_header){.crc = load_le32(p + 4)};
    bool sound = out->crc == crc32c(0, p + 8, GROUP_HEADER_BYTES - 8) || PLANTED(header_crc_not_checked);
    if (load_le32(p) != GROUP_MAGIC || !sound) return FORMAT_BAD;
    if (p[8] != LOG_VERSION) return FORMAT_NEWER;
    out->flags = p[9];
    out->thread = load_le16(p + 10);
    out->epoch = load_le32(p + 12);
    out->sequence = load_le32(p + 16);
    out->records = load_le32(p + 20);
    out->number = load_le64(p + 24);
    out->payload_bytes = load_le32(p + 32);
    out->payload_crc = load_le32(p + 36);
    out->chain = load_le32(p + 40);
    out->directory = load_le32(p + 44);
    out->durable_group = load_le64(p + 48);
    out->first_ticket = load_le64(p + 56);
    return out->payload_bytes <= GROUP_BYTES_MAX - GROUP_HEADER_BYTES ? FORMAT_OK : FORMAT_BAD;
}

bool record_decode(struct slice *rest, struct record *out)
{
    if (rest->n < RECORD_HEADER_BYTES) return false;
    const uint8_t *p = rest->p;
    uint32_t n = load_le32(p);
    if (n > rest->n - RECORD_HEADER_BYTES) return false;
    *out = (struct record){.kind = p[4],
                           .shard = p[5],
                           .lsn = load_le64(p + 8),
                           .payload = slice_of(p + RECORD_HEADER_BYTES, n)};
    if (out->kind == RECORD_NONE || out->kind >= RECORD_KINDS || out->shard >= LOGICAL_SHARDS) return false;
    if (load_le16(p + 6) != 0 || out->lsn == 0) return false;
    *rest = slice_of(p + RECORD_HEADER_BYTES + n, rest->n - RECORD_HEADER_BYTES - n);
    return true;
}

bool all_zero(const uint8_t *p, size_t n) { return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0); }

/* ---- names --------------------------------------------------------------------------------- */

void log_name_print(char out[LOG_NAME_BYTES], uint32_t epoch, uint32_t thread, uint32_t sequence)
{
    snprintf(out, LOG_NAME_BYTES, "log/%06u-%02u-%06u.hgl", epoch, thread, sequence);
}

bool log_name_parse(const char *name, struct log_name *out)
{
    char again[LOG_NAME_BYTES];
    if (sscanf(name, "%10u-%10u-%10u.hgl", &out->epoch, &out->thread, &out->sequence) != 3) return false;
    log_name_print(again, out->epoch, out->thread, out->sequence);
    return strcmp(again + strlen("log/"), name) == 0;
}

int log_name_cmp(const void *a, const void *b)
{
    const struct log_name *x = a, *y = b;
    if (x->epoch != y->epoch) return x->epoch < y->epoch ? -1 : 1;
    if (x->thread != y->thread) return x->thread < y->thread ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void take_name(void *self, const char *name)
{
    struct log_names *names = self;
    struct log_name parsed;
    if (!log_name_parse(name, &parsed)) {
        size_t n = strlen(name);
        if (n > 4 && strcmp(name + n - 4, ".hgl") == 0) names->foreign = true;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 64;
        names->list = realloc(names->list, names->capacity * sizeof *names->list);
        CHECK(names->list != NULL);
    }
    names->list[names->count++] = parsed;
}

int log_names_read(struct disk *disk, struct log_names *out)
{
    *out = (struct log_names){0};
    int r = disk->ops->list(disk, "log", take_name, out);
    if (out->count) qsort(out->list, out->count, sizeof *out->list, log_name_cmp);
    return r;
}

void log_names_free(struct log_names *names)
{
    free(names->list);
    *names = (struct log_names){0};
}
