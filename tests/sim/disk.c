#include "tests/sim/disk.h"
#include "core/base/hash.h"
#include "tests/sim/pages.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMES_MAX = 1024, HANDLES_MAX = 512, PATH_BYTES = 80 };

struct inode {
    struct pages cache, platter;
    uint8_t *dirty; /* by page, a bit for every sector: written since the last sync */
    uint32_t dirty_count;
    uint64_t size, durable_size;
    uint64_t truncated; /* lowest length it was cut to since the last sync; UINT64_MAX: none */
    bool any_dirty;
};

struct name {
    char path[PATH_BYTES];
    struct inode *inode; /* NULL: a folder */
};
struct names {
    struct name list[NAMES_MAX];
    uint32_t count;
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_RENAME };
struct change { /* of names, not synced yet */
    enum change_kind kind;
    char path[PATH_BYTES], to[PATH_BYTES];
    struct inode *inode;
};

struct handle {
    struct inode *inode;
    bool direct;
};

struct flight { /* an asynchronous write */
    struct inode *inode;
    uint64_t offset;
    const uint8_t *p;
    size_t n;
    enum disk_fault fault;
    void (*done)(void *owner, int64_t result);
    void *owner;
    struct flight *next;
};

struct fake {
    struct disk disk; /* first */
    struct names seen, durable;
    struct change changes[NAMES_MAX];
    uint32_t change_count;
    struct handle handles[HANDLES_MAX];
    struct flight *flights;
    uint32_t flight_count;
    enum disk_fault fault;
    uint32_t fault_in;  /* operations; 0: none is due */
    bool fault_of_logs; /* only asynchronous writes count */
    bool full, is_copy;
};

static struct fake *fake(struct disk *d) { return (struct fake *)d; }

/* ---- bytes ------------------------------------------------------------------------------------ */

static uint32_t page_count(uint64_t size) { return (uint32_t)((size + PAGE_BYTES - 1) / PAGE_BYTES); }

static void mark_dirty(struct inode *f, uint64_t at, size_t n)
{
    uint32_t count = page_count(at + n);
    if (count > f->dirty_count) {
        count += count / 4 + 16;
        f->dirty = realloc(f->dirty, count);
        CHECK(f->dirty != NULL);
        memset(f->dirty + f->dirty_count, 0, count - f->dirty_count);
        f->dirty_count = count;
    }
    for (uint64_t s = at / SECTOR; n && s <= (at + n - 1) / SECTOR; s++)
        f->dirty[s / PAGE_SECTORS] |= (uint8_t)(1u << s % PAGE_SECTORS);
    f->any_dirty = true;
}

static bool is_dirty(const struct inode *f, uint64_t sector)
{
    uint64_t page = sector / PAGE_SECTORS;
    return f->any_dirty && page < f->dirty_count && f->dirty[page] >> sector % PAGE_SECTORS & 1;
}

/* Pages from `from` on, or what is left of the first: clean. */
static void clean(struct inode *f, uint64_t from)
{
    uint64_t sector = (from + SECTOR - 1) / SECTOR, page = sector / PAGE_SECTORS;
    if (page >= f->dirty_count) return;
    f->dirty[page] &= (uint8_t)((1u << sector % PAGE_SECTORS) - 1);
    memset(f->dirty + page + 1, 0, f->dirty_count - page - 1);
    if (!from) f->any_dirty = false;
}

static void put_cache(struct inode *f, uint64_t at, const void *p, size_t n)
{
    pages_write(&f->cache, at, p, n);
    if (at + n > f->size) f->size = at + n;
    mark_dirty(f, at, n);
}

static void settle_truncation(struct inode *f)
{
    if (f->truncated != UINT64_MAX) pages_cut(&f->platter, f->truncated);
    f->truncated = UINT64_MAX;
}

/* Everything so far is on the platter. */
static void settle(struct inode *f)
{
    settle_truncation(f);
    for (uint32_t i = 0; f->any_dirty && i < f->dirty_count; i++)
        pages_take(&f->platter, &f->cache, i, f->dirty[i]);
    clean(f, 0);
    f->durable_size = f->size;
}

/* ---- what a power cut makes of a write that nobody was promised ------------------------------------ */

