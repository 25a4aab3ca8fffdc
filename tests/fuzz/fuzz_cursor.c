/* The pull cursor against msgpack-c: whatever one of them can read, the other reads alike. */
#include "core/base/check.h"
#include "core/base/msgpack.h"

#include <msgpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void compare(struct mp *m, const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: CHECK(mp_nil(m)); break;
    case MSGPACK_OBJECT_BOOLEAN: CHECK(mp_bool(m) == o->via.boolean); break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: CHECK(mp_uint(m) == o->via.u64); break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: CHECK(mp_int(m) == o->via.i64); break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: {
        double d = mp_double(m);
        CHECK(memcmp(&d, &o->via.f64, 8) == 0 || d != d);
        break;
    }
    case MSGPACK_OBJECT_STR: CHECK(slice_eq(mp_str(m), slice_of(o->via.str.ptr, o->via.str.size))); break;
    case MSGPACK_OBJECT_BIN: CHECK(slice_eq(mp_str(m), slice_of(o->via.bin.ptr, o->via.bin.size))); break;
    case MSGPACK_OBJECT_EXT: {
        int8_t type;
        CHECK(slice_eq(mp_ext(m, &type), slice_of(o->via.ext.ptr, o->via.ext.size)) &&
              type == o->via.ext.type);
        break;
    }
    case MSGPACK_OBJECT_ARRAY:
        CHECK(mp_array(m) == o->via.array.size);
        for (uint32_t i = 0; i < o->via.array.size; i++) compare(m, &o->via.array.ptr[i]);
        break;
    case MSGPACK_OBJECT_MAP:
        CHECK(mp_map(m) == o->via.map.size);
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            compare(m, &o->via.map.ptr[i].key);
            compare(m, &o->via.map.ptr[i].val);
        }
        break;
    }
    CHECK(m->err == MP_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mp skipped = mp_of(slice_of(data, n)), deep = skipped, walked = skipped;
    bool ok = mp_skip(&skipped), any = mp_skip_any_depth(&deep);
    CHECK(!ok || (any && skipped.p == deep.p));
    if (!ok) return 0;
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    size_t at = 0;
    CHECK(msgpack_unpack_next(&u, (const char *)data, n, &at) == MSGPACK_UNPACK_SUCCESS);
    CHECK(data + at == skipped.p);
    compare(&walked, &u.data);
    CHECK(walked.p == skipped.p);
    msgpack_unpacked_destroy(&u);
    return 0;
}
