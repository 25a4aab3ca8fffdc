/* regex.h - patterns of matches(): RE2's syntax, found anywhere in the text, by PCRE2's automaton (no backtracking).
 * Owner: a compiled pattern lives in the arena it was made in and is shared by threads.
 * Fails: pattern_compile with a reason; at run time with an error where the text needs more room than a match may take. */
#ifndef HG_EXPR_REGEX_H
#define HG_EXPR_REGEX_H

#include "core/model/value.h"

struct pattern;
const struct pattern *pattern_compile(struct arena *a, struct slice text, const char **reason);
struct value pattern_match(const struct pattern *p, struct slice text,
                           struct arena *scratch); /* bool or V_ERROR */

#endif