struct fate {
    uint32_t written, bad; /* percent of the sectors */
    uint32_t left;         /* torn: so many sectors, in order, then none; UINT32_MAX: in any order */
};

static struct fate choose_fate(size_t n)
{
    uint32_t how = chance_below(10);
    struct fate fate = {.written = how == 0 ? 0 : how < 3 ? 100 : chance_below(101), .left = UINT32_MAX};
    if (how > 6) fate = (struct fate){.written = 100, .left = chance_below((uint32_t)(n / SECTOR) + 1)};
    if (how && chance(25)) fate.bad = 20;
    return fate;
}

static void garble(struct inode *f, uint64_t at)
{
    uint8_t sector[SECTOR];
    uint32_t from = chance(50) ? 0 : chance_below(SECTOR);
    pages_read(&f->platter, at, sector, SECTOR);
    for (uint32_t i = from; i < SECTOR; i += 8) {
        uint64_t r = chance_u64();
        memcpy(sector + i, &r, SECTOR - i < 8 ? SECTOR - i : 8);
    }
    pages_write(&f->platter, at, sector, SECTOR);
}

static void decide_sector(struct inode *f, uint64_t at, const uint8_t *p, struct fate *fate)
{
    if (!fate->left) return;
    if (chance(fate->written)) pages_write(&f->platter, at, p, SECTOR);
    if (fate->bad && chance(fate->bad)) garble(f, at);
    if (fate->left != UINT32_MAX) fate->left--;
}

static void decide_sectors(struct inode *f, uint64_t at, const uint8_t *p, size_t n)
{
    struct fate fate = choose_fate(n);
    for (size_t i = 0; i + SECTOR <= n; i += SECTOR) decide_sector(f, at + i, p + i, &fate);
}

/* Of what lies in the cache only. */
static void decide_dirty(struct inode *f, uint64_t size)
{
    uint8_t sector[SECTOR];
    struct fate fate = choose_fate(size);
    for (uint64_t s = 0; f->any_dirty && s < (size + SECTOR - 1) / SECTOR; s++) {
        if (!is_dirty(f, s)) continue;
        pages_read(&f->cache, s * SECTOR, sector, SECTOR);
        decide_sector(f, s * SECTOR, sector, &fate);
    }
}

static void lose_cache(struct inode *f)
{
    bool longer = f->size > f->durable_size, grown = longer && chance(50);
    if (f->truncated != UINT64_MAX && chance(50)) {
        f->durable_size = f->truncated < f->durable_size ? f->truncated : f->durable_size;
        settle_truncation(f);
    }
    f->truncated = UINT64_MAX;
    uint64_t size = grown ? f->size : f->durable_size;
    decide_dirty(f, size);
    clean(f, 0);
    f->size = f->durable_size = size;
    pages_cut(&f->platter, size);
    pages_copy(&f->cache, &f->platter);
}

/* ---- names ------------------------------------------------------------------------------------- */

static struct name *find(struct names *n, const char *path)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (!strcmp(n->list[i].path, path)) return &n->list[i];
    return NULL;
}

static void add(struct names *n, const char *path, struct inode *inode)
{
    struct name *there = find(n, path);
    CHECK(n->count < NAMES_MAX && strlen(path) < PATH_BYTES);
    if (!there) there = &n->list[n->count++];
    strcpy(there->path, path);
    there->inode = inode;
}

static void drop(struct names *n, const char *path)
{
    struct name *there = find(n, path);
    if (there) memmove(there, there + 1, (size_t)(&n->list[--n->count] - there) * sizeof *there);
}

static void copy_names(struct names *to, const struct names *from)
{
    memcpy(to->list, from->list, from->count * sizeof *from->list);
    to->count = from->count;
}

static void apply(struct names *n, const struct change *c)
{
    if (c->kind == CHANGE_ADD) add(n, c->path, c->inode);
    if (c->kind == CHANGE_REMOVE) drop(n, c->path);
    if (c->kind == CHANGE_RENAME && find(n, c->path)) {
        drop(n, c->path);
        add(n, c->to, c->inode);
    }
}

