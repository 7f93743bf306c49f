/* mal on tally: a Lisp whose every value is a tally object. It is also the model of a host: what it does with
 * libtally is what an embedder copies.
 *
 * How references are kept, everywhere in this folder
 *  - A function that returns a value returns a new reference, or NULL when it threw: then the exception is
 *    mal->error, which owns it. Arguments are borrowed, unless a name says _steal.
 *  - Locals that own a reference are TALLY_LOCAL, so that every return gives them back.
 *  - Slots inside objects are written with tally_store() and tally_store_steal() alone.
 *  - Nothing but the line buffer is native memory: lists, environments, even long text that is being printed,
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

/* Some kinds have more layouts than the one that has their number: the library is quickest with types of a
 * fixed size, and what refers to nothing costs the collector nothing.
 * LAYOUT(NAME, type's name) */
#define MAL_LAYOUTS(LAYOUT) \
    LAYOUT(EMPTY, "empty list") LAYOUT(LIST_META, "list with meta") LAYOUT(TEMPLATE, "template") \
    LAYOUT(ENV_2, "environment of 2") LAYOUT(ENV_4, "environment of 4")
enum layout {
    MAL_LAYOUT_LAST_KIND = MAL_KIND_COUNT - 1,
#define LAYOUT(name, type) MAL_##name,
    MAL_LAYOUTS(LAYOUT)
#undef LAYOUT
    MAL_LAYOUT_COUNT
};

/* Symbols that mean something to the interpreter itself. WORD(NAME, text) */
#define MAL_WORDS(WORD) \
    WORD(DEF, "def!") WORD(DEFMACRO, "defmacro!") WORD(LET, "let*") WORD(DO, "do") WORD(IF, "if") \
    WORD(FN, "fn*") WORD(QUOTE, "quote") WORD(QUASIQUOTE, "quasiquote") WORD(TRY, "try*") \
    WORD(UNQUOTE, "unquote") WORD(SPLICE, "splice-unquote") WORD(CATCH, "catch*") WORD(AMPERSAND, "&") \
    WORD(DEBUG, "DEBUG-EVAL") WORD(CONCAT, "concat") WORD(CONS, "cons") WORD(VEC, "vec") \
    WORD(DEREF, "deref") WORD(META, "with-meta")
enum word {
    MAL_WORD_NONE,
#define WORD(name, text) MAL_WORD_##name,
    MAL_WORDS(WORD)
#undef WORD
    MAL_WORD_COUNT
};

