/* The loop on io_uring: multishot accept and receive, one ring of provided buffers, completions deferred to the wait.
 *
 * user_data   63..56 kind | 55..32 generation | 31..0 slot      for sockets
 *             63..56 kind | 55..0 address of a loop_write       for writes
 *
 * 1. A slot is given back only when no operation refers to it: `ops` counts submissions without final completion.
 * 2. A receive buffer is lent for one call of on_bytes, or held by its paused socket; else the kernel has it.
 * 3. A multishot operation is over when a completion comes without F_MORE, whatever its result says.
 * Source: notes on io_uring, rules 24-30. */
#include "io/loop_impl.h"
#include "core/base/check.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SQ_ENTRIES = 256, CQ_ENTRIES = 4096, BUFFER_GROUP = 1, HELD_NONE = -1 };
enum op_kind { OP_ACCEPT = 1, OP_RECEIVE, OP_SEND, OP_WRITE, OP_WAKE, OP_CANCEL };

struct slot {
    struct loop_socket *s; /* NULL: free */
    uint32_t generation;
    uint32_t ops; /* submitted and not finally completed */
    uint32_t next_free;
    bool listener, armed, paused, cancelling, ended, end_told, closing, starved, revisit;
    int16_t held_first, held_last; /* buffers that came while paused */
};

struct uring_loop {
    struct loop base;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory; /* RECEIVE_BUFFERS x RECEIVE_BYTES, touched as they are used */
    uint32_t buffers_free;
    int16_t held_next[RECEIVE_BUFFERS];
    uint32_t held_bytes[RECEIVE_BUFFERS];
    struct slot *slots;
    uint32_t slot_count, slot_free; /* slot_free: UINT32_MAX none */
    uint32_t revisit_count;         /* slots that want to be looked at without a completion */
    uint64_t accept_rest_until_us;
    uint64_t wake_value;
    struct portion portion; /* of this turn */
};

static struct uring_loop *self_of(struct loop *l) { return (struct uring_loop *)l; }

static uint64_t tag(enum op_kind kind, uint32_t slot, uint32_t generation)
{
    return (uint64_t)kind << 56 | (uint64_t)(generation & 0xffffff) << 32 | slot;
}

static struct io_uring_sqe *next_sqe(struct uring_loop *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (unlikely(!sqe)) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
        CHECK(sqe != NULL);
    }
    return sqe;
}

/* ---- slots ----------------------------------------------------------------------------- */

static uint32_t slot_take(struct uring_loop *u, struct loop_socket *s)
{
    if (u->slot_free == UINT32_MAX) {
        uint32_t more = u->slot_count ? u->slot_count : 16;
        u->slots = realloc(u->slots, (u->slot_count + more) * sizeof *u->slots);
        CHECK(u->slots != NULL);
        for (uint32_t i = u->slot_count; i < u->slot_count + more; i++)
            u->slots[i] = (struct slot){.next_free = i + 1 < u->slot_count + more ? i + 1 : UINT32_MAX};
        u->slot_free = u->slot_count;
        u->slot_count += more;
    }
    uint32_t index = u->slot_free;
    struct slot *slot = &u->slots[index];
    u->slot_free = slot->next_free;
    *slot = (struct slot){
        .s = s, .generation = slot->generation + 1, .held_first = HELD_NONE, .held_last = HELD_NONE};
    s->impl = (void *)(uintptr_t)(index + 1);
    return index;
}

static uint32_t index_of(const struct loop_socket *s) { return (uint32_t)(uintptr_t)s->impl - 1; }

static void revisit(struct uring_loop *u, struct slot *slot)
{
    if (slot->revisit) return;
    slot->revisit = true;
    u->revisit_count++;
}

/* ---- receive buffers ------------------------------------------------------------------- */

static uint8_t *buffer_at(struct uring_loop *u, int id) { return u->memory + (size_t)id * RECEIVE_BYTES; }

static void buffer_return(struct uring_loop *u, int id)
{
    io_uring_buf_ring_add(u->buffers, buffer_at(u, id), RECEIVE_BYTES, (unsigned short)id,
                          RECEIVE_BUFFERS - 1, 0);
    io_uring_buf_ring_advance(u->buffers, 1);
    u->buffers_free++;
}

static void hold(struct uring_loop *u, struct slot *slot, int id, uint32_t bytes)
{
    u->held_next[id] = HELD_NONE;
    u->held_bytes[id] = bytes;
    if (slot->held_first == HELD_NONE)
        slot->held_first = (int16_t)id;
    else
        u->held_next[slot->held_last] = (int16_t)id;
    slot->held_last = (int16_t)id;
}

