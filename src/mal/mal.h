/* mal on tally: a Lisp whose every value is a tally object. It is also the model of a host: what it does with
 * libtally is what an embedder copies.
 *
 * How references are kept, everywhere in this folder
 *  - A function that returns a value returns a new reference, or NULL when it threw: then the exception is
 *    mal->error, which owns it. Arguments are borrowed, unless a name says _steal.
 *  - Locals that own a reference are TALLY_LOCAL, so that every return gives them back.
 *  - Slots inside objects are written with tally_store() and tally_store_steal() alone.
 *  - Nothing but the line buffer is native memory: lists, environments, even the text that is being printed,
 *    live on the heap, so that the daemon sees what the program really uses.
 *  - Nothing recurses without asking mal_stack_ok() first: too deep is an exception, not a crash.
 */
#ifndef TALLY_MAL_MAL_H
#define TALLY_MAL_MAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tally.h"

/* KIND(NAME, type's name) */
#define MAL_KINDS(KIND) \
    KIND(NIL, "nil") KIND(BOOLEAN, "boolean") KIND(INTEGER, "integer") KIND(STRING, "string") \
    KIND(KEYWORD, "keyword") KIND(SYMBOL, "symbol") KIND(LIST, "list") KIND(VECTOR, "vector") \
    KIND(MAP, "map") \
    KIND(CLOSURE, "closure") KIND(BUILTIN, "builtin") KIND(ATOM, "atom") KIND(ENV, "environment")
enum kind {
#define KIND(name, type) MAL_##name,
    MAL_KINDS(KIND)
#undef KIND
    MAL_KIND_COUNT
};

struct value { /* what every object begins with */
    uint32_t kind;
    uint32_t flag; /* closure: a macro; environment: names and values are shared */
};
struct integer {
    struct value value;
    int64_t number;
};
struct string { /* strings and keywords; a keyword's colon is not in its bytes */
    struct value value;
    size_t length;
    char bytes[];
};
struct symbol {
    struct value value;
    void *global; /* its value in the outermost environment */
    size_t length;
    char bytes[];
};
struct list { /* a pair, or the empty list: then rest is NULL */
    struct value value;
    void *first, *rest, *meta;
};
struct vector {
    struct value value;
    void *meta;
    size_t length;
    void *items[];
};
struct map { /* open addressing: key and value in items[2 * i] and items[2 * i + 1] */
    struct value value;
    void *meta;
    size_t count;
    size_t length;
    void *items[];
};
struct closure {
    struct value value;
    void *params; /* vector of symbols */
    void *body, *env, *meta;
    size_t fixed;  /* parameters in front of & */
    bool variadic; /* the last parameter takes the rest */
};
struct mal;
typedef void *(*builtin_fn)(struct mal *mal, void **args, size_t count);
struct builtin {
    struct value value;
    void *meta;
    const char *name;
    builtin_fn call;
    int least, most; /* arguments; most < 0: any number */
};
struct atom {
    struct value value;
    void *content, *meta;
};
struct env {
    struct value value;
    void *outer;          /* NULL: the outermost, whose values stand in the symbols */
    void *names, *values; /* vectors; names may be a closure's params, which are shared */
    size_t count;
};

struct mal {
    struct tally_heap *heap;
    const struct tally_type *types[MAL_KIND_COUNT];
    void *nil, *yes, *no, *empty; /* one of each */
    void *symbols;                /* hash set: a vector with NULL for empty */
    size_t symbol_count;
    void *integers; /* vector of the small ones */
    void *root;     /* the outermost environment */
    void *error;    /* exception on its way, or NULL */
    void *out_of_memory;
    bool debug_bound; /* DEBUG-EVAL was bound at some time */
    uintptr_t stack_limit;
    struct symbol *s_def, *s_let, *s_do, *s_if, *s_fn, *s_quote, *s_quasiquote, *s_unquote, *s_splice,
        *s_defmacro, *s_try, *s_catch, *s_ampersand, *s_debug, *s_concat, *s_cons, *s_vec, *s_deref, *s_meta;
};

