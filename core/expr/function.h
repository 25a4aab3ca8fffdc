/* function.h - the table of ordinary functions and of the operators' overloads: one row, one function, one test.
 * A signature is one letter per argument, the receiver first:
 *   b bool  i int  u uint  d double  s string  t timestamp or date  D duration  n null  L list  S list of strings
 *   M map  ? anything */
#ifndef HG_EXPR_FUNCTION_H
#define HG_EXPR_FUNCTION_H

#include "core/expr/program.h"

typedef struct value function(struct machine *m, const struct value *args);

struct function_row {
    const char *name;
    const char *args;
    char result;
    bool method;
    uint8_t op; /* operators: OP_ADD ..., run by their own instruction; OP_CALL: run */
    function *run;
};
extern const struct function_row function_table[];
extern const uint32_t function_rows;

bool function_takes(char letter, const struct type *t);
const struct type *function_result(char letter);

/* text.c */
function text_size, list_size, map_size, text_contains, text_starts, text_ends, text_lower, text_lower_ascii,
    text_upper_ascii, text_char_at, text_index_of, text_last_index_of, text_substring, text_split, text_join,
    text_replace, text_trim, text_reverse;
/* convert.c */
function to_same, to_int, to_uint, to_double, to_string, to_bool, to_time, to_duration, to_dyn, span_days,
    span_hours, span_minutes;
/* regex.c */
function text_matches;

#endif
