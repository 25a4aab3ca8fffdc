/* json.h - a small JSON reader for test data.
 * Owner: the arena. Fails: NULL on malformed text. */
#ifndef HG_TESTS_JSON_H
#define HG_TESTS_JSON_H

#include "core/base/arena.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_MAP };
struct json {
    enum json_kind kind;
    bool b;
    double d;
    struct slice text; /* TEXT; NUMBER: as written */
    uint32_t count;
    struct json **item; /* LIST, MAP: values */
    struct slice *key;  /* MAP */
};

struct json *json_read(struct arena *a, struct slice text);
const struct json *json_get(const struct json *map, const char *key); /* NULL: absent, or no map */

#endif