static bool lies_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    if (!strcmp(folder, ".")) return slash == NULL;
    size_t n = strlen(folder);
    return slash && (size_t)(slash - path) == n && !memcmp(path, folder, n);
}

static void change(struct fake *f, enum change_kind kind, const char *path, const char *to,
                   struct inode *inode)
{
    CHECK(f->change_count < NAMES_MAX);
    struct change *c = &f->changes[f->change_count++];
    *c = (struct change){.kind = kind, .inode = inode};
    strcpy(c->path, path);
    if (to) strcpy(c->to, to);
    apply(&f->seen, c);
}

static void settle_folder(struct fake *f, const char *folder)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->change_count; i++)
        if (lies_in(f->changes[i].path, folder))
            apply(&f->durable, &f->changes[i]);
        else
            f->changes[kept++] = f->changes[i];
    f->change_count = kept;
}

static bool concerns(const struct change *c, const char *path)
{
    return !strcmp(c->path, path) || (c->kind == CHANGE_RENAME && !strcmp(c->to, path));
}

/* Any of them may be lost; of one name only the later ones. */
static void lose_names(struct fake *f)
{
    uint32_t keep = chance_below(101);
    bool lost[NAMES_MAX];
    for (uint32_t i = 0; i < f->change_count; i++) {
        const struct change *c = &f->changes[i];
        lost[i] = !chance(keep);
        for (uint32_t k = 0; k < i && !lost[i]; k++)
            lost[i] = lost[k] && (concerns(&f->changes[k], c->path) ||
                                  (c->kind == CHANGE_RENAME && concerns(&f->changes[k], c->to)));
        if (!lost[i]) apply(&f->durable, c);
    }
    f->change_count = 0;
    for (uint32_t i = 0; i < f->durable.count;) { /* what lies in a folder that is not there */
        char folder[PATH_BYTES];
        strcpy(folder, f->durable.list[i].path);
        char *slash = strrchr(folder, '/');
        if (slash) *slash = 0;
        if (slash && !find(&f->durable, folder)) {
            drop(&f->durable, f->durable.list[i].path);
            i = 0;
        } else {
            i++;
        }
    }
    copy_names(&f->seen, &f->durable);
}

/* ---- faults and time ------------------------------------------------------------------------------ */

static enum disk_fault count_down(struct fake *f)
{
    if (f->is_copy || !f->fault_in || --f->fault_in) return DISK_FAULT_NONE;
    enum disk_fault fault = f->fault;
    f->fault = DISK_FAULT_NONE;
    static const char *const texts[] = {"", "EIO", "ENOSPC", "a short count"};
    story("disk: this operation fails with %s", texts[fault]);
    return fault;
}

enum disk_fault (*sim_disk_before)(enum disk_operation operation);

/* Of an operation that changes nothing: only a sweep lets it fail. */
static enum disk_fault look_fault(const struct fake *f, enum disk_operation operation)
{
    return sim_disk_before && !f->is_copy ? sim_disk_before(operation) : DISK_FAULT_NONE;
}

static enum disk_fault take_fault(struct fake *f, enum disk_operation operation)
{
    if (sim_disk_before) return look_fault(f, operation);
    return f->fault_of_logs && operation != DISK_OP_LOG_WRITE ? DISK_FAULT_NONE : count_down(f);
}

static bool is_short(enum disk_fault fault)
{
    return fault == DISK_FAULT_SHORT || fault == DISK_FAULT_SHORT1 || fault == DISK_FAULT_HALF;
}

/* 0: nothing is wrong, or less than all of it is done. */
static int error_of(enum disk_fault fault)
{
    switch (fault) {
    case DISK_FAULT_EIO: return -EIO;
    case DISK_FAULT_ENOSPC: return -ENOSPC;
    case DISK_FAULT_EINTR: return -EINTR;
    case DISK_FAULT_EAGAIN: return -EAGAIN;
    case DISK_FAULT_ECANCELED: return -ECANCELED;
    default: return 0;
    }
}

static size_t length_of(enum disk_fault fault, size_t n)
{
    if (fault == DISK_FAULT_SHORT1) return n - (n > 0);
    return fault == DISK_FAULT_HALF || fault == DISK_FAULT_SHORT ? n / 2 : n;
}

