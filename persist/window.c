/* Two pieces: one is looked at, the next one of the file is read into the other. What of the first is still wanted then
 * is copied in front of the second, so that a group is always in one run of bytes. */
#include "persist/window.h"
#include "core/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

struct window_thread {
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t changed;
    bool wanted, stop;
};

/* ---- reading one piece ---------------------------------------------------------------------------- */

static void read_piece(struct window *w)
{
    struct window_piece *next = &w->pieces[!w->current];
    uint64_t wanted = (w->size - next->at + 4095) & ~4095ull;
    if (wanted > LOG_PIECE_BYTES) wanted = LOG_PIECE_BYTES;
    w->got = w->disk->ops->read(w->disk, w->file, next->at, next->base + WINDOW_BYTES, wanted);
    if (w->got >= 0 && (uint64_t)w->got < wanted && next->at + (uint64_t)w->got < w->size) w->got = -EIO;
}

static void *thread_main(void *arg)
{
    struct window *w = arg;
    struct window_thread *t = w->thread;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        if (t->wanted) {
            pthread_mutex_unlock(&t->lock);
            read_piece(w);
            pthread_mutex_lock(&t->lock);
            t->wanted = false;
            pthread_cond_broadcast(&t->changed);
        } else {
            pthread_cond_wait(&t->changed, &t->lock);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void tell(struct window_thread *t, bool *what)
{
    pthread_mutex_lock(&t->lock);
    *what = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void make_thread(struct window *w)
{
    struct window_thread *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    w->thread = t;
    if (pthread_create(&t->thread, NULL, thread_main, w) == 0) return;
    w->ahead = false; /* then without */
    w->thread = NULL;
    free(t);
}

static void end_thread(struct window *w)
{
    struct window_thread *t = w->thread;
    if (!t) return;
    tell(t, &t->stop);
    pthread_join(t->thread, NULL);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
    w->thread = NULL;
}

static void begin_read(struct window *w, uint64_t at)
{
    w->pieces[!w->current].at = at;
    w->waiting = true;
    if (w->ahead && !w->thread) make_thread(w);
    if (w->thread) tell(w->thread, &w->thread->wanted);
}

static void end_read(struct window *w)
{
    struct window_thread *t = w->thread;
    struct window_piece *next = &w->pieces[!w->current];
    if (t) {
        pthread_mutex_lock(&t->lock);
        while (t->wanted) pthread_cond_wait(&t->changed, &t->lock);
        pthread_mutex_unlock(&t->lock);
    } else {
        read_piece(w);
    }
    w->waiting = false;
    if (w->got < 0) w->error = w->got;
    next->p = next->base + WINDOW_BYTES;
    next->bytes = w->got < 0 ? 0 : (uint64_t)w->got;
}

/* What is on its way for nobody. */
static void forget_read(struct window *w)
{
    if (w->waiting && w->thread) {
        int64_t error = w->error;
        end_read(w);
        w->error = error;
    }
    w->waiting = false;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static struct window_piece *current(struct window *w) { return &w->pieces[w->current]; }

static bool holds(const struct window_piece *p, uint64_t at, uint64_t n)
{
    return p->p && at >= p->at && at + n <= p->at + p->bytes;
}

static void map_pieces(struct window *w)
{
    for (int i = 0; i < 2 && !w->pieces[i].base; i++) {
        void *p = mmap(NULL, 2 * WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        w->pieces[i].base = p;
    }
}

/* The next piece becomes the current one, with the end of this one from `at` on in front. */
static void move_on(struct window *w, uint64_t at)
{
    struct window_piece *from = current(w), *to = &w->pieces[!w->current];
    uint64_t end = from->at + from->bytes, kept = from->p && at < end && at >= from->at ? end - at : 0;
    uint64_t begin = kept ? end : at;
    if (!w->waiting || to->at != begin) {
        forget_read(w);
        begin_read(w, begin);
    }
    end_read(w);
    if (kept) memcpy(to->p -= kept, from->p + (at - from->at), kept);
    to->at -= kept;
    to->bytes += kept;
    w->current = !w->current;
    if (w->ahead && to->at + to->bytes < w->size && !w->error) begin_read(w, to->at + to->bytes);
}

const uint8_t *window_look(struct window *w, uint64_t at, uint64_t n)
{
    DCHECK(at % 4096 == 0 && n <= WINDOW_BYTES);
    if (at > w->size || n > w->size - at) return NULL;
    for (uint64_t end = at, was; !holds(current(w), at, n);) {
        if (w->leave) w->leave(w->self);
        map_pieces(w);
        move_on(w, at);
        was = end, end = current(w)->at + current(w)->bytes;
        if (end <= was) return NULL; /* an error, or the file was cut meanwhile */
    }
    return current(w)->p + (at - current(w)->at);
}

static void forget(struct window *w)
{
    if (w->leave) w->leave(w->self);
    forget_read(w);
    for (int i = 0; i < 2; i++) w->pieces[i].p = NULL;
}

void window_open(struct window *w, int file, uint64_t size)
{
    forget(w);
    w->file = file;
    w->size = size;
    w->error = 0;
}

void window_close(struct window *w)
{
    forget(w);
    end_thread(w);
    for (int i = 0; i < 2; i++) {
        if (w->pieces[i].base) munmap(w->pieces[i].base, 2 * WINDOW_BYTES);
        w->pieces[i].base = NULL;
    }
}
