/* forward_out.c - one blocking socket. At most IN_FLIGHT_MAX acks of some 40 bytes can lie unread, far less than a socket
 * buffer holds, so that writing while they arrive cannot lock both sides. Acks may come in any order. */
#include "tools/hourglass/forward_out.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/msgpack.h"
#include "tools/hourglass/cli.h"
#include "tools/hourglass/net.h"

enum {
    CHUNK_BYTES = 256 << 10,
    CHUNK_ENTRIES = 1000,
    IN_FLIGHT_MAX = 32,
    ACK_TIMEOUT_S = 60,
    CHUNK_ID_BYTES = 24
};

struct forward_out {
    int fd;
    const char *tag;
    struct buf entries, frame, in;
    uint32_t count;                  /* entries of the open chunk */
    uint64_t run, next_chunk;        /* chunk id = both, as hexadecimal text */
    uint64_t waiting[IN_FLIGHT_MAX]; /* number of the chunk + 1; 0: free */
    uint32_t entries_of[IN_FLIGHT_MAX];
    uint32_t in_flight;
    uint64_t acked;
};

struct forward_out *forward_out_open(const char *url, const char *tag)
{
    struct forward_out *f = calloc(1, sizeof *f);
    if (!f || getrandom(&f->run, sizeof f->run, 0) != sizeof f->run) die(EXIT_FAILED, "no memory");
    f->fd = net_dial_or_die(url, ACK_TIMEOUT_S, "ingest");
    f->tag = tag;
    return f;
}

void forward_out_close(struct forward_out *f)
{
    close(f->fd);
    buf_free(&f->entries);
    buf_free(&f->frame);
    buf_free(&f->in);
    free(f);
}

uint64_t forward_out_acked(const struct forward_out *f) { return f->acked; }

static void chunk_id(const struct forward_out *f, uint64_t number, char out[CHUNK_ID_BYTES + 1])
{
    snprintf(out, CHUNK_ID_BYTES + 1, "%012llx%012llx", (unsigned long long)(f->run & 0xffffffffffff),
             (unsigned long long)(number & 0xffffffffffff));
}

static void take_ack(struct forward_out *f, struct slice item)
{
    char id[CHUNK_ID_BYTES + 1];
    struct mp m = mp_of(item);
    if (mp_map(&m) != 1 || !slice_is(mp_str(&m), "ack")) die(EXIT_FAILED, "the server refused a chunk");
    struct slice ack = mp_str(&m);
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
        if (!f->waiting[i]) continue;
        chunk_id(f, f->waiting[i] - 1, id);
        if (!slice_is(ack, id)) continue;
        f->acked += f->entries_of[i];
        f->waiting[i] = 0;
        f->in_flight--;
        return;
    }
    die(EXIT_FAILED, "the server acknowledged a chunk that was not sent");
}

static void take_acks(struct forward_out *f)
{
    size_t used = 0;
    while (used < f->in.n) {
        struct mp m = mp_of(slice_of(f->in.p + used, f->in.n - used));
        struct slice item = mp_item(&m);
        if (m.err == MP_SHORT) break;
        if (m.err != MP_OK) die(EXIT_FAILED, "the server's answer is not MessagePack");
        take_ack(f, item);
        used += item.n;
    }
    if (used) memmove(f->in.p, f->in.p + used, f->in.n - used);
    f->in.n -= used;
}

bool forward_out_wait(struct forward_out *f, uint32_t in_flight_max)
{
    while (f->in_flight > in_flight_max) {
        buf_reserve(&f->in, 4096);
        ssize_t n = recv(f->fd, f->in.p + f->in.n, f->in.cap - f->in.n, 0);
        if (n < 0 && errno == EINTR) {
            if (interrupted) return false;
            continue;
        }
        if (n == 0) die(EXIT_UNREACHABLE, "the server closed the ingest connection");
        if (n < 0 && errno == EAGAIN) die(EXIT_FAILED, "no acknowledgement within %d s", ACK_TIMEOUT_S);
        if (n < 0) die(EXIT_UNREACHABLE, "ingest connection: %s", strerror(errno));
        f->in.n += (size_t)n;
        take_acks(f);
    }
    return true;
}

static void build_frame(struct forward_out *f)
{
    char id[CHUNK_ID_BYTES + 1];
    msgpack_packer pk;
    chunk_id(f, f->next_chunk, id);
    buf_clear(&f->frame);
    msgpack_packer_init(&pk, &f->frame, buf_msgpack_write);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_str_with_body(&pk, f->tag, strlen(f->tag));
    msgpack_pack_bin_with_body(&pk, f->entries.p, f->entries.n);
    msgpack_pack_map(&pk, 2);
    msgpack_pack_str_with_body(&pk, "size", 4);
    msgpack_pack_uint32(&pk, f->count);
    msgpack_pack_str_with_body(&pk, "chunk", 5);
    msgpack_pack_str_with_body(&pk, id, CHUNK_ID_BYTES);
}

bool forward_out_flush(struct forward_out *f)
{
    if (f->count == 0) return true;
    if (!forward_out_wait(f, IN_FLIGHT_MAX - 1)) return false;
    uint32_t slot = 0;
    while (f->waiting[slot]) slot++;
    build_frame(f);
    f->waiting[slot] = ++f->next_chunk;
    f->entries_of[slot] = f->count;
    f->in_flight++;
    f->count = 0;
    buf_clear(&f->entries);
    if (net_send(f->fd, f->frame.p, f->frame.n)) return true;
    if (interrupted) return false;
    die(EXIT_UNREACHABLE, "ingest connection: %s", strerror(errno));
}

static void pack_time(msgpack_packer *pk, int64_t entry_ms)
{
    uint8_t event_time[8];
    if (entry_ms <= 0 || entry_ms / 1000 > UINT32_MAX) {
        msgpack_pack_int(pk, 0);
        return;
    }
    store_be32(event_time, (uint32_t)(entry_ms / 1000));
    store_be32(event_time + 4, (uint32_t)(entry_ms % 1000 * 1000000));
    msgpack_pack_ext_with_body(pk, event_time, sizeof event_time, 0);
}

bool forward_out_entry(struct forward_out *f, int64_t entry_ms, struct slice record)
{
    msgpack_packer pk;
    if (f->count > 0 && f->entries.n + record.n > CHUNK_BYTES && !forward_out_flush(f)) return false;
    msgpack_packer_init(&pk, &f->entries, buf_msgpack_write);
    msgpack_pack_array(&pk, 2);
    pack_time(&pk, entry_ms);
    buf_put_slice(&f->entries, record);
    return ++f->count < CHUNK_ENTRIES || forward_out_flush(f);
}
