/* wal_format.h - the bytes of a log file, for the one who writes them and the ones who read them. Tables: FORMAT.md.
 *
 *   | file header 4096 | group | group | ... | zeros |        a group: | header 64 | record | record | ... | pad to 4096 |
 *
 * Always true: 1. Nothing of a header is believed before its CRC. 2. A group's chain is the header CRC of the group before
 * it; a file's first group chains on the file header, which chains on the last group of the file before. 3. A group's
 * durable mark is the number of a group that was durable when this one was built. 4. Zeros are never a header, a group
 * or a record. 5. A block of 4096 is written once. */
#ifndef HG_PERSIST_WAL_FORMAT_H
#define HG_PERSIST_WAL_FORMAT_H

#include "core/base/limits.h"
#include "core/model/record.h"

enum {
    LOG_BLOCK = 4096,
    LOG_HEADER_BYTES = 4096,
    GROUP_HEADER_BYTES = 64,
    RECORD_HEADER_BYTES = 16,
    GROUP_BYTES_MAX =
        (4 << 20) - LOG_HEADER_BYTES, /* with the file header in front it is what one buffer holds */
    LOG_VERSION = 1,
    LOG_MAGIC = 0x464c4748,   /* "HGLF" */
    GROUP_MAGIC = 0x52474748, /* "HGGR" */
};
enum { GROUP_END = 1 /* the log of this thread and epoch ends here, for ever */ };

struct log_header {
    struct key directory;
    uint32_t epoch, sequence, core_version;
    uint16_t thread;
    uint32_t chain; /* CRC of the header of the last group in the file before; 0 in the first */
    uint64_t shard_mask;
    uint64_t first_group, first_ticket;
    uint64_t durable_group; /* mark, as in a group */
    uint64_t bytes;         /* of the whole file, as it was made */
    uint64_t base_lsn
        [LOGICAL_SHARDS]; /* before this file's first record; of foreign shards: at the start of the epoch */
    uint32_t crc;         /* filled by encode and decode */
};

struct group_header {
    uint32_t directory; /* low half of the directory id's low half: a foreign block does not parse */
    uint32_t epoch, sequence;
    uint16_t thread;
    uint8_t flags;
    uint32_t records, payload_bytes, payload_crc; /* the CRC covers payload and padding */
    uint64_t number, first_ticket;
    uint32_t chain;
    uint64_t durable_group;
    uint32_t crc;
};

enum format_status { FORMAT_OK, FORMAT_BAD, FORMAT_NEWER };

void log_header_encode(uint8_t p[LOG_HEADER_BYTES], struct log_header *h);
enum format_status log_header_decode(const uint8_t p[LOG_HEADER_BYTES], struct log_header *out);
void group_header_encode(uint8_t p[GROUP_HEADER_BYTES], struct group_header *h);
enum format_status group_header_decode(const uint8_t p[GROUP_HEADER_BYTES], struct group_header *out);

/* A record's bytes: {payload length u32, kind u8, shard u8, flags u16 = 0, lsn u64, payload}. */
static inline uint8_t *record_encode(uint8_t *p, const struct record *r)
{
    store_le32(p, r->head_bytes + r->payload.n);
    p[4] = r->kind;
    p[5] = r->shard;
    store_le16(p + 6, 0);
    store_le64(p + 8, r->lsn);
    p += RECORD_HEADER_BYTES;
    memcpy(p, r->head, r->head_bytes);
    if (r->payload.n) memcpy(p + r->head_bytes, r->payload.p, r->payload.n);
    return p + r->head_bytes + r->payload.n;
}
/* Takes the next record off `rest`; false when it is none (rest is then not empty, or was empty before). */
bool record_decode(struct slice *rest, struct record *out);

/* Where the log of one thread stands: behind its group `number`, in file `sequence`. */
struct log_end {
    uint32_t epoch, sequence;
    uint16_t thread;
    uint32_t chain; /* header CRC of that group; of the file when it has none */
    uint64_t offset;
    uint64_t number, ticket; /* of that group and of its last record; 0: none so far */
};
/* The end group that may stand there: no start looks for a tail behind it. */
void log_end_encode(uint8_t block[LOG_BLOCK], const struct log_end *end, struct key directory);

static inline uint64_t block_round(uint64_t n) { return (n + LOG_BLOCK - 1) & ~(uint64_t)(LOG_BLOCK - 1); }
static inline uint64_t group_bytes(const struct group_header *h)
{
    return block_round(GROUP_HEADER_BYTES + (uint64_t)h->payload_bytes);
}
bool all_zero(const uint8_t *p, size_t n);

/* Names: log/EEEEEE-TT-SSSSSS.hgl. */
enum { LOG_NAME_BYTES = 64 };
struct log_name {
    uint32_t epoch, thread, sequence;
};
void log_name_print(char out[LOG_NAME_BYTES], uint32_t epoch, uint32_t thread, uint32_t sequence);
bool log_name_parse(const char *name, struct log_name *out); /* without the folder */
int log_name_cmp(const void *a, const void *b);
struct log_names {
    struct log_name *list; /* sorted by epoch, thread, sequence */
    uint32_t count, capacity;
    bool foreign; /* a file *.hgl with another name */
};
struct disk;
int log_names_read(struct disk *disk, struct log_names *out); /* -errno; free with log_names_free */
void log_names_free(struct log_names *names);

#endif
