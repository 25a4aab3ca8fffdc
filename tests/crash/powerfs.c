/* powerfs.c - a file system in memory that forgets at a power cut what nobody synced. kill -9 never finds a missing
 * sync, because the page cache outlives the process; this finds it.
 *
 * Everything is there twice: as programs see it (CACHE) and as it would be found after a cut (PLATTER). A write reaches
 * the platter by fsync, or at once through a handle with O_DSYNC; a name (create, rename, unlink) by fsync of its folder.
 * Writing `cut SEED` to /.power decides by that seed over all the rest: of a file's unsynced sectors of 512 bytes all
 * stay, none, or each by chance; of a folder's unsynced names as many as were first. Until `on` is written there
 * every call fails with EIO, so that nobody is promised anything by a machine without power.
 * usage: powerfs FOLDER -f -s */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, PATH_BYTES = 128, NAMES_MAX = 4096, CHANGES_MAX = 4096, BLOCKS_FREE = 1 << 20 };
enum side { CACHE, PLATTER, SIDES };
static const char POWER[] = "/.power";

struct file {
    bool directory;
    uint32_t names, opened; /* names on both sides */
    uint64_t capacity, size[SIDES];
    uint8_t *bytes[SIDES]; /* zero behind the size */
    uint8_t *dirty;        /* one per sector: CACHE differs */
};
struct name {
    char path[PATH_BYTES];
    struct file *file;
};
static struct names {
    struct name list[NAMES_MAX];
    uint32_t count;
} sides[SIDES];
static struct change { /* of names, not yet on the platter */
    char gone[PATH_BYTES], come[PATH_BYTES];
    struct file *file; /* that comes */
} changes[CHANGES_MAX];
static uint32_t change_count;
static bool off;

static void must(bool true_of_this_program, const char *what)
{
    if (true_of_this_program) return;
    fprintf(stderr, "powerfs: %s\n", what);
    abort();
}

/* ---- bytes of a file ------------------------------------------------------------------------------------ */

static void reach(struct file *f, uint64_t size)
{
    if (size <= f->capacity) return;
    uint64_t capacity = f->capacity ? f->capacity : 64 << 10;
    while (capacity < size) capacity *= 2;
    for (int s = 0; s < SIDES; s++) {
        f->bytes[s] = realloc(f->bytes[s], capacity);
        must(f->bytes[s], "out of memory");
        memset(f->bytes[s] + f->capacity, 0, capacity - f->capacity);
    }
    f->dirty = realloc(f->dirty, capacity / SECTOR);
    must(f->dirty, "out of memory");
    memset(f->dirty + f->capacity / SECTOR, 0, (capacity - f->capacity) / SECTOR);
    f->capacity = capacity;
}

static void mark(struct file *f, uint64_t from, uint64_t until)
{
    for (uint64_t s = from / SECTOR; s * SECTOR < until; s++) f->dirty[s] = 1;
}

static void settle_sector(struct file *f, uint64_t s)
{
    memcpy(f->bytes[PLATTER] + s * SECTOR, f->bytes[CACHE] + s * SECTOR, SECTOR);
    f->dirty[s] = 0;
}

static void settle(struct file *f, uint64_t from, uint64_t until)
{
    for (uint64_t s = from / SECTOR; s * SECTOR < until; s++)
        if (f->dirty[s]) settle_sector(f, s);
}

static void release_if_unused(struct file *f)
{
    if (f->names || f->opened) return;
    for (int s = 0; s < SIDES; s++) free(f->bytes[s]);
    free(f->dirty);
    free(f);
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static struct name *find_name(enum side side, const char *path)
{
    struct names *n = &sides[side];
    for (uint32_t i = 0; i < n->count; i++)
        if (!strcmp(n->list[i].path, path)) return &n->list[i];
    return NULL;
}

static struct file *find(const char *path)
{
    struct name *n = find_name(CACHE, path);
    return n ? n->file : NULL;
}

static void drop_name(enum side side, struct name *n)
{
    struct file *f = n->file;
    *n = sides[side].list[--sides[side].count];
    f->names--;
    release_if_unused(f);
}

static void add_name(enum side side, const char *path, struct file *f)
{
    must(sides[side].count < NAMES_MAX && strlen(path) < PATH_BYTES, "too many names");
    struct name *n = &sides[side].list[sides[side].count++];
    snprintf(n->path, sizeof n->path, "%s", path);
    n->file = f;
    f->names++;
}

static void apply(enum side side, const struct change *c)
{
    struct name *before = find_name(side, c->come);
    if (c->file) add_name(side, c->come, c->file); /* first: the last name of a file that moves must not go */
    if (c->file && before) drop_name(side, find_name(side, c->come));
    struct name *gone = *c->gone ? find_name(side, c->gone) : NULL;
    if (gone) drop_name(side, gone);
}

static int change(const char *gone, const char *come, struct file *file)
{
    must(change_count < CHANGES_MAX, "too many changes without a sync of their folder");
    struct change *c = &changes[change_count++];
    snprintf(c->gone, sizeof c->gone, "%s", gone);
    snprintf(c->come, sizeof c->come, "%s", come);
    c->file = file;
    if (file) file->names++; /* held by the change */
    apply(CACHE, c);
    return 0;
}

static bool is_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return slash && (n ? strlen(folder) == n && !strncmp(path, folder, n) : !strcmp(folder, "/"));
}