static int unhold(struct uring_loop *u, struct slot *slot)
{
    int id = slot->held_first;
    slot->held_first = u->held_next[id];
    return id;
}

/* ---- submitting ------------------------------------------------------------------------ */

static void arm(struct uring_loop *u, uint32_t index)
{
    struct slot *slot = &u->slots[index];
    struct io_uring_sqe *sqe = next_sqe(u);
    if (slot->listener) {
        io_uring_prep_multishot_accept(sqe, slot->s->fd, NULL, NULL, SOCK_CLOEXEC);
        io_uring_sqe_set_data64(sqe, tag(OP_ACCEPT, index, slot->generation));
    } else {
        io_uring_prep_recv_multishot(sqe, slot->s->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
        io_uring_sqe_set_data64(sqe, tag(OP_RECEIVE, index, slot->generation));
    }
    slot->armed = true;
    slot->starved = false;
    slot->ops++;
}

static void cancel(struct uring_loop *u, uint32_t index, uint64_t target)
{
    struct io_uring_sqe *sqe = next_sqe(u);
    io_uring_prep_cancel64(sqe, target, 0);
    io_uring_sqe_set_data64(sqe, tag(OP_CANCEL, index, u->slots[index].generation));
    u->slots[index].ops++;
}

static void disarm(struct uring_loop *u, uint32_t index)
{
    struct slot *slot = &u->slots[index];
    if (!slot->armed || slot->cancelling) return;
    slot->cancelling = true;
    cancel(u, index, tag(slot->listener ? OP_ACCEPT : OP_RECEIVE, index, slot->generation));
}

/* Arms what should be armed and is not. */
static void rearm(struct uring_loop *u, uint32_t index)
{
    struct slot *slot = &u->slots[index];
    if (slot->armed || slot->paused || slot->ended || slot->closing || slot->held_first != HELD_NONE) return;
    bool rest = slot->listener ? loop_now_us() < u->accept_rest_until_us : slot->starved && !u->buffers_free;
    if (rest)
        revisit(u, slot);
    else
        arm(u, index);
}

static void uring_listen(struct loop *l, struct loop_socket *s)
{
    struct uring_loop *u = self_of(l);
    uint32_t index = slot_take(u, s);
    u->slots[index].listener = true;
    arm(u, index);
}

static void uring_receive(struct loop *l, struct loop_socket *s)
{
    arm(self_of(l), slot_take(self_of(l), s));
}

static void uring_pause(struct loop *l, struct loop_socket *s)
{
    struct uring_loop *u = self_of(l);
    u->slots[index_of(s)].paused = true;
    disarm(u, index_of(s));
}

static void uring_resume(struct loop *l, struct loop_socket *s)
{
    struct slot *slot = &self_of(l)->slots[index_of(s)];
    slot->paused = false;
    revisit(self_of(l), slot);
}

static void uring_send(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t n)
{
    struct uring_loop *u = self_of(l);
    uint32_t index = index_of(s);
    struct io_uring_sqe *sqe = next_sqe(u);
    io_uring_prep_send(sqe, s->fd, p, n, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, tag(OP_SEND, index, u->slots[index].generation));
    u->slots[index].ops++;
}

static void uring_close(struct loop *l, struct loop_socket *s)
{
    struct uring_loop *u = self_of(l);
    uint32_t index = index_of(s);
    struct slot *slot = &u->slots[index];
    if (slot->closing) return;
    slot->closing = true;
    disarm(u, index);
    if (slot->ops)
        cancel(u, index,
               tag(OP_SEND, index, slot->generation)); /* none there: it says so, and that is fine */
    revisit(u, slot);
}

static void uring_write(struct loop *l, struct loop_write *w)
{
    struct io_uring_sqe *sqe = next_sqe(self_of(l));
    io_uring_prep_write(sqe, w->fd, w->p, (unsigned)w->n, w->offset);
    io_uring_sqe_set_data64(sqe, (uint64_t)OP_WRITE << 56 | (uint64_t)(uintptr_t)w);
}

static void arm_wake(struct uring_loop *u)
{
    struct io_uring_sqe *sqe = next_sqe(u);
    io_uring_prep_read(sqe, u->base.event_fd, &u->wake_value, sizeof u->wake_value, 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)OP_WAKE << 56);
}

/* ---- completing ------------------------------------------------------------------------ */

static void finish_if_unused(struct uring_loop *u, uint32_t index)
{
    struct slot *slot = &u->slots[index];
    if (!slot->closing || slot->ops) return;
    while (slot->held_first != HELD_NONE) buffer_return(u, unhold(u, slot));
    struct loop_socket *s = slot->s;
    if (slot->revisit) u->revisit_count--;
    slot->revisit = false;
    slot->s = NULL;
    slot->next_free = u->slot_free;
    u->slot_free = index;
    close(s->fd);
    s->fd = -1;
    s->on_closed(s);
}