/* A synchronous operation: whoever asked waits, others do not. */
static void takes(struct fake *f, uint32_t us)
{
    if (!f->is_copy && fiber_self()) fiber_sleep(chance_in(50) ? us * 20 : chance_between(us / 2, us));
}

/* ---- the interface ------------------------------------------------------------------------------------ */

static int fake_open(struct disk *d, const char *path, int flags)
{
    struct fake *f = fake(d);
    struct name *n = find(&f->seen, path);
    struct inode *inode = n ? n->inode : NULL;
    if (n && !inode) return -EISDIR;
    if ((flags & DISK_CREATE) && n) return -EEXIST;
    if (!(flags & DISK_CREATE) && !n) return -ENOENT;
    int failed = n ? error_of(look_fault(f, DISK_OP_OPEN)) : 0;
    if (failed) return failed;
    if (!n) {
        char folder[PATH_BYTES];
        strcpy(folder, path);
        char *slash = strrchr(folder, '/');
        if (slash) *slash = 0;
        if (slash && !find(&f->seen, folder)) return -ENOENT;
        int error = error_of(take_fault(f, DISK_OP_CREATE));
        if (error) return error;
        if (f->full && chance(50)) return -ENOSPC;
        inode = calloc(1, sizeof *inode);
        CHECK(inode != NULL);
        inode->truncated = UINT64_MAX;
        change(f, CHANGE_ADD, path, NULL, inode);
    }
    for (int i = 0; i < HANDLES_MAX; i++)
        if (!f->handles[i].inode) {
            f->handles[i] = (struct handle){inode, (flags & DISK_DIRECT) != 0};
            return i;
        }
    return -EMFILE;
}

static struct inode *inode_of(struct disk *d, int file)
{
    CHECK(file >= 0 && file < HANDLES_MAX && fake(d)->handles[file].inode);
    return fake(d)->handles[file].inode;
}

static void fake_close(struct disk *d, int file)
{
    inode_of(d, file);
    fake(d)->handles[file].inode = NULL;
}

static int64_t fake_size(struct disk *d, int file) { return (int64_t)inode_of(d, file)->size; }

static int64_t fake_read(struct disk *d, int file, uint64_t offset, void *p, size_t n)
{
    struct inode *i = inode_of(d, file);
    enum disk_fault fault = look_fault(fake(d), DISK_OP_READ);
    if (error_of(fault)) return error_of(fault);
    if (offset >= i->size) return 0;
    if (n > i->size - offset) n = i->size - offset;
    n = length_of(fault, n);
    pages_read(&i->cache, offset, p, n);
    if (!fake(d)->handles[file].direct) return (int64_t)n;
    for (uint64_t s = offset / SECTOR; n && s <= (offset + n - 1) / SECTOR; s++) {
        uint64_t from = s * SECTOR < offset ? offset : s * SECTOR, to = (s + 1) * SECTOR;
        if (to > offset + n) to = offset + n;
        if (!is_dirty(i, s)) pages_read(&i->platter, from, (uint8_t *)p + (from - offset), to - from);
    }
    return (int64_t)n;
}

static int64_t fake_write_now(struct disk *d, int file, uint64_t offset, const void *p, size_t n)
{
    struct fake *f = fake(d);
    struct inode *i = inode_of(d, file);
    bool direct = f->handles[file].direct;
    enum disk_fault fault = take_fault(f, DISK_OP_WRITE);
    if (f->full && offset + n > i->size) fault = DISK_FAULT_ENOSPC;
    if (error_of(fault)) return error_of(fault);
    n = length_of(fault, n);
    put_cache(i, offset, p, n);
    takes(f, direct ? 400 : 10);
    if (direct) settle(i);
    return (int64_t)n;
}

static int fake_sync(struct disk *d, int file)
{
    struct fake *f = fake(d);
    struct inode *i = inode_of(d, file);
    enum disk_fault fault = take_fault(f, DISK_OP_SYNC);
    takes(f, 400);
    if (fault == DISK_FAULT_NONE) {
        settle(i);
        return 0;
    }
    decide_dirty(i, i->size);
    if (chance(50)) i->durable_size = i->size;
    clean(i, 0); /* the kernel calls the pages clean, the platter has what it happens to have */
    return error_of(fault) ? error_of(fault) : -EIO;
}

