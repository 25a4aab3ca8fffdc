/* bundle.h - a set as bytes: the sources of this version and of former ones that people may still be inside of, and the
 * registry that gives names their ids. Compiling it again gives the same set.
 * Owner: the set's arena. Fails: bundle_read reports a damaged bundle and returns false.
 * Little-endian:
 *   off 0   8  "HGDEFS01"
 *   off 8   4  number of texts; then each: u32 length, bytes (equal names and texts are kept once)
 *           4  number of versions, oldest first; then each:
 *              u32 version, u32 files, each file: u32 text of its name, u32 text of its content
 *              u32 journeys, each: u16 id, u16 version
 *           .  the registry (registry.h)
 *           8  XXH3 of all bytes before it */
#ifndef HG_DEFINE_BUNDLE_H
#define HG_DEFINE_BUNDLE_H

#include "core/define/registry.h"

struct journey_number {
    uint16_t id, version;
};
struct compile_order {
    const struct source_file *files;
    uint32_t count;
    const struct defset *previous;
    const struct registry *registry;       /* NULL: a fresh one */
    const struct journey_number *versions; /* from a bundle: the numbers that journeys had; NULL: count on */
    uint32_t version_count;
    const char *zone_dir;
    uint32_t version;
    bool for_running;
};
struct defset *compile_set(const struct compile_order *order, struct diagnostics *d); /* define.c */

void bundle_write(struct defset *set); /* sets set->bundle */

#endif