static bool concerns(const struct change *c, const char *folder)
{
    return is_in(c->gone, folder) || is_in(c->come, folder);
}

/* Takes those changes away for which `lasts` says so, after writing them to the platter if `kept`. */
static void forget_change(struct change *c)
{
    struct file *f = c->file;
    memmove(c, c + 1, (size_t)(changes + --change_count - c) * sizeof *c);
    if (!f) return;
    f->names--;
    release_if_unused(f);
}

static void settle_folder(const char *folder)
{
    for (uint32_t i = 0; i < change_count;) {
        if (!concerns(&changes[i], folder)) {
            i++;
            continue;
        }
        apply(PLATTER, &changes[i]);
        forget_change(&changes[i]);
    }
}

/* ---- the cut ---------------------------------------------------------------------------------------------- */

static void cut_names(void)
{
    static char stopped[CHANGES_MAX][PATH_BYTES];
    uint32_t stops = 0;
    while (change_count) {
        struct change *c = &changes[0];
        const char *path = *c->come ? c->come : c->gone;
        bool stays = rand() % 2;
        for (uint32_t i = 0; i < stops; i++) stays = stays && !concerns(c, stopped[i]);
        if (stays)
            apply(PLATTER, c);
        else
            snprintf(stopped[stops++], PATH_BYTES, "%.*s",
                     strrchr(path, '/') == path ? 1 : (int)(strrchr(path, '/') - path), path);
        forget_change(c);
    }
}

static void cut_file(struct file *f)
{
    enum { LOST, KEPT, TORN } fate = (unsigned)rand() % 3;
    for (uint64_t s = 0; s < f->capacity / SECTOR; s++)
        if (f->dirty[s] && (fate == KEPT || (fate == TORN && rand() % 2))) settle_sector(f, s);
    if (fate == KEPT || (fate == TORN && rand() % 2)) f->size[PLATTER] = f->size[CACHE];
    if (!f->capacity) return;
    memset(f->bytes[PLATTER] + f->size[PLATTER], 0, f->capacity - f->size[PLATTER]);
    memcpy(f->bytes[CACHE], f->bytes[PLATTER], f->capacity);
    memset(f->dirty, 0, f->capacity / SECTOR);
    f->size[CACHE] = f->size[PLATTER];
}

static bool folder_is_there(const char *path)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    return !*folder || find_name(PLATTER, folder);
}

static void cut(unsigned seed)
{
    srand(seed);
    off = true;
    cut_names();
    for (uint32_t i = 0; i < sides[PLATTER].count;)
        if (folder_is_there(sides[PLATTER].list[i].path))
            i++;
        else
            drop_name(PLATTER, &sides[PLATTER].list[i]), i = 0; /* and what was in it */
    while (sides[CACHE].count) drop_name(CACHE, &sides[CACHE].list[0]);
    for (uint32_t i = 0; i < sides[PLATTER].count; i++) {
        cut_file(sides[PLATTER].list[i].file);
        add_name(CACHE, sides[PLATTER].list[i].path, sides[PLATTER].list[i].file);
    }
}

static int power(const char *text, size_t n)
{
    char word[32];
    unsigned seed;
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    if (sscanf(word, "cut %u", &seed) == 1)
        cut(seed);
    else if (!strncmp(word, "on", 2))
        off = false;
    else
        return -EINVAL;
    return (int)n;
}

/* ---- calls of the kernel ------------------------------------------------------------------------------------ */

static struct file *file_of(const char *path, struct fuse_file_info *info)
{
    return info && info->fh ? (struct file *)(uintptr_t)info->fh : path ? find(path) : NULL;
}

static int pfs_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
    bool root = path && !strcmp(path, "/"), switch_ = path && !strcmp(path, POWER);
    struct file *f = root || switch_ ? NULL : file_of(path, info);
    if (off && !root && !switch_) return -EIO;
    if (!f && !root && !switch_) return -ENOENT;
    *st = (struct stat){.st_mode = root || (f && f->directory) ? S_IFDIR | 0700 : S_IFREG | 0600,
                        .st_nlink = f ? f->names : 1,
                        .st_uid = getuid(),
                        .st_gid = getgid(),
                        .st_size = f ? (off_t)f->size[CACHE] : 0};
    return 0;
}

static struct file *new_file(bool directory)
{
    struct file *f = calloc(1, sizeof *f);
    must(f, "out of memory");
    f->directory = directory;
    return f;
}

static int pfs_mkdir(const char *path, mode_t mode)
{
    (void)mode;
    return off ? -EIO : change("", path, new_file(true));
}

static int pfs_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)mode;
    if (off) return -EIO;
    struct file *f = new_file(false);
    f->opened++;
    info->fh = (uintptr_t)f;
    return change("", path, f);
}

