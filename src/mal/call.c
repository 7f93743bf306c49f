/* Calls. Arguments are evaluated straight to where they are needed: a closure's into its environment, a
 * builtin's onto the C stack. */
#include "mal/mal.h"

static bool arity_fits(const struct closure *closure, size_t count)
{
    return count == closure->fixed || (count > closure->fixed && closure->variadic);
}

static bool arity_ok(struct mal *mal, const struct closure *closure, size_t count)
{
    if (arity_fits(closure, count))
        return true;
    mal_throw(mal, "%zu arguments were given, and %s%u are needed", count,
              closure->variadic ? "at least " : "", closure->fixed);
    return false;
}

static void *routine_call(struct mal *mal, const struct routine *routine, void **args, size_t count)
{
    if (count < (size_t)routine->least || (routine->most >= 0 && count > (size_t)routine->most))
        return mal_throw(mal, "%s: %zu arguments were given", routine->word, count);
    return routine->call(mal, args, count);
}

/* What a variable has needs no reference of ours while no code runs that could bind it anew: arguments behind
 * the last compound form are borrowed. */
void *mal_call_routine(struct mal *mal, const struct routine *routine, const struct list *forms, void *env)
{
    size_t count = 0, compound = 0; /* forms up to the last one that is compound */
    for (const struct list *rest = forms; !mal_is_empty(rest); rest = rest->rest) {
        count++;
        if (mal_is_compound(rest->first))
            compound = count;
    }
    MAL_ARGS args;
    if (!mal_args_open(mal, &args, count))
        return NULL;
    size_t owned = routine->evaluates || args.many ? count : compound;
    for (; !mal_is_empty(forms); forms = forms->rest) {
        bool own = args.count < owned || mal->debug_bound;
        void *value = own ? mal_value_of(mal, forms->first, env) : mal_simple(mal, forms->first, env);
        if (!value)
            return NULL;
        if (own)
            mal_args_push_steal(&args, value);
        else
            args.items[args.count++] = value;
    }
    return routine_call(mal, routine, args.items, args.count);
}

static bool args_eval(struct mal *mal, struct args *args, const struct list *forms, void *env)
{
    if (!mal_args_open(mal, args, mal_length(forms)))
        return false;
    for (; !mal_is_empty(forms); forms = forms->rest) {
        void *value = mal_value_of(mal, forms->first, env);
        if (!value)
            return false;
        mal_args_push_steal(args, value);
    }
    return true;
}

/* Arguments are evaluated also where they are found to be of no use then. */
static bool args_waste(struct mal *mal, const struct list *forms, void *env)
{
    MAL_ARGS args;
    return args_eval(mal, &args, forms, env);
}

void *mal_call_wrong(struct mal *mal, const struct list *forms, void *env)
{
    return args_waste(mal, forms, env) ? mal_throw(mal, "only a function can be called") : NULL;
}

static bool rest_eval(struct mal *mal, struct env *callee, size_t fixed, const struct list *forms, void *env)
{
    MAL_ARGS args;
    if (!args_eval(mal, &args, forms, env))
        return false;
    tally_store_steal(callee, &callee->items[fixed], mal_args_list(mal, &args, tally_dup(mal->empty)));
    return callee->items[fixed];
}

static void *arity_wrong(struct mal *mal, struct closure *closure, const struct list *forms, void *env)
{
    TALLY_LOCAL void *held = tally_dup(closure); /* an argument may give its name to another */
    if (held && args_waste(mal, forms, env))
        arity_ok(mal, closure, mal_length(forms));
    return NULL;
}

struct env *mal_call_env(struct mal *mal, struct closure *closure, const struct list *forms, void *env)
{
    size_t count = mal_length(forms);
    if (!arity_fits(closure, count))
        return arity_wrong(mal, closure, forms, env);
    TALLY_LOCAL struct env *callee = mal_env_call(mal, closure);
    for (size_t i = 0; i < closure->fixed && callee; i++, forms = forms->rest) {
        void *value = mal_value_of(mal, forms->first, env);
        if (!value)
            return NULL;
        tally_store_steal(callee, &callee->items[i], value);
    }
    if (!callee || (closure->variadic && !rest_eval(mal, callee, closure->fixed, forms, env)))
        return NULL;
    return MAL_GIVE(callee);
}

/* The rest of a macro's forms is the end of the list that they stand in: it is shared, not copied. */
void *mal_expand(struct mal *mal, struct closure *macro, const struct list *forms)
{
    if (!arity_ok(mal, macro, mal_length(forms)))
        return NULL;
    TALLY_LOCAL struct env *callee = mal_env_call(mal, macro);
    for (size_t i = 0; i < macro->fixed && callee; i++, forms = forms->rest)
        tally_store(callee, &callee->items[i], forms->first);
    if (callee && macro->variadic)
        tally_store(callee, &callee->items[macro->fixed], (void *)(uintptr_t)forms);
    return callee ? mal_eval(mal, macro->body, callee) : NULL;
}

static void *closure_apply(struct mal *mal, struct closure *closure, void **args, size_t count)
{
    if (!arity_ok(mal, closure, count))
        return NULL;
    TALLY_LOCAL struct env *callee = mal_env_call(mal, closure);
    for (size_t i = 0; i < closure->fixed && callee; i++)
        tally_store(callee, &callee->items[i], args[i]);
    if (callee && closure->variadic) {
        void *rest = mal_list_of(mal, args + closure->fixed, count - closure->fixed);
        if (!rest)
            return NULL;
        tally_store_steal(callee, &callee->items[closure->fixed], rest);
    }
    return callee ? mal_eval(mal, closure->body, callee) : NULL;
}

void *mal_apply(struct mal *mal, void *function, void **args, size_t count)
{
    if (mal_kind(function) == MAL_BUILTIN)
        return routine_call(mal, ((struct builtin *)function)->routine, args, count);
    if (mal_kind(function) == MAL_CLOSURE)
        return closure_apply(mal, function, args, count);
    return mal_throw(mal, "only a function can be called");
}
