/* Environments. The outermost keeps its values in mal->globals; the others are short, and searched, but only
 * for names that were ever bound in one: `+` and `first` are found at once from anywhere. */
#include "mal/mal.h"

static struct env *env_of_length(struct mal *mal, size_t length)
{
    if (length > 4)
        return mal_new_array(mal, MAL_ENV, length);
    struct env *env = mal_new_as(mal, length > 2 ? MAL_ENV_4 : MAL_ENV_2, MAL_ENV);
    if (env)
        env->length = length > 2 ? 4 : 2;
    return env;
}

struct env *mal_env_new(struct mal *mal, size_t room)
{
    return env_of_length(mal, 2 * room);
}

struct env *mal_env_call(struct mal *mal, struct closure *closure)
{
    struct env *env = env_of_length(mal, closure->fixed + closure->variadic);
    if (env)
        tally_store(env, &env->closure, closure);
    return env;
}

static struct env *outer_of(const struct env *env)
{
    return env->outer ? env->outer : ((struct closure *)env->closure)->env;
}

static void **find(const struct env *env, const struct symbol *name)
{
    void *const *names = &env->items[env->length / 2];
    size_t count = env->value.number;
    if (env->closure) {
        const struct vector *params = ((struct closure *)env->closure)->params;
        names = params->items;
        count = params->length;
    }
    for (size_t i = count; i-- > 0;)
        if (names[i] == name)
            return (void **)(uintptr_t)&env->items[i];
    return NULL;
}

static bool global_set(struct mal *mal, struct symbol *name, void *value)
{
    struct vector *globals = mal->globals;
    mal->debug_bound |= name == mal->words[MAL_WORD_DEBUG];
    if (!name->global && mal->global_count + 1 >= globals->length) {
        struct vector *more = mal_new_array(mal, MAL_VECTOR, 2 * globals->length);
        if (!more)
            return false;
        for (size_t i = 1; i < globals->length; i++)
            tally_store_steal(more, &more->items[i], tally_take(globals, &globals->items[i]));
        tally_decref(globals);
        mal->globals = globals = more;
    }
    if (!name->global)
        name->global = ++mal->global_count;
    tally_store(globals, &globals->items[name->global], value);
    return true;
}

/* An environment cannot grow. What does not fit is put into one of its own, between it and its outer one. */
static struct env *more_of(struct mal *mal, struct env *env)
{
    size_t room = env->length < 4 ? 2 : env->length;
    TALLY_LOCAL struct env *more = mal_env_new(mal, room);
    if (!more)
        return NULL;
    tally_store(more, &more->outer, outer_of(env));
    tally_store(env, &env->outer, more);
    env->value.flag = true;
    return env->outer;
}

void mal_name_local(struct mal *mal, struct symbol *name)
{
    name->local = true;
    mal->debug_bound |= name == mal->words[MAL_WORD_DEBUG];
}

bool mal_env_set(struct mal *mal, struct env *env, struct symbol *name, void *value)
{
    if (env == mal->root)
        return global_set(mal, name, value);
    mal_name_local(mal, name);
    void **slot = find(env, name);
    while (!slot && env->value.flag) {
        env = env->outer;
        slot = find(env, name);
    }
    if (!slot) {
        if (env->closure || 2 * env->value.number == env->length)
            env = more_of(mal, env);
        if (!env)
            return false;
        size_t at = env->value.number++;
        tally_store(env, &env->items[env->length / 2 + at], name);
        slot = &env->items[at];
    }
    tally_store(env, slot, value);
    return true;
}

void *mal_env_get(const struct mal *mal, const struct env *env, const struct symbol *name)
{
    if (name->local)
        for (; env != mal->root; env = outer_of(env)) {
            void **slot = find(env, name);
            if (slot)
                return *slot;
        }
    return mal->globals->items[name->global];
}

void *mal_env_need(struct mal *mal, const struct env *env, const struct symbol *name)
{
    void *value = mal_env_get(mal, env, name);
    if (value)
        return value;
    return mal_throw(mal, "'%.*s' not found", (int)(name->length < 200 ? name->length : 200), name->bytes);
}
