/* generator.h - Segment messages by the million: templates made once, then copied and patched.
 * Owner: one thread. Memory: 256 templates of half a kilobyte. Fails: generator_init only (unknown shape).
 * The same seed, users, zipf and shape give the same people and events; ids of messages hold the seed, so that another
 * run with another seed repeats none. Cost: below 150 ns an event, most of it copying. */
#ifndef HG_BENCH_GENERATOR_H
#define HG_BENCH_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GENERATOR_TEMPLATES = 256, ENTRY_BYTES_MAX = 640 };

struct generator_template {
    uint16_t bytes, seconds, user, anonymous /* 0: none */, message, time, sent; /* what to patch, where */
    bool fresh; /* its anonymous id is another one each time */
    uint8_t entry[ENTRY_BYTES_MAX];
};
struct generator {
    uint64_t random, next, seed;
    uint32_t users;
    double zipf, spread; /* exponent; 0: all users alike */
    double sent_ms;      /* what events say in e.sent: when they were due */
    int64_t stamped_ms;  /* what `stamp` says */
    char stamp[32];
    struct generator_template *templates;
};
/* shape: shop (420 bytes of record), small (about 150), pairs (shop, with an anonymousId of the user's own), mix (shop as
 * three senders write it, keys in three orders; 1.2 % bring a new anonymousId), aim (calls of the Huawei-AIM benchmark). */
bool generator_init(struct generator *g, const char *shape, uint32_t users, double zipf, uint64_t seed);
void generator_free(struct generator *g);
/* Appends one Forward entry [EventTime, record]; out has ENTRY_BYTES_MAX bytes of room. Returns its length. */
size_t generator_entry(struct generator *g, int64_t now_ms, uint8_t *out);
const char *generator_definitions(void); /* a definition file for these events */

#endif
