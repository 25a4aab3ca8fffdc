/* Definition files: any text gives a set or diagnostics, never a crash or a hang; and a set's bundle is the same set. */
#include "core/base/check.h"
#include "core/define/define.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct diagnostics d, again;
    diagnostics_init(&d);
    struct source_file file = {SLICE("fuzz.yaml"), slice_of(data, n)};
    struct defset *set = defset_compile(&file, 1, NULL, NULL, &d);
    CHECK(set || d.errors);
    struct buf out = {0};
    diagnostics_print(&d, &out);
    buf_free(&out);
    if (set) {
        diagnostics_init(&again);
        struct defset *same = defset_from_bundle(set->bundle, NULL, &again);
        CHECK(same && key_eq(same->hash, set->hash));
        defset_free(same);
        defset_free(set);
        diagnostics_free(&again);
    }
    diagnostics_free(&d);
    return 0;
}
