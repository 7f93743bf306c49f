/* Tests, numbers, atoms and metadata; and the outermost environment. */
#include <string.h>

#include "mal/mal.h"

static const struct routine routines[] = {
#define MAL_BUILTIN(word, function, least, most) {word, function, least, most, false},
#define MAL_EVALUATOR(word, function, least, most) {word, function, least, most, true},
#include "mal/core.def"
#undef MAL_BUILTIN
#undef MAL_EVALUATOR
};

bool mal_core_define(struct mal *mal)
{
    for (size_t i = 0; i < sizeof routines / sizeof *routines; i++) {
        TALLY_LOCAL struct symbol *name = mal_symbol(mal, routines[i].word, strlen(routines[i].word));
        TALLY_LOCAL struct builtin *builtin = name ? mal_new(mal, MAL_BUILTIN) : NULL;
        if (!builtin)
            return false;
        builtin->routine = &routines[i];
        if (!mal_env_set(mal, mal->root, name, builtin))
            return false;
    }
    return true;
}

void *mal_is_equal(struct mal *mal, void **args, size_t count)
{
    (void)count;
    bool equal = mal_equal(mal, args[0], args[1]);
    return mal->error ? NULL : mal_boolean(mal, equal);
}

void *mal_throw_it(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return mal_throw_value(mal, args[0]);
}

#define TEST(function, condition) \
    void *function(struct mal *mal, void **args, size_t count) \
    { \
        (void)count; \
        return mal_boolean(mal, condition); \
    }
TEST(mal_is_nil, args[0] == mal->nil)
TEST(mal_is_true, args[0] == mal->yes)
TEST(mal_is_false, args[0] == mal->no)
TEST(mal_is_string, mal_kind(args[0]) == MAL_STRING)
TEST(mal_is_symbol, mal_kind(args[0]) == MAL_SYMBOL)
TEST(mal_is_keyword, mal_kind(args[0]) == MAL_KEYWORD)
TEST(mal_is_number, mal_kind(args[0]) == MAL_INTEGER)
TEST(mal_is_function, mal_kind(args[0]) == MAL_BUILTIN ||
                          (mal_kind(args[0]) == MAL_CLOSURE && !((struct value *)args[0])->flag))
TEST(mal_is_macro, mal_kind(args[0]) == MAL_CLOSURE && ((struct value *)args[0])->flag)
TEST(mal_is_list_value, mal_is_list(args[0]))
TEST(mal_is_vector, mal_kind(args[0]) == MAL_VECTOR)
TEST(mal_is_map, mal_kind(args[0]) == MAL_MAP)
TEST(mal_is_atom, mal_kind(args[0]) == MAL_ATOM)
TEST(mal_is_sequential, mal_is_sequence(args[0]))

void *mal_make_symbol(struct mal *mal, void **args, size_t count)
{
    (void)count;
    const struct string *name = args[0];
    if (mal_kind(name) != MAL_STRING)
        return mal_throw(mal, "symbol: a string is needed");
    return mal_symbol(mal, name->bytes, name->length);
}

void *mal_make_keyword(struct mal *mal, void **args, size_t count)
{
    (void)count;
    const struct string *name = args[0];
    if (!mal_is_key(name))
        return mal_throw(mal, "keyword: a string is needed");
    return mal_keyword(mal, name->bytes, name->length);
}

static bool numbers_ok(struct mal *mal, void **args, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (mal_kind(args[i]) != MAL_INTEGER) {
            mal_throw(mal, "a number is needed");
            return false;
        }
    return true;
}

static uint64_t bits(const void *integer)
{
    return (uint64_t)((const struct integer *)integer)->number;
}

/* Arithmetic wraps at 64 bits. */
void *mal_add(struct mal *mal, void **args, size_t count)
{
    uint64_t sum = 0;
    if (!numbers_ok(mal, args, count))
        return NULL;
    for (size_t i = 0; i < count; i++)
        sum += bits(args[i]);
    return mal_integer(mal, (int64_t)sum);
}

void *mal_subtract(struct mal *mal, void **args, size_t count)
{
    if (!numbers_ok(mal, args, count))
        return NULL;
    uint64_t difference = count == 1 ? 0 - bits(args[0]) : bits(args[0]);
    for (size_t i = 1; i < count; i++)
        difference -= bits(args[i]);
    return mal_integer(mal, (int64_t)difference);
}

void *mal_multiply(struct mal *mal, void **args, size_t count)
{
    uint64_t product = 1;
    if (!numbers_ok(mal, args, count))
        return NULL;
    for (size_t i = 0; i < count; i++)
        product *= bits(args[i]);
    return mal_integer(mal, (int64_t)product);
}

void *mal_divide(struct mal *mal, void **args, size_t count)
{
    if (!numbers_ok(mal, args, count))
        return NULL;
    int64_t quotient = count == 1 ? 1 : (int64_t)bits(args[0]);
    for (size_t i = count > 1; i < count; i++) {
        int64_t divisor = (int64_t)bits(args[i]);
        if (!divisor)
            return mal_throw(mal, "division by zero");
        quotient = divisor == -1 ? (int64_t)(0 - (uint64_t)quotient) : quotient / divisor;
    }
    return mal_integer(mal, quotient);
}

#define COMPARE(function, operator) \
    void *function(struct mal *mal, void **args, size_t count) \
    { \
        if (!numbers_ok(mal, args, count)) \
            return NULL; \
        return mal_boolean(mal, (int64_t)bits(args[0]) operator(int64_t) bits(args[1])); \
    }
COMPARE(mal_less, <)
COMPARE(mal_less_equal, <=)
COMPARE(mal_greater, >)
COMPARE(mal_greater_equal, >=)

void *mal_make_with_meta(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return mal_with_meta(mal, args[0], args[1]);
}

void *mal_meta(struct mal *mal, void **args, size_t count)
{
    (void)count;
    void *meta = mal_meta_of(args[0]);
    return tally_dup(meta ? meta : mal->nil);
}

void *mal_make_atom(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return mal_atom(mal, args[0]);
}

static bool atom_ok(struct mal *mal, const void *value)
{
    if (mal_kind(value) == MAL_ATOM)
        return true;
    mal_throw(mal, "an atom is needed");
    return false;
}

void *mal_deref(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return atom_ok(mal, args[0]) ? tally_dup(((struct atom *)args[0])->content) : NULL;
}

void *mal_reset(struct mal *mal, void **args, size_t count)
{
    (void)count;
    struct atom *atom = args[0];
    if (!atom_ok(mal, atom))
        return NULL;
    tally_store(atom, &atom->content, args[1]);
    return tally_dup(args[1]);
}

void *mal_swap(struct mal *mal, void **args, size_t count)
{
    struct atom *atom = args[0];
    if (!atom_ok(mal, atom))
        return NULL;
    MAL_ARGS call;
    if (!mal_args_open(mal, &call, count - 1))
        return NULL;
    mal_args_push_steal(&call, tally_dup(atom->content)); /* the function may give the atom another */
    for (size_t i = 2; i < count; i++)
        mal_args_push_steal(&call, tally_dup(args[i]));
    void *value = mal_apply(mal, args[1], call.items, call.count);
    if (value)
        tally_store(atom, &atom->content, value);
    return value;
}
