/* view.h - looking into a MessagePack reply by path, and printing small tables.
 * Owner: slices point into the reply. Memory: none but the buf printed into. Fails: what is absent is an empty slice,
 * 0 or "-". Cost: a linear walk per look-up; replies are small. */
#ifndef HG_TOOLS_VIEW_H
#define HG_TOOLS_VIEW_H

#include "core/base/bytes.h"
#include "core/base/msgpack.h"

/* The item behind keys joined by '.', e.g. "events.received"; empty: absent. */
struct slice view(struct slice map, const char *path);
int64_t view_int(struct slice map, const char *path);
double view_number(struct slice map, const char *path);
struct slice view_text(struct slice map, const char *path);

/* for (struct items i = items_of(reply); items_next(&i);) ... i.key (maps), i.value */
struct items {
    struct mp m;
    uint32_t left;
    bool map;
    struct slice key, value;
};
struct items items_of(struct slice container); /* of nothing, or of a scalar: none */
bool items_next(struct items *i);

/* A cell as text: numbers grouped 1,234,567, text as it is, lists joined by ", ", else JSON. */
void view_print(struct slice item, struct buf *out);
/* A list of maps as a table: columns are "key" or "key=Title"; numbers stand right. */
void view_table(struct slice list, const char *const *columns, struct buf *out);
void print_grouped(int64_t v, struct buf *out);

#endif
