/* Environments. The outermost keeps its values in the symbols themselves; the others are short, and
 * searched. */
#include "mal/mal.h"

void *mal_env_new(struct mal *mal, void *outer, size_t room)
{
    TALLY_LOCAL struct env *env = mal_new(mal, MAL_ENV);
    if (!env)
        return NULL;
    tally_store(env, &env->outer, outer);
    if (room) {
        tally_store_steal(env, &env->names, mal_new_array(mal, MAL_VECTOR, room));
        tally_store_steal(env, &env->values, mal_new_array(mal, MAL_VECTOR, room));
        if (!env->names || !env->values)
            return NULL;
    }
    return tally_dup(env);
}

/* The values of a call with & : the fixed ones, and a list of the rest. */
static void *values_variadic(struct mal *mal, const struct closure *closure, struct vector *args)
{
    TALLY_LOCAL struct vector *values = mal_new_array(mal, MAL_VECTOR, closure->fixed + 1);
    if (!values)
        return NULL;
    for (size_t i = 0; i < closure->fixed; i++)
        tally_store(values, &values->items[i], args->items[i]);
    TALLY_LOCAL void *rest = mal_list_of(mal, &args->items[closure->fixed], args->length - closure->fixed);
    if (!rest)
        return NULL;
    tally_store(values, &values->items[closure->fixed], rest);
    return tally_dup(values);
}

/* A call's names are its closure's parameters, its values the arguments: nothing is copied. */
void *mal_env_call(struct mal *mal, struct closure *closure, void *args)
{
    struct vector *given = args;
    if (given->length < closure->fixed || (given->length > closure->fixed && !closure->variadic))
        return mal_throw(mal, "%zu arguments were given, and %s%zu are needed", given->length,
                         closure->variadic ? "at least " : "", closure->fixed);
    TALLY_LOCAL void *values = closure->variadic ? values_variadic(mal, closure, given) : tally_dup(given);
    struct env *env = values ? mal_new(mal, MAL_ENV) : NULL;
    if (!env)
        return NULL;
    tally_store(env, &env->outer, closure->env);
    tally_store(env, &env->names, closure->params);
    tally_store(env, &env->values, values);
    env->count = ((struct vector *)values)->length;
    env->value.flag = 1; /* names and values are not ours to write */
    return env;
}

/* Makes room for one more name, in vectors of our own. */
static bool grow(struct mal *mal, struct env *env)
{
    struct vector *names = env->names, *values = env->values;
    if (!env->value.flag && names && env->count < names->length)
        return true;
    size_t room = env->count < 2 ? 4 : 2 * env->count;
    TALLY_LOCAL struct vector *new_names = mal_new_array(mal, MAL_VECTOR, room);
    TALLY_LOCAL struct vector *new_values = new_names ? mal_new_array(mal, MAL_VECTOR, room) : NULL;
    if (!new_values)
        return false;
    for (size_t i = 0; i < env->count; i++) {
        tally_store(new_names, &new_names->items[i], names->items[i]);
        tally_store(new_values, &new_values->items[i], values->items[i]);
    }
    tally_store(env, &env->names, new_names);
    tally_store(env, &env->values, new_values);
    env->value.flag = 0;
    return true;
}

static void **find(const struct env *env, const struct symbol *name)
{
    const struct vector *names = env->names;
    struct vector *values = env->values;
    for (size_t i = env->count; i-- > 0;)
        if (names->items[i] == name)
            return &values->items[i];
    return NULL;
}

bool mal_env_set(struct mal *mal, struct env *env, struct symbol *name, void *value)
{
    if (name == mal->s_debug)
        mal->debug_bound = true;
    if (!env->outer) {
        tally_store(name, &name->global, value);
        return true;
    }
    void **slot = env->value.flag ? NULL : find(env, name);
    if (!slot) {
        if (!grow(mal, env))
            return false;
        slot = find(env, name);
    }
    if (slot) {
        tally_store(env->values, slot, value);
        return true;
    }
    struct vector *names = env->names, *values = env->values;
    tally_store(names, &names->items[env->count], name);
    tally_store(values, &values->items[env->count], value);
    env->count++;
    return true;
}

void *mal_env_get(const struct env *env, const struct symbol *name)
{
    for (; env->outer; env = env->outer) {
        void **slot = find(env, name);
        if (slot)
            return *slot;
    }
    return name->global;
}