struct value { /* what every object begins with */
    uint8_t kind;
    bool flag;       /* closure: a macro; list: has meta; environment: its outer one is more of it */
    uint32_t number; /* symbol: its enum word; environment: names; list: a template, or as a form that binds or makes
                        something the line it was read from; closure, atom: the line that made or bound it; 0: unknown */
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
struct symbol { /* refers to nothing: what it means outermost stands in mal->globals */
    struct value value;
    uint32_t global; /* where, or 0: nowhere */
    bool local;      /* was bound elsewhere at some time; else no environment needs to be searched */
    size_t length;
    char bytes[];
};
struct list { /* a pair, or the empty list: then rest is NULL */
    struct value value;
    void *first, *rest;
};
struct list_meta {
    struct list list;
    void *meta;
};
struct template { /* (quasiquote form) as the reader makes it of `form; value.number tells it from other lists */
    struct list list;
    void *expansion; /* depends on nothing but the form, so that it is made only once; or NULL */
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
    uint32_t fixed; /* parameters in front of & */
    bool variadic;  /* the last parameter takes the rest */
};
struct mal;
typedef void *(*builtin_fn)(struct mal *mal, void **args, size_t count);
struct routine { /* a row of core.def */
    const char *word;
    builtin_fn call;
    int least, most; /* arguments; most < 0: any number */
    bool evaluates;  /* runs code of the program's */
};
struct builtin {
    struct value value;
    void *meta;
    const struct routine *routine;
};
struct atom {
    struct value value;
    void *content;
};
/* Of a call: items are the values of the closure's parameters, and nothing is copied. Of let* and catch*: the
 * first half of items are values, the second their names. The outermost has neither. */
struct env {
    struct value value;
    void *outer;   /* NULL: the closure's */
    void *closure; /* of a call */
    size_t length;
    void *items[];
};

struct mal {
    struct tally_heap *heap;
    const struct tally_type *types[MAL_LAYOUT_COUNT];
    void *nil, *yes, *no, *empty;        /* one of each */
    struct symbol *words[MAL_WORD_COUNT];
    struct vector *symbols;              /* hash set: NULL for empty */
    size_t symbol_count;
    struct vector *globals; /* values in the outermost environment, by symbol->global; [0] is NULL */
    uint32_t global_count;
    struct vector *integers; /* the small ones */
    void *root;              /* the outermost environment */
    void *error;             /* exception on its way, or NULL */
    void *out_of_memory;
    bool debug_bound; /* DEBUG-EVAL was bound at some time */
    uintptr_t stack_limit;
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
void *mal_too_deep(struct mal *mal);
static inline bool mal_stack_ok(struct mal *mal) /* throws where it is not */
{
    return (uintptr_t)__builtin_frame_address(0) > mal->stack_limit || mal_too_deep(mal);
}

/* Throw: return NULL. */
__attribute__((format(printf, 2, 3))) void *mal_throw(struct mal *mal, const char *format, ...);
void *mal_throw_value(struct mal *mal, void *value);
void *mal_out_of_memory(struct mal *mal);

/* values.c */
int mal_types_register(struct mal *mal);
static inline void *mal_new_as(struct mal *mal, int layout, enum kind kind)
{
    struct value *value = tally_new(mal->heap, mal->types[layout]);
    if (!value)
        return mal_out_of_memory(mal);
    value->kind = (uint8_t)kind;
    return value;
}
static inline void *mal_new(struct mal *mal, enum kind kind)
{
    return mal_new_as(mal, (int)kind, kind);
}
void *mal_new_array(struct mal *mal, enum kind kind, size_t length);
/* A TALLY_LOCAL's reference becomes the caller's. To return a reference of one's own instead, and give the
 * local's back, would make a candidate of each value: the collector looks at what lost one and lived. */
#define MAL_GIVE(local) mal_give((void **)(void *)&(local))
static inline void *mal_give(void **local)
{
    void *value = *local;
    *local = NULL;
    return value;
}
void *mal_integer(struct mal *mal, int64_t number);
static inline void *mal_boolean(struct mal *mal, bool truth)
{
    return tally_dup(truth ? mal->yes : mal->no);
}
void *mal_string(struct mal *mal, const char *bytes, size_t length);
void *mal_keyword(struct mal *mal, const char *bytes, size_t length);
void *mal_atom(struct mal *mal, void *content);
/* A value that is equal but for its meta. */
void *mal_with_meta(struct mal *mal, void *value, void *meta);
void *mal_meta_of(void *value);                        /* borrowed, or NULL */
bool mal_equal(struct mal *mal, void *one, void *two); /* false also when it throws */

/* symbols.c: there is one symbol of each name, so that symbols are compared by address */
void *mal_symbol(struct mal *mal, const char *bytes, size_t length);
bool mal_words_make(struct mal *mal);

/* sequence.c */
void *mal_cons_steal(struct mal *mal, void *first, void *rest); /* steals both, also when it throws */
void *mal_list_of(struct mal *mal, void **items, size_t count);
/* A vector with the items of a list, vector or nil. */
void *mal_vector_of(struct mal *mal, void *sequence);
/* The items of a list or vector one after the other; anything else has none. */
struct walk {
    const struct list *list;
    void *const *at, *const *end;
};
struct walk mal_walk(const void *sequence);
static inline void *mal_next(struct walk *walk) /* borrowed, or NULL: that was all */
{
    if (!walk->list)
        return walk->at < walk->end ? *walk->at++ : NULL;
    void *item = walk->list->first;
    if (item)
        walk->list = walk->list->rest;
    return item;
}
size_t mal_length(const void *sequence);

/* Values on their way, a few on the C stack, more in a vector. The first `owned` are, the others are borrowed. */
#define MAL_ARGS_FEW 6
struct args {
    void **items;
    size_t count, owned;
    struct vector *many;
    void *few[MAL_ARGS_FEW];
};
#define MAL_ARGS __attribute__((cleanup(mal_args_close))) struct args
bool mal_args_open(struct mal *mal, struct args *args, size_t room);
void mal_args_close(struct args *args);
void mal_args_push_steal(struct args *args, void *value);
/* A list of them, which must be owned, and go, in front of the list rest, which is stolen. */
void *mal_args_list(struct mal *mal, struct args *args, void *rest);

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
struct env *mal_env_new(struct mal *mal, size_t room);                   /* its outer is the caller's to set */
struct env *mal_env_call(struct mal *mal, struct closure *closure); /* its items are the caller's to set */
void mal_name_local(struct mal *mal, struct symbol *name); /* it is bound in an environment from now on */
bool mal_env_set(struct mal *mal, struct env *env, struct symbol *name, void *value);
void *mal_env_get(const struct mal *mal, const struct env *env, const struct symbol *name); /* borrowed, or NULL */
void *mal_env_need(struct mal *mal, const struct env *env, const struct symbol *name); /* borrowed, or throws */

/* eval.c */
void *mal_eval(struct mal *mal, void *form, void *env);
static inline bool mal_is_compound(const void *form)
{
    return mal_kind(form) >= MAL_LIST;
}
/* What a form that is not compound stands for, borrowed: it lasts until code runs that may bind anew. */
static inline void *mal_simple(struct mal *mal, void *form, void *env)
{
    return mal_kind(form) == MAL_SYMBOL ? mal_env_need(mal, env, form) : form;
}
/* mal_eval() for forms that are small more often than not. */
static inline void *mal_value_of(struct mal *mal, void *form, void *env)
{
    return mal->debug_bound || mal_is_compound(form) ? mal_eval(mal, form, env)
                                                     : tally_dup(mal_simple(mal, form, env));
}

/* call.c */
void *mal_apply(struct mal *mal, void *function, void **args, size_t count);
/* The forms are evaluated in env, and what they give is the call's. */
void *mal_call_routine(struct mal *mal, const struct routine *routine, const struct list *forms, void *env);
struct env *mal_call_env(struct mal *mal, struct closure *closure, const struct list *forms, void *env);
void *mal_call_wrong(struct mal *mal, const struct list *forms, void *env); /* throws after that */
/* A macro gets its forms as they are. */
void *mal_expand(struct mal *mal, struct closure *macro, const struct list *forms);

/* quote.c */
void *mal_quasiquote(struct mal *mal, void *form);
void *mal_template(struct mal *mal, void *form);                       /* (quasiquote form) */
void *mal_template_expand(struct mal *mal, struct template *template); /* borrowed */

/* core.c: defines the functions of core.def in the outermost environment */
bool mal_core_define(struct mal *mal);
#define MAL_BUILTIN(word, function, least, most) void *function(struct mal *mal, void **args, size_t count);
#define MAL_EVALUATOR MAL_BUILTIN
#include "mal/core.def"
#undef MAL_BUILTIN
#undef MAL_EVALUATOR

/* input.c: lines from standard input; the owner is woken for requests while it waits */
const char *mal_line(struct mal *mal, const char *prompt, size_t *length); /* NULL: end of input */
void mal_sleep(struct mal *mal, uint64_t ms);
void mal_line_free(void);

#endif