static int maybe(struct fake *f, enum disk_operation operation)
{
    enum disk_fault fault = take_fault(f, operation);
    takes(f, 20);
    return error_of(fault);
}

static int fake_truncate(struct disk *d, int file, uint64_t bytes)
{
    struct inode *i = inode_of(d, file);
    int r = maybe(fake(d), DISK_OP_TRUNCATE);
    if (r < 0) return r;
    if (bytes < i->size) {
        pages_cut(&i->cache, bytes);
        clean(i, bytes);
        if (bytes < i->truncated) i->truncated = bytes;
    }
    i->size = bytes;
    return 0;
}

static int fake_rename(struct disk *d, const char *from, const char *to)
{
    struct fake *f = fake(d);
    int r = maybe(f, DISK_OP_RENAME);
    struct name *n = find(&f->seen, from);
    if (r < 0 || !n) return r < 0 ? r : -ENOENT;
    change(f, CHANGE_RENAME, from, to, n->inode);
    return 0;
}

static int fake_unlink(struct disk *d, const char *path)
{
    struct fake *f = fake(d);
    struct name *n = find(&f->seen, path);
    if (!n) return -ENOENT;
    for (uint32_t i = 0; !n->inode && i < f->seen.count; i++)
        if (lies_in(f->seen.list[i].path, path)) return -ENOTEMPTY;
    int r = maybe(f, DISK_OP_UNLINK);
    if (r < 0) return r;
    if (find(&f->seen, path)) change(f, CHANGE_REMOVE, path, NULL, NULL);
    return 0;
}

static int fake_link(struct disk *d, const char *from, const char *to)
{
    struct fake *f = fake(d);
    struct name *n = find(&f->seen, from);
    if (!n || find(&f->seen, to)) return n ? -EEXIST : -ENOENT;
    int r = maybe(f, DISK_OP_LINK);
    if (r == 0) change(f, CHANGE_ADD, to, NULL, n->inode);
    return r;
}

static int fake_mkdir(struct disk *d, const char *path)
{
    struct fake *f = fake(d);
    if (find(&f->seen, path)) return -EEXIST;
    int r = maybe(f, DISK_OP_MKDIR);
    if (r < 0) return r;
    if (find(&f->seen, path)) return -EEXIST; /* another thread was quicker */
    change(f, CHANGE_ADD, path, NULL, NULL);
    return 0;
}

static int fake_sync_dir(struct disk *d, const char *path)
{
    struct fake *f = fake(d);
    if (strcmp(path, ".") && !find(&f->seen, path)) return -ENOENT;
    enum disk_fault fault = take_fault(f, DISK_OP_SYNC_DIR);
    takes(f, 300);
    if (fault != DISK_FAULT_NONE) return error_of(fault) ? error_of(fault) : -EIO;
    settle_folder(f, path);
    return 0;
}

static int fake_list(struct disk *d, const char *path, void (*each)(void *self, const char *name), void *self)
{
    struct fake *f = fake(d);
    if (strcmp(path, ".") && !find(&f->seen, path)) return -ENOENT;
    int error = error_of(look_fault(f, DISK_OP_LIST));
    if (error) return error;
    uint32_t count = 0;
    char(*names)[PATH_BYTES] = malloc((f->seen.count + 1) * sizeof *names);
    CHECK(names != NULL);
    for (uint32_t i = 0; i < f->seen.count; i++)
        if (lies_in(f->seen.list[i].path, path)) {
            const char *slash = strrchr(f->seen.list[i].path, '/');
            strcpy(names[count++], slash ? slash + 1 : f->seen.list[i].path);
        }
    for (uint32_t i = 0; i < count; i++) each(self, names[i]);
    free(names);
    return 0;
}

static int64_t fake_space(struct disk *d) { return fake(d)->full ? 0 : 1ll << 40; }

static void op_done(void *owner, int64_t result)
{
    struct disk_op *op = owner;
    op->result = result;
    op->done(op, result);
}

static void fake_write(struct disk *d, int file, uint64_t offset, const void *p, size_t n, struct disk_op *op)
{
    (void)d;
    sim_disk_write(file, offset, p, n, op_done, op);
}

