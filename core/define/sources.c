/* sources.c - definition files from a directory. Used by tools and the host, never by the state machine. */
#include "core/define/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_DEPTH_MAX = 16 };

struct finding {
    struct diagnostics *d;
    struct source_file *list;
    uint32_t count, capacity;
};

static void unreadable(struct finding *f, const char *name, const char *why)
{
    struct source_file file = {.name = slice_str(name)};
    report_at(f->d, SEVERITY_ERROR, &file, 0, 1, "%s", why);
    f->d->list[f->d->count - 1].line = 0; /* of the whole file */
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcmp(name + n - m, suffix) == 0;
}

static bool is_source(const char *name)
{
    if (name[0] == '.' || ends_with(name, ".test.yaml")) return false;
    return ends_with(name, ".yaml") || ends_with(name, ".html") || ends_with(name, ".txt");
}

static void add(struct finding *f, const char *name, struct slice text)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? f->capacity * 2 : 16;
        struct source_file *more = ARENA_ARRAY(&f->d->arena, struct source_file, f->capacity);
        if (f->count) memcpy(more, f->list, sizeof *more * f->count);
        f->list = more;
    }
    f->list[f->count++] =
        (struct source_file){slice_str(arena_strndup(&f->d->arena, name, strlen(name))), text};
}

/* A little more than allowed is read, so that the parser sees and says that the file is too large. */
static void read_file(struct finding *f, int fd, const char *name)
{
    struct buf text = {0};
    buf_reserve(&text, 4096);
    while (text.n <= YAML_BYTES_MAX) {
        buf_reserve(&text, 4096);
        ssize_t got = read(fd, text.p + text.n, text.cap - text.n);
        if (got == 0) break;
        if (got > 0)
            text.n += (size_t)got;
        else if (errno != EINTR) {
            unreadable(f, name, strerror(errno));
            buf_free(&text);
            return;
        }
    }
    add(f, name, arena_slice(&f->d->arena, buf_slice(&text)));
    buf_free(&text);
}

static void read_entry(struct finding *f, int folder, const char *entry, const char *path, uint32_t depth);

static void read_folder(struct finding *f, int fd, const char *path, uint32_t depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        unreadable(f, path, strerror(errno));
        close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        read_entry(f, dirfd(dir), e->d_name,
                   *path ? arena_printf(&f->d->arena, "%s/%s", path, e->d_name) : e->d_name, depth);
    }
    closedir(dir);
}

static void read_entry(struct finding *f, int folder, const char *entry, const char *path, uint32_t depth)
{
    struct stat info;
    int fd = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (is_source(entry))
            unreadable(f, path, errno == ELOOP ? "a symbolic link is not followed" : strerror(errno));
        return;
    }
    bool folder_inside = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
    if (folder_inside && depth < FOLDER_DEPTH_MAX) {
        read_folder(f, fd, path, depth + 1);
        return;
    }
    if (folder_inside)
        unreadable(f, path, "folders are nested too deep");
    else if (is_source(entry) && (info.st_mode & S_IWOTH))
        unreadable(f, path, "everybody may write to this file (chmod o-w)");
    else if (is_source(entry) && S_ISREG(info.st_mode))
        read_file(f, fd, path);
    else if (ends_with(entry, ".yml"))
        unreadable(f, path, "definition files end in .yaml: this one would not be read");
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    const struct source_file *x = a, *y = b;
    return strcmp((const char *)x->name.p, (const char *)y->name.p);
}

struct source_file *sources_read(const char *dir, uint32_t *count, struct diagnostics *d)
{
    struct finding f = {.d = d};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        unreadable(&f, dir, strerror(errno));
    else
        read_folder(&f, fd, "", 0);
    if (f.count) qsort(f.list, f.count, sizeof *f.list, by_name);
    *count = f.count;
    return f.list;
}
