/* load.h - a directory of definitions, compiled for `check`, `simulate` and `test`.
 * Owner: the caller frees the set. Fails: diagnostics on stderr, and the program ends with `code`. */
#ifndef HG_TOOLS_LOAD_H
#define HG_TOOLS_LOAD_H

#include "core/define/define.h"

struct defset *load_definitions(const char *dir, int code);

#endif
