/* What `inspect` says of files that are not whole: each of our golden files, changed in one place. Where a checksum covers
 * that place it is made right again, so that what stands behind the checksum has to notice. */
#include "core/base/hash.h"
#include "persist/inspect.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN HG_TEST_DATA "/../golden/v1/"
#define LOG    "log/000002-00-000001.hgl"

enum sum {
    NOTHING, /* the checksums stay as they were: they are wrong now */
    FILE_SUM,
    HEAD_SUM,  /* of a snapshot's header */
    LOG_SUM,   /* of a log's header */
    GROUP_SUM, /* of the first group's header */
    PAYLOAD_SUM,
    TRAILER_SUM /* of a snapshot's last frame */
};

struct spoilt {
    const char *file;
    uint32_t cut; /* bytes that stay; 0: all */
    uint32_t at;
    uint8_t byte; /* what is written there; at 0: nothing */
    enum sum sum;
    int code;
    const char *says;
};

static void sum_up(struct buf *b, enum sum sum)
{
    uint8_t *p = b->p, *group = p + 4096, *trailer = p + b->n - 28;
    if (sum == FILE_SUM) store_le32(p + 4, crc32c(0, p + 8, b->n - 8));
    if (sum == HEAD_SUM) store_le32(p + 4, crc32c(0, p + 8, 56));
    if (sum == LOG_SUM) store_le32(p + 4, crc32c(0, p + 8, 4088));
    if (sum == PAYLOAD_SUM) store_le32(group + 36, crc32c(0, group + 64, 4096 - 64));
    if (sum == GROUP_SUM || sum == PAYLOAD_SUM) store_le32(group + 4, crc32c(0, group + 8, 56));
    if (sum == TRAILER_SUM) store_le32(trailer + 8, crc32c(crc32c(0, trailer, 8), trailer + 12, 16));
}

static void read_golden(const char *name, struct buf *out)
{
    char path[300];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    buf_reserve(out, 1 << 20);
    out->n = fread(out->p, 1, 1 << 20, file);
    fclose(file);
}

static void spoil(const struct spoilt *s, struct buf *b)
{
    read_golden(s->file, b);
    if (s->cut) b->n = s->cut;
    if (s->at) b->p[s->at] = s->byte;
    sum_up(b, s->sum);
}

/* The bytes as a file of that name, looked at. */
static void expect_said(struct slice bytes, const char *name, struct inspect_options options, int code,
                        const char *says)
{
    char directory[] = "/tmp/hourglass-test-XXXXXX", path[300], *text;
    size_t n;
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb"), *out = open_memstream(&text, &n);
    cr_assert(file && out && (!bytes.n || fwrite(bytes.p, bytes.n, 1, file) == 1));
    fclose(file);
    int found = inspect_file(path, &options, out);
    fclose(out);
    cr_expect_eq(found, code, "%s: %d, not %d\n%s", name, found, code, text);
    cr_expect_not_null(strstr(text, says), "%s: %s in\n%s", name, says, text);
    free(text);
    unlink(path);
    rmdir(directory);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const struct spoilt spoilt[] = {
    {"hourglass.id", 127, 0, 0, NOTHING, 3, "identity is damaged"},
    {"hourglass.id", 0, 20, 0xee, NOTHING, 3, "identity is damaged"},
    {"requests", 11, 0, 0, NOTHING, 3, "the remembered calls are damaged"},
    {"requests", 0, 30, 0xee, NOTHING, 3, "the remembered calls are damaged"},
    {"requests", 0, 10, 9, FILE_SUM, 3, "offset 89: WRONG: calls and their count disagree"},
    {"requests", 0, 48, 0xee, FILE_SUM, 3,
     "WRONG: calls and their count disagree"}, /* a length behind the end */
    {"definitions/000001.hgd", 39, 0, 0, NOTHING, 3, "bundle is damaged"},
    {"definitions/000001.hgd", 0, 45, 'E', NOTHING, 3, "bundle is damaged"},
    {"definitions/000001.hgd", 50, 0, 0, FILE_SUM, 3, "bundle is damaged"}, /* shorter than it says */
    {"snapshot/000001/MANIFEST", 63, 0, 0, NOTHING, 3, "manifest is damaged"},
    {"snapshot/000001/MANIFEST", 0, 70, 0xee, NOTHING, 3, "manifest is damaged"},
    {"snapshot/000001/MANIFEST", 0, 10, 3, FILE_SUM, 3,
     "manifest is damaged"}, /* an entry more than it has */
    {"snapshot/000001/shard-07.hgs", 63, 0, 0, NOTHING, 3, "header is damaged"},
    {"snapshot/000001/shard-07.hgs", 0, 40, 0xee, NOTHING, 3, "header is damaged"},
    {"snapshot/000001/shard-07.hgs", 0, 40, 9, HEAD_SUM, 0, "of shard 7 at lsn 9"},
    {"snapshot/000001/shard-07.hgs", 64, 0, 0, NOTHING, 3, "no trailer, or more than one"},
    {"snapshot/000001/shard-07.hgs", 0, 80, 0xee, NOTHING, 3, "offset 64: WRONG: a damaged frame"},
    {"snapshot/000001/shard-07.hgs", 0, 70, 0xee, NOTHING, 3, "offset 64: WRONG: a damaged frame"},
    {LOG, 4000, 0, 0, NOTHING, 3, "offset 0: WRONG: file header is damaged"},
    {LOG, 0, 100, 0xee, NOTHING, 3, "offset 0: WRONG: file header is damaged"},
    {LOG, 0, 57, 1, LOG_SUM, 3, "offset 4096: WRONG: does not chain"},
    {LOG, 0, 4096 + 49, 1, GROUP_SUM, 3, "offset 8192: WRONG: does not chain on what stands before it"},
    {LOG, 4096 + 2048, 0, 0, NOTHING, 3, "offset 4096: WRONG: payload is damaged"},
    {LOG, 4096 + 40, 0, 0, NOTHING, 3, "offset 4096: WRONG: neither a group nor zeros"},
    {LOG, 0, 4096 + 20, 2, GROUP_SUM, 3,
     "WRONG: records and group header disagree"}, /* one more than it has */
    {LOG, 0, 4096 + 32, 10, GROUP_SUM, 3, "WRONG: records and group header disagree"},
    {LOG, 0, 4096 + 32, 80, GROUP_SUM, 3, "WRONG: records and group header disagree"},
    {LOG, 0, 4096 + 64, 0xee, PAYLOAD_SUM, 3, "offset 4160: WRONG: records and group header disagree"},
    {LOG, 0, 4096 + 68, 99, PAYLOAD_SUM, 3, "offset 4160: WRONG: records and group header disagree"},
    {LOG, 0, 4096 + 68, 0, PAYLOAD_SUM, 3, "offset 4160: WRONG: records and group header disagree"},
    {"snapshot/000001/shard-07.hgs", 0, 316, 0x77, TRAILER_SUM, 3, "WRONG: trailer counts other frames"},
};

Test(inspect, what_is_wrong_in_a_file_is_named_with_its_place)
{
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        struct buf b = {0};
        spoil(&spoilt[i], &b);
        expect_said(buf_slice(&b), base_of(spoilt[i].file), (struct inspect_options){0}, spoilt[i].code,
                    spoilt[i].says);
        buf_free(&b);
    }
}