/* slots may move while a callback runs (it may add sockets): indices, not pointers, across on_*. */
static void deliver(struct uring_loop *u, uint32_t index, int id, uint32_t bytes)
{
    struct loop_socket *s = u->slots[index].s;
    portion_add(&u->portion, bytes);
    s->on_bytes(s, buffer_at(u, id), bytes);
    buffer_return(u, id);
}

static void deliver_end(struct uring_loop *u, uint32_t index)
{
    struct loop_socket *s = u->slots[index].s;
    if (u->slots[index].end_told) return;
    u->slots[index].end_told = true;
    s->on_bytes(s, NULL, 0);
}

static void on_receive(struct uring_loop *u, uint32_t index, int32_t result, uint32_t flags)
{
    struct slot *slot = &u->slots[index];
    bool quiet = slot->paused || slot->closing || slot->held_first != HELD_NONE;
    int id = flags & IORING_CQE_F_BUFFER ? (int)(flags >> IORING_CQE_BUFFER_SHIFT) : HELD_NONE;
    if (id != HELD_NONE) u->buffers_free--;
    if (result > 0 && quiet)
        hold(u, slot, id, (uint32_t)result);
    else if (result > 0)
        deliver(u, index, id, (uint32_t)result);
    else if (id != HELD_NONE)
        buffer_return(u, id);
    slot = &u->slots[index];
    if (result == -ENOBUFS) slot->starved = true;
    if (result == 0 || (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR)) {
        slot->ended = true;
        if (quiet)
            revisit(u, slot);
        else if (!slot->closing)
            deliver_end(u, index);
    }
}

static void on_accept(struct uring_loop *u, uint32_t index, int32_t result)
{
    struct slot *slot = &u->slots[index];
    if (result >= 0 && slot->closing)
        close(result);
    else if (result >= 0)
        slot->s->on_accept(slot->s, result);
    else if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM)
        u->accept_rest_until_us = loop_now_us() + ACCEPT_REST_US;
}

static void on_socket(struct uring_loop *u, enum op_kind kind, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    CHECK(index < u->slot_count);
    struct slot *slot = &u->slots[index];
    CHECK(slot->s && (slot->generation & 0xffffff) == ((cqe->user_data >> 32) & 0xffffff)); /* rule 1 */
    bool last = !(cqe->flags & IORING_CQE_F_MORE);
    if (last) slot->ops--;
    if (last && (kind == OP_RECEIVE || kind == OP_ACCEPT)) slot->armed = slot->cancelling = false;
    if (kind == OP_RECEIVE) on_receive(u, index, cqe->res, cqe->flags);
    if (kind == OP_ACCEPT) on_accept(u, index, cqe->res);
    if (kind == OP_SEND && !slot->closing) slot->s->on_sent(slot->s, cqe->res);
    rearm(u, index);
    finish_if_unused(u, index);
}

/* Sockets that want something without a completion: resumed, starved, resting or closed. */
static void visit(struct uring_loop *u)
{
    uint32_t left = u->revisit_count;
    for (uint32_t i = 0; left && i < u->slot_count; i++) {
        if (!u->slots[i].revisit) continue;
        left--;
        u->slots[i].revisit = false;
        u->revisit_count--;
        while (u->slots[i].held_first != HELD_NONE && !u->slots[i].paused && !u->slots[i].closing) {
            int id = unhold(u, &u->slots[i]);
            deliver(u, i, id, u->held_bytes[id]);
        }
        struct slot *slot = &u->slots[i];
        if (slot->ended && !slot->paused && !slot->closing) deliver_end(u, i);
        rearm(u, i);
        finish_if_unused(u, i);
    }
}

static void on_completion(struct uring_loop *u, const struct io_uring_cqe *cqe)
{
    enum op_kind kind = (enum op_kind)(cqe->user_data >> 56);
    if (kind == OP_WRITE) {
        struct loop_write *w = (struct loop_write *)(uintptr_t)(cqe->user_data & 0xffffffffffffff);
        w->result = cqe->res;
        w->done(w, cqe->res);
    } else if (kind == OP_WAKE) {
        arm_wake(u);
    } else {
        on_socket(u, kind, cqe);
    }
}

static uint32_t reap(struct uring_loop *u)
{
    uint32_t handled = 0;
    struct io_uring_cqe *cqe;
    while (!portion_spent(&u->portion) && io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct io_uring_cqe copy = {.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags};
        io_uring_cqe_seen(&u->ring, cqe);
        on_completion(u, &copy);
        handled++;
    }
    CHECK(*u->ring.cq.koverflow == 0); /* a lost completion would be a lost ack or a leaked buffer */
    return handled;
}