static void fake_poll(struct disk *d) { (void)d; }

static const struct disk_ops fake_ops = {fake_open,      fake_close, fake_size,     fake_read,
                                         fake_write_now, fake_sync,  fake_truncate, fake_rename,
                                         fake_unlink,    fake_link,  fake_mkdir,    fake_sync_dir,
                                         fake_list,      fake_space, fake_write,    fake_poll};

/* ---- asynchronous writes --------------------------------------------------------------------------------- */

static struct fake *the_disk;

struct disk *sim_disk(void)
{
    if (!the_disk) {
        the_disk = calloc(1, sizeof *the_disk);
        CHECK(the_disk != NULL);
        the_disk->disk.ops = &fake_ops;
    }
    return &the_disk->disk;
}

static void remove_flight(struct flight *f)
{
    struct flight **at = &the_disk->flights;
    while (*at && *at != f) at = &(*at)->next;
    CHECK(*at == f);
    *at = f->next;
    the_disk->flight_count--;
}

static void put_platter(struct inode *i, uint64_t offset, const uint8_t *p, size_t n)
{
    pages_write(&i->cache, offset, p, n);
    size_t whole = n - n % PAGE_BYTES;
    for (uint32_t k = 0; k < whole / PAGE_BYTES; k++)
        pages_take(&i->platter, &i->cache, (uint32_t)(offset / PAGE_BYTES) + k, UINT8_MAX);
    pages_write(&i->platter, offset + whole, p + whole, n - whole);
    if (offset + n > i->size) i->size = offset + n;
    if (i->size > i->durable_size) i->durable_size = i->size;
}

static void land(void *self, uint64_t number)
{
    struct flight *f = self;
    int64_t result = (int64_t)f->n;
    (void)number;
    if (!f->inode) return; /* the power went meanwhile */
    if (the_disk->full && f->offset + f->n > f->inode->size) f->fault = DISK_FAULT_ENOSPC;
    if (is_short(f->fault)) result = (int64_t)length_of(f->fault, f->n);
    if (f->fault == DISK_FAULT_SHORT)
        result = (int64_t)(SECTOR * chance_below(chance(50) ? 1 : (uint32_t)(f->n / SECTOR)));
    if (f->fault == DISK_FAULT_EIO) {
        decide_sectors(f->inode, f->offset, f->p, f->n);
        for (uint32_t k = 0; k < f->n / PAGE_BYTES; k++)
            pages_take(&f->inode->cache, &f->inode->platter, (uint32_t)(f->offset / PAGE_BYTES) + k,
                       UINT8_MAX);
        result = -EIO;
    } else if (error_of(f->fault)) {
        result = error_of(f->fault);
    } else {
        put_platter(f->inode, f->offset, f->p, (size_t)result);
    }
    remove_flight(f);
    if (f->done) f->done(f->owner, result);
    free(f);
}

void sim_disk_write(int file, uint64_t offset, const void *p, size_t n,
                    void (*done)(void *owner, int64_t result), void *owner)
{
    struct flight *f = calloc(1, sizeof *f);
    CHECK(f != NULL && offset % 4096 == 0 && n % 4096 == 0 && (uintptr_t)p % 4096 == 0);
    sim_disk();
    *f = (struct flight){.inode = inode_of(&the_disk->disk, file),
                         .offset = offset,
                         .p = p,
                         .n = n,
                         .done = done,
                         .owner = owner};
    f->fault = take_fault(the_disk, DISK_OP_LOG_WRITE);
    f->next = the_disk->flights;
    bool has_place = offset + n <= f->inode->size;
    if (f->fault == DISK_FAULT_ENOSPC && has_place && !sim_disk_before) f->fault = DISK_FAULT_NONE;
    the_disk->flights = f;
    the_disk->flight_count++;
    uint64_t us = chance_in(40) ? chance_between(2000, 40000) : chance_between(60, 900);
    world_after(us, land, f, 0);
}

uint32_t sim_disk_in_flight(void) { return the_disk ? the_disk->flight_count : 0; }

/* ---- ends -------------------------------------------------------------------------------------------------- */

