/* view.c - replies by path, and tables of two passes: widths first, then lines. */
#include "tools/hourglass/view.h"

#include <stdio.h>

#include "tools/hourglass/json.h"

enum { COLUMNS_MAX = 16 };

struct items items_of(struct slice container)
{
    struct items i = {.m = mp_of(container)};
    enum mp_type type = container.n ? mp_peek(&i.m) : MP_NONE;
    i.map = type == MP_MAP;
    if (i.map)
        i.left = mp_map(&i.m);
    else if (type == MP_ARRAY)
        i.left = mp_array(&i.m);
    return i;
}

bool items_next(struct items *i)
{
    if (i->left == 0 || i->m.err != MP_OK) return false;
    i->left--;
    if (i->map) i->key = mp_str(&i->m);
    i->value = mp_item(&i->m);
    return i->m.err == MP_OK;
}

static struct slice member(struct slice map, struct slice key)
{
    for (struct items i = items_of(map); items_next(&i);)
        if (i.map && slice_eq(i.key, key)) return i.value;
    return (struct slice){0};
}

struct slice view(struct slice map, const char *path)
{
    while (*path && map.n) {
        size_t n = strcspn(path, ".");
        map = member(map, slice_of(path, n));
        path += n + (path[n] == '.');
    }
    return map;
}

double view_number(struct slice map, const char *path)
{
    struct slice item = view(map, path);
    struct mp m = mp_of(item);
    double v = item.n ? mp_double(&m) : 0;
    return m.err == MP_OK ? v : 0;
}

int64_t view_int(struct slice map, const char *path)
{
    struct slice item = view(map, path);
    struct mp m = mp_of(item);
    if (item.n && mp_peek(&m) == MP_FLOAT) return (int64_t)mp_double(&m);
    int64_t v = item.n ? mp_int(&m) : 0;
    return m.err == MP_OK ? v : 0;
}

struct slice view_text(struct slice map, const char *path)
{
    struct slice item = view(map, path);
    struct mp m = mp_of(item);
    enum mp_type type = item.n ? mp_peek(&m) : MP_NONE;
    return type == MP_STR || type == MP_BIN ? mp_str(&m) : (struct slice){0};
}

/* ---- printing -------------------------------------------------------------------------------- */

void print_grouped(int64_t v, struct buf *out)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)v);
    for (int i = 0; i < n; i++) {
        buf_put_u8(out, (uint8_t)digits[i]);
        int left = n - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') buf_put_u8(out, ',');
    }
}

static void print_list(struct slice list, struct buf *out)
{
    bool first = true;
    for (struct items i = items_of(list); items_next(&i); first = false) {
        if (!first) buf_put_str(out, ", ");
        view_print(i.value, out);
    }
}

void view_print(struct slice item, struct buf *out)
{
    struct mp m = mp_of(item);
    enum mp_type type = item.n ? mp_peek(&m) : MP_NONE;
    if (type == MP_INT)
        print_grouped(mp_int(&m), out);
    else if (type == MP_STR && utf8_valid(view_text(item, "")))
        buf_put_slice(out, mp_str(&m));
    else if (type == MP_ARRAY)
        print_list(item, out);
    else if (type == MP_NONE || type == MP_NIL)
        buf_put_u8(out, '-');
    else
        json_print(item, 0, out);
}

static bool is_number(struct slice item)
{
    struct mp m = mp_of(item);
    enum mp_type type = item.n ? mp_peek(&m) : MP_NONE;
    return type == MP_INT || type == MP_UINT || type == MP_FLOAT;
}

static uint32_t characters(struct slice text)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
    return n;
}

static void put_cell(struct slice text, uint32_t width, bool right, bool last, struct buf *out)
{
    uint32_t n = characters(text), pad = n < width ? width - n : 0;
    if (right) buf_printf(out, "%*s", (int)pad, "");
    buf_put_slice(out, text);
    if (!right && !last) buf_printf(out, "%*s", (int)pad, "");
    buf_put_str(out, last ? "\n" : "  ");
}

static const char *title_of(const char *column)
{
    const char *equals = strchr(column, '=');
    return equals ? equals + 1 : column;
}

static struct slice cell_of(struct slice row, const char *column)
{
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(column, "="), column);
    return view(row, key);
}

void view_table(struct slice list, const char *const *columns, struct buf *out)
{
    uint32_t width[COLUMNS_MAX], n = 0;
    struct buf cell = {0};
    for (; n < COLUMNS_MAX && columns[n]; n++) width[n] = characters(slice_str(title_of(columns[n])));
    for (struct items row = items_of(list); items_next(&row);)
        for (uint32_t c = 0; c < n; c++) {
            buf_clear(&cell);
            view_print(cell_of(row.value, columns[c]), &cell);
            uint32_t w = characters(buf_slice(&cell));
            if (w > width[c]) width[c] = w;
        }
    for (uint32_t c = 0; c < n; c++)
        put_cell(slice_str(title_of(columns[c])), width[c], false, c + 1 == n, out);
    for (struct items row = items_of(list); items_next(&row);)
        for (uint32_t c = 0; c < n; c++) {
            struct slice item = cell_of(row.value, columns[c]);
            buf_clear(&cell);
            view_print(item, &cell);
            put_cell(buf_slice(&cell), width[c], is_number(item), c + 1 == n, out);
        }
    buf_free(&cell);
}