static void wait_for(struct uring_loop *u, uint32_t wait_us)
{
    if (u->revisit_count && wait_us > 1000) wait_us = 1000;
    if (!wait_us || io_uring_cq_ready(&u->ring) || !loop_wait_begin(&u->base)) {
        io_uring_submit_and_get_events(&u->ring);
        return;
    }
    struct __kernel_timespec t = {wait_us / 1000000, (long long)(wait_us % 1000000) * 1000};
    struct io_uring_cqe *cqe;
    io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, wait_us == UINT32_MAX ? NULL : &t, NULL);
    loop_wait_end(&u->base);
}

static uint32_t uring_run(struct loop *l, uint32_t wait_us)
{
    struct uring_loop *u = self_of(l);
    u->portion = (struct portion){0};
    if (u->revisit_count) visit(u);
    wait_for(u, u->portion.bytes ? 0 : wait_us);
    return reap(u) + (u->portion.bytes != 0);
}

/* ---- making and unmaking ---------------------------------------------------------------- */

/* Only what the loop uses may be submitted, and the socket's own flags. */
static int restrict_ring(struct io_uring *ring)
{
    static const uint8_t allowed[] = {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND,
                                      IORING_OP_WRITE,  IORING_OP_READ, IORING_OP_ASYNC_CANCEL};
    struct io_uring_restriction list[sizeof allowed + 1] = {0};
    for (size_t i = 0; i < sizeof allowed; i++) {
        list[i].opcode = IORING_RESTRICTION_SQE_OP;
        list[i].sqe_op = allowed[i];
    }
    list[sizeof allowed].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[sizeof allowed].sqe_flags = IOSQE_BUFFER_SELECT;
    /* The library's calls for these two are not exported by every build of it. */
    if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, list, sizeof allowed + 1))
        return -errno;
    return syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) ? -errno : 0;
}

static int make_ring(struct io_uring *ring)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                                         IORING_SETUP_R_DISABLED,
                                .cq_entries = CQ_ENTRIES};
    int r = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);
    if (r == 0 && !(p.features & IORING_FEAT_NODROP)) r = -EOPNOTSUPP;
    return r;
}

static int make_buffers(struct uring_loop *u)
{
    size_t ring_bytes = RECEIVE_BUFFERS * sizeof(struct io_uring_buf);
    u->buffers = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u->memory = mmap(NULL, (size_t)RECEIVE_BUFFERS * RECEIVE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (u->buffers == MAP_FAILED || u->memory == MAP_FAILED) return -ENOMEM;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)u->buffers, .ring_entries = RECEIVE_BUFFERS, .bgid = BUFFER_GROUP};
    int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (r) return r;
    io_uring_buf_ring_init(u->buffers);
    for (int i = 0; i < RECEIVE_BUFFERS; i++) buffer_return(u, i);
    return 0;
}

static void uring_destroy(struct loop *l)
{
    struct uring_loop *u = self_of(l);
    io_uring_queue_exit(&u->ring);
    munmap(u->buffers, RECEIVE_BUFFERS * sizeof(struct io_uring_buf));
    munmap(u->memory, (size_t)RECEIVE_BUFFERS * RECEIVE_BYTES);
    free(u->slots);
    free(u);
}

static const struct loop_ops uring_ops = {"uring",     uring_destroy, uring_listen, uring_receive,
                                          uring_pause, uring_resume,  uring_send,   uring_close,
                                          uring_write, uring_run};

struct loop *loop_uring_create(struct buf *why_not)
{
    struct uring_loop *u = aligned_alloc(64, sizeof *u);
    CHECK(u != NULL);
    memset(u, 0, sizeof *u);
    u->slot_free = UINT32_MAX;
    int r = make_ring(&u->ring);
    if (r < 0) {
        buf_printf(why_not, "io_uring: %s", strerror(-r));
        free(u);
        return NULL;
    }
    bool ready = loop_init(&u->base, &uring_ops);
    r = ready ? make_buffers(u) : -errno;
    if (r == 0) r = restrict_ring(&u->ring);
    if (r < 0) {
        buf_printf(why_not, "io_uring: %s", strerror(-r));
        io_uring_queue_exit(&u->ring);
        if (ready) close(u->base.event_fd);
        if (u->memory && u->memory != MAP_FAILED) munmap(u->memory, (size_t)RECEIVE_BUFFERS * RECEIVE_BYTES);
        free(u);
        return NULL;
    }
    arm_wake(u);
    return &u->base;
}
