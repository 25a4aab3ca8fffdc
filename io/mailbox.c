#include "io/mailbox.h"
#include "core/base/check.h"

#include <sys/mman.h>

enum { HEADER = 8 };
#define SKIP UINT32_MAX

bool mailbox_create(struct mailbox *m, size_t capacity)
{
    CHECK(capacity >= 64 && (capacity & (capacity - 1)) == 0);
    memset(m, 0, sizeof *m);
    void *p =
        mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    m->bytes = p;
    m->capacity = capacity;
    return true;
}

void mailbox_destroy(struct mailbox *m)
{
    if (m->bytes) munmap(m->bytes, m->capacity);
    m->bytes = NULL;
}

static uint8_t *at(const struct mailbox *m, uint64_t index) { return m->bytes + (index & (m->capacity - 1)); }

static bool has_room(struct mailbox *m, uint64_t bytes)
{
    if (m->tail + bytes - m->head_seen <= m->capacity) return true;
    m->head_seen = atomic_load_explicit(&m->released, memory_order_acquire);
    return m->tail + bytes - m->head_seen <= m->capacity;
}

uint8_t *mailbox_reserve(struct mailbox *m, uint32_t kind, size_t n)
{
    CHECK(n <= mailbox_record_max(m));
    uint64_t need = HEADER + ((n + 7) & ~(uint64_t)7);
    uint64_t to_end = m->capacity - (m->tail & (m->capacity - 1));
    uint64_t skip = need > to_end ? to_end : 0;
    if (!has_room(m, skip + need)) {
        mailbox_publish(m);
        return NULL;
    }
    if (skip) store_le32(at(m, m->tail), SKIP);
    uint8_t *record = at(m, m->tail + skip);
    store_le32(record, (uint32_t)n);
    store_le32(record + 4, kind);
    m->pending = skip + need;
    return record + HEADER;
}

void mailbox_commit(struct mailbox *m)
{
    m->tail += m->pending;
    m->pending = 0;
}

bool mailbox_publish(struct mailbox *m)
{
    if (atomic_load_explicit(&m->published, memory_order_relaxed) == m->tail) return false;
    atomic_store_explicit(&m->published, m->tail, memory_order_release);
    return true;
}

bool mailbox_empty(struct mailbox *m)
{
    if (m->head != m->published_seen) return false;
    m->published_seen = atomic_load_explicit(&m->published, memory_order_acquire);
    return m->head == m->published_seen;
}

bool mailbox_next(struct mailbox *m, uint32_t *kind, struct slice *bytes)
{
    if (mailbox_empty(m)) return false;
    uint8_t *record = at(m, m->head);
    if (load_le32(record) == SKIP) {
        m->head += m->capacity - (m->head & (m->capacity - 1));
        record = at(m, m->head);
    }
    *bytes = slice_of(record + HEADER, load_le32(record));
    *kind = load_le32(record + 4);
    m->head += HEADER + (((uint64_t)bytes->n + 7) & ~(uint64_t)7);
    return true;
}

void mailbox_release(struct mailbox *m)
{
    if (atomic_load_explicit(&m->released, memory_order_relaxed) != m->head)
        atomic_store_explicit(&m->released, m->head, memory_order_release);
}