static int pfs_open(const char *path, struct fuse_file_info *info)
{
    if (!strcmp(path, POWER)) return 0;
    struct file *f = find(path);
    if (off) return -EIO;
    if (!f) return -ENOENT;
    f->opened++;
    info->fh = (uintptr_t)f;
    return 0;
}

static int pfs_release(const char *path, struct fuse_file_info *info)
{
    struct file *f = (struct file *)(uintptr_t)info->fh;
    (void)path;
    if (!f) return 0;
    f->opened--;
    release_if_unused(f);
    return 0;
}

static int pfs_read(const char *path, char *p, size_t n, off_t at, struct fuse_file_info *info)
{
    struct file *f = file_of(path, info);
    if (off || !f) return -EIO;
    uint64_t left = (uint64_t)at < f->size[CACHE] ? f->size[CACHE] - (uint64_t)at : 0;
    if (n > left) n = left;
    if (n) memcpy(p, f->bytes[CACHE] + at, n);
    return (int)n;
}

static int pfs_write(const char *path, const char *p, size_t n, off_t offset, struct fuse_file_info *info)
{
    if (path && !strcmp(path, POWER)) return power(p, n);
    struct file *f = file_of(path, info);
    uint64_t at = (uint64_t)offset, end = at + n;
    if (off || !f) return -EIO;
    reach(f, end);
    memcpy(f->bytes[CACHE] + at, p, n);
    mark(f, at, end);
    if (end > f->size[CACHE]) f->size[CACHE] = end;
    if (info->flags & O_DSYNC) {
        settle(f, at, end);
        if (end > f->size[PLATTER]) f->size[PLATTER] = end;
    }
    return (int)n;
}

static int pfs_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    struct file *f = file_of(path, info);
    if (path && !strcmp(path, POWER)) return 0;
    if (off || !f) return off ? -EIO : -ENOENT;
    uint64_t before = f->size[CACHE], now = (uint64_t)size;
    reach(f, now);
    if (now < before) {
        memset(f->bytes[CACHE] + now, 0, before - now);
        mark(f, now, before);
    }
    f->size[CACHE] = now;
    return 0;
}

static int pfs_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    struct file *f = file_of(path, info);
    (void)data_only;
    if (off || !f) return -EIO;
    settle(f, 0, f->capacity);
    f->size[PLATTER] = f->size[CACHE];
    return 0;
}

static int pfs_fsyncdir(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (off) return -EIO;
    settle_folder(path);
    return 0;
}

static int pfs_unlink(const char *path)
{
    if (off) return -EIO;
    return find(path) ? change(path, "", NULL) : -ENOENT;
}

static int pfs_rmdir(const char *path)
{
    if (off) return -EIO;
    for (uint32_t i = 0; i < sides[CACHE].count; i++)
        if (is_in(sides[CACHE].list[i].path, path)) return -ENOTEMPTY;
    return pfs_unlink(path);
}

static int pfs_rename(const char *from, const char *to, unsigned flags)
{
    struct file *f = find(from);
    if (off || !f) return off ? -EIO : -ENOENT;
    return flags || f->directory ? -EINVAL : change(from, to, f);
}

static int pfs_link(const char *from, const char *to)
{
    struct file *f = find(from);
    if (off || !f) return off ? -EIO : -ENOENT;
    return change("", to, f);
}

static int pfs_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t at,
                       struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)at, (void)info, (void)flags;
    if (off) return -EIO;
    for (uint32_t i = 0; i < sides[CACHE].count; i++) {
        const char *name = sides[CACHE].list[i].path;
        if (is_in(name, path)) fill(out, strrchr(name, '/') + 1, NULL, 0, 0);
    }
    return 0;
}

static int pfs_statfs(const char *path, struct statvfs *st)
{
    (void)path;
    *st = (struct statvfs){.f_bsize = 4096,
                           .f_frsize = 4096,
                           .f_blocks = BLOCKS_FREE,
                           .f_bfree = BLOCKS_FREE,
                           .f_bavail = BLOCKS_FREE,
                           .f_namemax = PATH_BYTES};
    return 0;
}

static void *pfs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    (void)conn;
    config->direct_io = 1; /* the kernel keeps nothing that a cut should take */
    config->hard_remove = 1;
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct fuse_operations calls = {
        .init = pfs_init,
        .getattr = pfs_getattr,
        .mkdir = pfs_mkdir,
        .create = pfs_create,
        .open = pfs_open,
        .release = pfs_release,
        .read = pfs_read,
        .write = pfs_write,
        .truncate = pfs_truncate,
        .fsync = pfs_fsync,
        .unlink = pfs_unlink,
        .rmdir = pfs_rmdir,
        .rename = pfs_rename,
        .link = pfs_link,
        .statfs = pfs_statfs,
        .readdir = pfs_readdir,
        .fsyncdir = pfs_fsyncdir,
    };
    return fuse_main(argc, argv, &calls, NULL);
}
