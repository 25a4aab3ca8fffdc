#include "core/expr/function.h"

const struct function_row function_table[] = {
    {"_+_", "ii", 'i', false, OP_ADD, NULL},
    {"_+_", "uu", 'u', false, OP_ADD, NULL},
    {"_+_", "dd", 'd', false, OP_ADD, NULL},
    {"_+_", "ss", 's', false, OP_ADD, NULL},
    {"_+_", "LL", 'L', false, OP_ADD, NULL},
    {"_+_", "tD", 't', false, OP_ADD, NULL},
    {"_+_", "Dt", 't', false, OP_ADD, NULL},
    {"_+_", "DD", 'D', false, OP_ADD, NULL},
    {"_-_", "ii", 'i', false, OP_SUBTRACT, NULL},
    {"_-_", "uu", 'u', false, OP_SUBTRACT, NULL},
    {"_-_", "dd", 'd', false, OP_SUBTRACT, NULL},
    {"_-_", "tt", 'D', false, OP_SUBTRACT, NULL},
    {"_-_", "tD", 't', false, OP_SUBTRACT, NULL},
    {"_-_", "DD", 'D', false, OP_SUBTRACT, NULL},
    {"_*_", "ii", 'i', false, OP_MULTIPLY, NULL},
    {"_*_", "uu", 'u', false, OP_MULTIPLY, NULL},
    {"_*_", "dd", 'd', false, OP_MULTIPLY, NULL},
    {"_/_", "ii", 'i', false, OP_DIVIDE, NULL},
    {"_/_", "uu", 'u', false, OP_DIVIDE, NULL},
    {"_/_", "dd", 'd', false, OP_DIVIDE, NULL},
    {"_%_", "ii", 'i', false, OP_MODULO, NULL},
    {"_%_", "uu", 'u', false, OP_MODULO, NULL},
    {"-_", "i", 'i', false, OP_NEGATE, NULL},
    {"-_", "d", 'd', false, OP_NEGATE, NULL},
    {"!_", "b", 'b', false, OP_NOT, NULL},
    {"@in", "?L", 'b', false, OP_IN, NULL},
    {"@in", "?M", 'b', false, OP_IN, NULL},

    {"size", "s", 'i', false, OP_CALL, text_size},
    {"size", "L", 'i', false, OP_CALL, list_size},
    {"size", "M", 'i', false, OP_CALL, map_size},
    {"size", "s", 'i', true, OP_CALL, text_size},
    {"size", "L", 'i', true, OP_CALL, list_size},
    {"size", "M", 'i', true, OP_CALL, map_size},
    {"contains", "ss", 'b', true, OP_CALL, text_contains},
    {"startsWith", "ss", 'b', true, OP_CALL, text_starts},
    {"endsWith", "ss", 'b', true, OP_CALL, text_ends},
    {"matches", "ss", 'b', true, OP_CALL, text_matches},
    {"matches", "ss", 'b', false, OP_CALL, text_matches},
    {"lower", "s", 's', true, OP_CALL, text_lower},
    {"lowerAscii", "s", 's', true, OP_CALL, text_lower_ascii},
    {"upperAscii", "s", 's', true, OP_CALL, text_upper_ascii},
    {"trim", "s", 's', true, OP_CALL, text_trim},
    {"reverse", "s", 's', true, OP_CALL, text_reverse},
    {"charAt", "si", 's', true, OP_CALL, text_char_at},
    {"indexOf", "ss", 'i', true, OP_CALL, text_index_of},
    {"indexOf", "ssi", 'i', true, OP_CALL, text_index_of},
    {"lastIndexOf", "ss", 'i', true, OP_CALL, text_last_index_of},
    {"lastIndexOf", "ssi", 'i', true, OP_CALL, text_last_index_of},
    {"substring", "si", 's', true, OP_CALL, text_substring},
    {"substring", "sii", 's', true, OP_CALL, text_substring},
    {"split", "ss", 'S', true, OP_CALL, text_split},
    {"split", "ssi", 'S', true, OP_CALL, text_split},
    {"join", "S", 's', true, OP_CALL, text_join},
    {"join", "Ss", 's', true, OP_CALL, text_join},
    {"replace", "sss", 's', true, OP_CALL, text_replace},
    {"replace", "sssi", 's', true, OP_CALL, text_replace},

    {"dyn", "?", '?', false, OP_CALL, to_dyn},
    {"int", "i", 'i', false, OP_CALL, to_same},
    {"int", "u", 'i', false, OP_CALL, to_int},
    {"int", "d", 'i', false, OP_CALL, to_int},
    {"int", "s", 'i', false, OP_CALL, to_int},
    {"int", "t", 'i', false, OP_CALL, to_int},
    {"uint", "u", 'u', false, OP_CALL, to_same},
    {"uint", "i", 'u', false, OP_CALL, to_uint},
    {"uint", "d", 'u', false, OP_CALL, to_uint},
    {"uint", "s", 'u', false, OP_CALL, to_uint},
    {"double", "d", 'd', false, OP_CALL, to_same},
    {"double", "i", 'd', false, OP_CALL, to_double},
    {"double", "u", 'd', false, OP_CALL, to_double},
    {"double", "s", 'd', false, OP_CALL, to_double},
    {"string", "s", 's', false, OP_CALL, to_same},
    {"string", "b", 's', false, OP_CALL, to_string},
    {"string", "i", 's', false, OP_CALL, to_string},
    {"string", "u", 's', false, OP_CALL, to_string},
    {"string", "d", 's', false, OP_CALL, to_string},
    {"string", "t", 's', false, OP_CALL, to_string},
    {"string", "D", 's', false, OP_CALL, to_string},
    {"bool", "b", 'b', false, OP_CALL, to_same},
    {"bool", "s", 'b', false, OP_CALL, to_bool},
    {"timestamp", "t", 't', false, OP_CALL, to_same},
    {"timestamp", "s", 't', false, OP_CALL, to_time},
    {"timestamp", "i", 't', false, OP_CALL, to_time},
    {"duration", "D", 'D', false, OP_CALL, to_same},
    {"duration", "s", 'D', false, OP_CALL, to_duration},
    {"days", "i", 'D', false, OP_CALL, span_days},
    {"hours", "i", 'D', false, OP_CALL, span_hours},
    {"minutes", "i", 'D', false, OP_CALL, span_minutes},
};
const uint32_t function_rows = sizeof function_table / sizeof *function_table;

