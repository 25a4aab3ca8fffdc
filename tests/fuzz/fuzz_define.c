/* Definition files: any text gives a set or diagnostics, never a crash or a hang; looking (`check`) and compiling agree on
 * what runs; a set's bundle is the same set; and it can be put in place of itself and of nothing. */
#include "core/base/check.h"
#include "core/define/define.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void print(const struct diagnostics *d)
{
    struct buf out = {0};
    diagnostics_print(d, &out);
    buf_free(&out);
}

/* What `check` reads is at least what runs. */
static void look(const struct source_file *file, bool runs)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = defset_check(file, 1, NULL, NULL, &d);
    CHECK((set != NULL) == (d.errors == 0) && (set || !runs));
    print(&d);
    defset_free(set);
    diagnostics_free(&d);
}

static void from_bundle(const struct defset *set)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *same = defset_from_bundle(set->bundle, NULL, &d);
    CHECK(same && key_eq(same->hash, set->hash));
    defset_free(same);
    diagnostics_free(&d);
}

static void apply_again(const struct defset *set, const struct source_file *file)
{
    struct diagnostics d;
    struct source_file nothing = {SLICE("fuzz.yaml"), SLICE("events: {}\n")};
    diagnostics_init(&d);
    struct defset *again = defset_compile(file, 1, set, NULL, &d);
    CHECK(again &&
          again->journeys.older_count == 0); /* the same text: nobody has to stay on a former version */
    struct defset *gone = defset_compile(&nothing, 1, again, NULL, &d);
    CHECK(gone != NULL);
    from_bundle(gone);
    defset_free(gone);
    defset_free(again);
    diagnostics_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct source_file file = {SLICE("fuzz.yaml"), slice_of(data, n)};
    struct defset *set = defset_compile(&file, 1, NULL, NULL, &d);
    CHECK((set != NULL) == (d.errors == 0));
    print(&d);
    look(&file, set != NULL);
    if (set) {
        from_bundle(set);
        apply_again(set, &file);
        defset_free(set);
    }
    diagnostics_free(&d);
    return 0;
}
