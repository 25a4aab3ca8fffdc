/* table_words.h - short words for shapes, for the files that are tables of keys and for nothing else. */
#ifndef HG_DEFINE_TABLE_WORDS_H
#define HG_DEFINE_TABLE_WORDS_H

#include "core/define/table.h"

#define TAKES(kind)                                                                                          \
    {                                                                                                        \
        .scalar = SCALAR_##kind                                                                              \
    }
#define WORDS(list)                                                                                          \
    {                                                                                                        \
        .scalar = SCALAR_WORD, .words = list                                                                 \
    }
#define KEYS(block_name)                                                                                     \
    {                                                                                                        \
        .block = &block_name                                                                                 \
    }
#define NAMED(shape_name)                                                                                    \
    {                                                                                                        \
        .values = &shape_name                                                                                \
    }
#define LIST(shape_name)                                                                                     \
    {                                                                                                        \
        .item = &shape_name                                                                                  \
    }
#define SOME(kind, shape_name)                                                                               \
    {                                                                                                        \
        .scalar = SCALAR_##kind, .item = &shape_name                                                         \
    } /* one, or a list of them */
#define BLOCK(name, title, ...)                                                                              \
    static const struct key_row name##_keys[] = {__VA_ARGS__, {0}};                                          \
    static const struct block name = {title, name##_keys}

#endif
