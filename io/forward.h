/* forward.h - the Fluent Forward protocol v1.5, server side, as a push parser: bytes in, entries out.
 * Owner: a connection. Memory: one assembly buffer per connection, which doubles as bytes really come (so below twice
 * FRAME_BYTES_MAX and a read) and goes when idle; an inflate buffer only while a gzip frame is open. Fails: with a close reason; then nothing of that frame was handed out.
 * All four modes, both entry forms, EventTime, float and integer times, str or bin entries, nil heartbeats.
 * A frame is complete before its first entry is handed out: a broken frame has no effect at all.
 * Source: Forward protocol v1.5; what real clients send is in tests/data/captures. */
#ifndef HG_IO_FORWARD_H
#define HG_IO_FORWARD_H

#include "core/model/event.h"

struct forward_entry {
    struct slice record; /* one MessagePack map, or whatever stands in its place when reject says so */
    int64_t time_ms;     /* of the entry, 0: none given */
    enum reject reject;  /* REJECT_NONE, BAD_ENTRY, BAD_TAG, BAD_TIME, TOO_LARGE, TOO_DEEP: park it */
    uint32_t decoded; /* 1 + what sink.decode was told as `nth` for this very record; 0: it was not asked */
};
struct forward_chunk {
    struct slice tag;
    struct slice chunk; /* empty: no ack wanted */
    bool chunk_is_bin;  /* echo it in the form it came */
    uint32_t entries;
};

/* X(name, text) */
#define FORWARD_CLOSE_REASONS(X)                                                                             \
    X(NONE, "none")                                                                                          \
    X(NOT_FORWARD, "not_forward")                                                                            \
    X(BAD_MSGPACK, "bad_msgpack")                                                                            \
    X(TOO_DEEP, "too_deep")                                                                                  \
    X(FRAME_TOO_LARGE, "frame_too_large")                                                                    \
    X(BAD_OPTION, "bad_option")                                                                              \
    X(BAD_CHUNK, "bad_chunk")                                                                                \
    X(BAD_ENTRIES, "bad_entries")                                                                            \
    X(BAD_COMPRESSION, "bad_compression")                                                                    \
    X(INFLATED_TOO_LARGE, "inflated_too_large")                                                              \
    X(UNSUPPORTED, "unsupported")                                                                            \
    X(HANDSHAKE, "handshake")                                                                                \
    X(HANDSHAKE_LATE, "handshake_late") /* these three are said by whoever holds the connection */           \
    X(HALF_FRAME, "half_frame")                                                                              \
    X(BUFFERS_FULL, "buffers_full")
enum forward_close {
#define X(name, text) FORWARD_CLOSE_##name,
    FORWARD_CLOSE_REASONS(X)
#undef X
        FORWARD_CLOSE_COUNT
};
const char *forward_close_text(enum forward_close c);

/* Large assembly buffers that no frame needs just now, for the next connection that does: growing one anew costs two
 * copies of the frame. Owner: a thread, all of whose connections share them; zero-initialise. */
enum { FORWARD_SPARES = 8, FORWARD_SPARE_BYTES = 1 << 20 };
struct forward_spares {
    struct buf list[FORWARD_SPARES];
    uint32_t count;
};
void forward_spares_free(struct forward_spares *s);

struct forward_sink {
    void *self;
    /* Frame begins, its entries, frame ends. entry slices stay good until frame_end returns.
     * frame_begin may answer false: "not now" (no room): the parser stops, and forward_resume goes on. */
    bool (*frame_begin)(void *self, const struct forward_chunk *c);
    void (*entry)(void *self, const struct forward_entry *e);
    void (*frame_end)(void *self, const struct forward_chunk *c);
    void (*reply)(void *self, const void *p, size_t n); /* handshake answers; one write each */
    /* May be NULL. Packed entries only, before frame_begin, so that they are walked once: decode the record at the front
     * of `bytes` and keep the result as the nth of this frame (from 0; then all of an earlier frame is void). Returns its
     * length; 0: not now, or not like this, and the record is then judged by the parser. */
    uint32_t (*decode)(void *self, uint32_t nth, struct slice bytes, int64_t time_ms);
    struct forward_spares *spares; /* may be NULL */
};

struct forward;
struct forward_security { /* NULL in forward_create: none */
    struct slice shared_key, hostname;
};
struct forward *forward_create(const struct forward_sink *sink, const struct forward_security *security,
                               const uint8_t nonce[16]);
void forward_destroy(struct forward *f);
void forward_start(struct forward *f); /* sends HELO when there is a key */
/* Any number of bytes, cut anywhere. FORWARD_CLOSE_NONE: go on. */
enum forward_close forward_feed(struct forward *f, const uint8_t *p, size_t n);
enum forward_close forward_resume(struct forward *f); /* after a "not now" */
bool forward_stopped(const struct forward *f);        /* waits for forward_resume; feed must not be called */
bool forward_idle(const struct forward *f);           /* no half frame is held */
bool forward_greeted(const struct forward *f);        /* the handshake is over, or none is asked for */
size_t forward_memory(const struct forward *f);

#endif