static const struct {
    char letter;
    uint8_t type, kind;
} letters[] = {
    {'b', TYPE_BOOL, V_BOOL},         {'i', TYPE_INT, V_INT},       {'u', TYPE_UINT, V_UINT},
    {'d', TYPE_DOUBLE, V_DOUBLE},     {'s', TYPE_STRING, V_STRING}, {'t', TYPE_TIME, V_TIME},
    {'D', TYPE_DURATION, V_DURATION}, {'n', TYPE_NULL, V_NULL},     {'L', TYPE_LIST, V_LIST},
    {'M', TYPE_MAP, V_MAP},           {'?', TYPE_DYN, V_NONE},
};

const struct type *function_result(char letter)
{
    if (letter == 'S') return type_declared(T_STRINGS);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == letter) return type_basic(letters[i].type);
    CHECK(!"a letter of the table");
    return NULL;
}

bool function_takes(char letter, const struct type *t)
{
    if (letter == '?' || type_is_open(t)) return true;
    if (letter == 't') return t->kind == TYPE_TIME || t->kind == TYPE_DATE;
    if (letter == 'S') return t->kind == TYPE_LIST && (type_is_open(t->item) || t->item->kind == TYPE_STRING);
    return t->kind == function_result(letter)->kind;
}

static bool takes_value(char letter, struct value v)
{
    if (letter == '?') return true;
    if (v.kind == V_RAW) return letter == 'L' || letter == 'M' || letter == 'S';
    if (letter == 'S') return v.kind == V_LIST;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == letter) return letters[i].kind == v.kind;
    return false;
}

static bool row_takes(const struct function_row *row, const struct value *args, uint32_t n)
{
    if (strlen(row->args) != n) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!takes_value(row->args[i], args[i])) return false;
    return true;
}

/* The overload for what the arguments turned out to be; rows of one name stand together. */
static const struct function_row *row_for(const struct function_row *row, const struct value *args,
                                          uint32_t n)
{
    const struct function_row *end = function_table + function_rows;
    const char *name = row->name;
    bool method = row->method;
    for (; row < end && strcmp(row->name, name) == 0; row++)
        if (row->method == method && row_takes(row, args, n)) return row;
    return NULL;
}

/* in->c arguments. A static call has the right kinds already, unless a message brought them (V_RAW is both list and
 * map), so that only a dynamic one looks for its row. */
struct slot *op_call(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct function_row *row = &function_table[in->b];
    struct slot *first = top - in->c;
    struct value args[4] = {{0}}, error = value_none();
    uint32_t change = NEVER;
    CHECK(in->c <= 4);
    for (uint32_t i = 0; i < in->c; i++) {
        if (row->run != to_dyn) slot_settle(m, &first[i]);
        change = sooner(change, first[i].change);
        args[i] = first[i].v.kind == V_RAW ? value_unfold(m, first[i].v) : first[i].v;
        if (args[i].kind == V_ERROR && error.kind == V_NONE) error = args[i];
    }
    if (in->a & SMALL_DYNAMIC) row = row_for(row, args, in->c);
    first->v = error.kind == V_ERROR ? error : row ? row->run(m, args) : NO_OVERLOAD;
    first->change = change;
    return first + 1;
}