static inline enum kind mal_kind(const void *value)
{
    return (enum kind)((const struct value *)value)->kind;
}
static inline bool mal_is_list(const void *value)
{
    return mal_kind(value) == MAL_LIST;
}
static inline bool mal_is_sequence(const void *value)
{
    return mal_kind(value) == MAL_LIST || mal_kind(value) == MAL_VECTOR;
}
static inline bool mal_is_empty(const struct list *list)
{
    return !list->rest;
}
static inline bool mal_truth(const struct mal *mal, const void *value)
{
    return value != mal->nil && value != mal->no;
}

/* mal.c: 0 or TALLY_E*. The heap must be without objects of others. */
int mal_open(struct mal *mal, struct tally_heap *heap, int argc, char **argv);
void mal_close(struct mal *mal);
bool mal_stack_ok(struct mal *mal); /* throws where it is not */

/* values.c */
void *mal_new(struct mal *mal, enum kind kind);
void *mal_new_array(struct mal *mal, enum kind kind, size_t length);
int mal_types_register(struct mal *mal);
void *mal_integer(struct mal *mal, int64_t number);
void *mal_boolean(struct mal *mal, bool truth);
void *mal_string(struct mal *mal, const char *bytes, size_t length);
void *mal_keyword(struct mal *mal, const char *bytes, size_t length);
void *mal_symbol(struct mal *mal, const char *bytes, size_t length);
void *mal_cons_steal(struct mal *mal, void *first, void *rest); /* steals both, also when it throws */
void *mal_atom(struct mal *mal, void *content);
void *mal_list_of(struct mal *mal, void **items, size_t count);
/* A vector with the items of a list, vector or nil. */
void *mal_vector_of(struct mal *mal, void *sequence);
/* A value that is equal but for its meta. */
void *mal_with_meta(struct mal *mal, void *value, void *meta);
bool mal_equal(struct mal *mal, void *one, void *two); /* false also when it throws */

/* Throw: return NULL. */
__attribute__((format(printf, 2, 3))) void *mal_throw(struct mal *mal, const char *format, ...);
void *mal_throw_value(struct mal *mal, void *value);

/* map.c */
void *mal_map_of(struct mal *mal, void **items, size_t count); /* key, value, key, value ... */
void *mal_map_get(const struct map *map, void *key);           /* borrowed, or NULL */
void *mal_map_with(struct mal *mal, struct map *map, void **items, size_t count);
void *mal_map_without(struct mal *mal, struct map *map, void **keys, size_t count);
bool mal_is_key(const void *value);
bool mal_same_text(const void *one, const void *two);

/* reader.c, printer.c */
void *mal_read(struct mal *mal, const char *text, size_t length, bool *nothing);
void *mal_print(struct mal *mal, void **values, size_t count, bool readably, const char *between);

/* env.c */
void *mal_env_new(struct mal *mal, void *outer, size_t room);
void *mal_env_call(struct mal *mal, struct closure *closure, void *args); /* args: vector */
bool mal_env_set(struct mal *mal, struct env *env, struct symbol *name, void *value);
void *mal_env_get(const struct env *env, const struct symbol *name); /* borrowed, or NULL */

/* eval.c */
void *mal_eval(struct mal *mal, void *form, void *env);
void *mal_apply(struct mal *mal, void *function, void *args); /* args: vector */

/* core.c: defines the functions of core.def in the outermost environment */
bool mal_core_define(struct mal *mal);
#define MAL_BUILTIN(word, function, least, most) void *function(struct mal *mal, void **args, size_t count);
#include "mal/core.def"
#undef MAL_BUILTIN

/* input.c: lines from standard input; the owner is woken for requests while it waits */
const char *mal_line(struct mal *mal, const char *prompt, size_t *length); /* NULL: end of input */
void mal_sleep(struct mal *mal, uint64_t ms);
void mal_line_free(void);

#endif