Test(inspect, a_log_file_is_known_by_its_name_when_its_header_is_gone)
{
    static uint8_t zeros[8192];
    struct buf b = {0};
    expect_said(slice_of(NULL, 0), "000002-00-000003.hgl", (struct inspect_options){0}, 0,
                "prepared but not used");
    expect_said(slice_of(zeros, 100), "000002-00-000003.hgl", (struct inspect_options){0}, 0,
                "prepared but not used");
    expect_said(slice_of(zeros, sizeof zeros), "000002-00-000003.hgl", (struct inspect_options){0}, 0,
                "offset 4096: zeros up to the end, 8192");
    expect_said(slice_of(zeros, sizeof zeros), "zeros", (struct inspect_options){0}, 65,
                "not a file of a hourglass");
    expect_said(slice_of(zeros, sizeof zeros), "hgl", (struct inspect_options){0}, 65,
                "not a file of a hourglass");
    read_golden(LOG, &b);
    memmove(b.p + 8192, b.p + 4096, b.n - 8192);
    memset(b.p + 4096, 0, 4096);
    expect_said(buf_slice(&b), base_of(LOG), (struct inspect_options){0}, 3,
                "offset 4096: WRONG: zeros before a group");
    buf_free(&b);
}

Test(inspect, two_trailers_are_one_too_many)
{
    struct buf b = {0};
    read_golden("snapshot/000001/shard-07.hgs", &b);
    memcpy(b.p + b.n, b.p + b.n - 28, 28);
    b.n += 28;
    expect_said(buf_slice(&b), "shard-07.hgs", (struct inspect_options){0}, 3,
                "no trailer, or more than one");
    buf_free(&b);
}

static void expect_said_of(const char *path, struct inspect_options options, int code, const char *says)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    cr_expect_eq(inspect_file(path, &options, out), code, "%s", path);
    fclose(out);
    cr_expect_not_null(strstr(text, says), "%s: %s in\n%s", path, says, text);
    free(text);
}

Test(inspect, records_are_shown_with_what_their_kind_says)
{
    struct inspect_options all = {.records = true}, find = {.find = "nobody wrote this"};
    expect_said_of(GOLDEN "log/000001-00-000001.hgl", all, 0,
                   "definitions shard 3 lsn 1, 20 bytes, version 1");
    expect_said_of(GOLDEN "log/000001-00-000001.hgl", all, 0, "event shard 7");
    expect_said_of(GOLDEN "log/000001-00-000001.hgl", find, 0, "log file, format 1");
    expect_said_of(GOLDEN "hourglass.id", find, 0, "identity, format 1");
}

Test(inspect, what_cannot_be_read_or_repaired_says_why)
{
    struct inspect_options look = {0}, repair = {.repair = true};
    char directory[] = "/tmp/hourglass-test-XXXXXX", path[100];
    expect_said_of("/nonexistent/000001-00-000001.hgl", look, 74, "No such file");
    expect_said_of("/", look, 74, "Is a directory");
    expect_said_of("/nonexistent/000001-00-000001.hgl", repair, 65, "only log files can be repaired");
    expect_said_of(GOLDEN "hourglass.id", repair, 65, "only log files can be repaired");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/log/000001-00-000001.hgl", directory);
    fclose(fopen(path, "wb"));
    expect_said_of(path, repair, 65, "not in the folder log/ of a data directory");
    unlink(path);
    snprintf(path, sizeof path, "%s/log", directory);
    rmdir(path);
    snprintf(path, sizeof path, "%s/lock", directory);
    unlink(path);
    rmdir(directory);
}
