/* token.h - the words of an expression's text.
 * Owner: the caller's arena holds decoded string literals. Fails: a bad token carries its reason and position; the
 * reader goes on behind it, so that all errors of a text are found. */
#ifndef HG_EXPR_TOKEN_H
#define HG_EXPR_TOKEN_H

#include "core/model/value.h"

enum token_kind {
    TOKEN_END,
    TOKEN_BAD,   /* reason says why */
    TOKEN_NAME,  /* text */
    TOKEN_VALUE, /* int, uint, double, string literal: value */
    TOKEN_SIGN,  /* operator or bracket: sign holds up to two characters, as in SIGN2('&', '&') */
};
#define SIGN2(a, b) ((uint16_t)((a) | (b) << 8))

struct token {
    uint8_t kind;
    uint16_t sign;
    uint32_t at, length;
    struct slice text;
    struct value value;
    const char *reason, *fix; /* TOKEN_BAD; fix NULL: none in particular */
};

struct lexer {
    struct slice text;
    uint32_t at;
    struct arena *arena;
};
/* `minus`: a number literal stands behind a minus sign, so that -9223372036854775808 can be read. */
struct token token_next(struct lexer *l, bool minus);

#endif