static void each_inode(struct fake *f, void (*run)(struct inode *i))
{
    for (uint32_t i = 0; i < f->durable.count; i++)
        if (f->durable.list[i].inode) run(f->durable.list[i].inode);
}

void sim_disk_power_cut(void)
{
    struct fake *f = fake(sim_disk());
    for (struct flight *w = f->flights, *next; w; w = next) {
        next = w->next;
        bool longer = w->offset + w->n > w->inode->durable_size;
        if (!longer || chance(50)) {
            decide_sectors(w->inode, w->offset, w->p, w->n);
            if (longer) w->inode->size = w->inode->durable_size = w->offset + w->n;
        }
        w->inode = NULL; /* its event frees nothing and does nothing */
    }
    f->flights = NULL;
    f->flight_count = 0;
    lose_names(f);
    each_inode(f, lose_cache);
    memset(f->handles, 0, sizeof f->handles);
    f->fault = DISK_FAULT_NONE;
    f->fault_in = 0;
    f->full = false;
}

void sim_disk_process_died(void)
{
    struct fake *f = fake(sim_disk());
    for (struct flight *w = f->flights; w; w = w->next) { /* the kernel has its own hold on these bytes */
        uint8_t *copy = aligned_alloc(4096, w->n);
        CHECK(copy != NULL);
        memcpy(copy, w->p, w->n);
        w->p = copy;
        w->done = NULL;
    }
    memset(f->handles, 0, sizeof f->handles);
    f->fault = DISK_FAULT_NONE;
    f->fault_in = 0;
}

void sim_disk_fail(enum disk_fault fault, uint32_t nth, bool of_logs)
{
    sim_disk();
    the_disk->fault = fault;
    the_disk->fault_in = nth;
    the_disk->fault_of_logs = of_logs;
}

bool sim_disk_fault_pending(void) { return the_disk->fault_in > 0; }

void sim_disk_full(bool full)
{
    sim_disk();
    the_disk->full = full;
}

static struct inode *copy_inode(const struct inode *from)
{
    struct inode *to = calloc(1, sizeof *to);
    CHECK(to != NULL);
    *to = (struct inode){.size = from->size, .durable_size = from->size, .truncated = UINT64_MAX};
    pages_copy(&to->cache, &from->cache);
    pages_copy(&to->platter, &from->platter);
    if (!from->any_dirty) return to;
    to->dirty = malloc(from->dirty_count);
    CHECK(to->dirty != NULL);
    memcpy(to->dirty, from->dirty, to->dirty_count = from->dirty_count);
    to->any_dirty = true;
    return to;
}

struct disk *sim_disk_copy(struct disk *of)
{
    struct fake *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->disk = *of;
    f->is_copy = true;
    copy_names(&f->seen, &fake(of)->seen);
    for (uint32_t i = 0; i < f->seen.count; i++)
        if (f->seen.list[i].inode) f->seen.list[i].inode = copy_inode(f->seen.list[i].inode);
    copy_names(&f->durable, &f->seen);
    return &f->disk;
}

void sim_disk_copy_free(struct disk *copy)
{
    struct fake *f = fake(copy);
    for (uint32_t i = 0; i < f->durable.count; i++) {
        struct inode *inode = f->durable.list[i].inode;
        if (!inode) continue;
        pages_clear(&inode->cache);
        pages_clear(&inode->platter);
        free(inode->dirty);
        free(inode);
    }
    free(f);
}

void sim_disk_fingerprint(void)
{
    struct fake *f = fake(sim_disk());
    uint8_t page[PAGE_BYTES];
    uint32_t crc = 0;
    for (uint32_t i = 0; i < f->seen.count; i++) {
        const struct inode *inode = f->seen.list[i].inode;
        crc = crc32c(crc, f->seen.list[i].path, strlen(f->seen.list[i].path));
        for (uint64_t at = 0; inode && at < inode->size; at += sizeof page) {
            pages_read(&inode->cache, at, page, sizeof page);
            crc = crc32c(crc, page, inode->size - at < sizeof page ? inode->size - at : sizeof page);
        }
    }
    detail("disk: %u names, fingerprint %08x", f->seen.count, crc);
}
