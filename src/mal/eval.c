/* Evaluation. mal_eval() loops where a form is in tail position, and recurses elsewhere. */
#include <string.h>

#include "mal/mal.h"

/* One turn of the loop: what to evaluate next, and where. Both are owned. */
struct turn {
    void *form, *env;
};

static void turn_set(struct turn *turn, void *form_steal, void *env_steal)
{
    void *form = turn->form, *env = turn->env;
    turn->form = form_steal;
    turn->env = env_steal;
    tally_decref(form);
    tally_decref(env);
}

/* The n-th item of a list, borrowed, or NULL. */
static void *item(const struct list *list, size_t n)
{
    for (; n > 0 && !mal_is_empty(list); n--)
        list = list->rest;
    return mal_is_empty(list) ? NULL : list->first;
}

static size_t length_of(const struct list *list)
{
    size_t length = 0;
    for (; !mal_is_empty(list); list = list->rest)
        length++;
    return length;
}

static bool shape_ok(struct mal *mal, const struct list *form, const char *name, size_t least, size_t most)
{
    size_t arguments = length_of(form) - 1;
    if (arguments >= least && arguments <= most)
        return true;
    mal_throw(mal, "%s: has %zu forms, and needs %zu", name, arguments, arguments < least ? least : most);
    return false;
}

static void *eval_items(struct mal *mal, void **items, size_t count, void *env)
{
    TALLY_LOCAL struct vector *values = mal_new_array(mal, MAL_VECTOR, count);
    for (size_t i = 0; i < count && values; i++) {
        void *value = mal_eval(mal, items[i], env);
        if (!value)
            return NULL;
        tally_store_steal(values, &values->items[i], value);
    }
    return tally_dup(values);
}

static void *eval_map(struct mal *mal, struct map *map, void *env)
{
    TALLY_LOCAL struct map *values = mal_with_meta(mal, map, mal->nil);
    for (size_t i = 0; values && i < map->length; i += 2) {
        if (!map->items[i])
            continue;
        void *value = mal_eval(mal, map->items[i + 1], env);
        if (!value)
            return NULL;
        tally_store_steal(values, &values->items[i + 1], value);
    }
    return tally_dup(values);
}

static void *eval_atomically(struct mal *mal, void *form, void *env)
{
    switch (mal_kind(form)) {
    case MAL_SYMBOL: {
        const struct symbol *symbol = form;
        void *value = mal_env_get(env, symbol);
        if (!value)
            return mal_throw(mal, "'%.*s' not found", (int)(symbol->length < 200 ? symbol->length : 200),
                             symbol->bytes);
        return tally_dup(value);
    }
    case MAL_VECTOR:
        return eval_items(mal, ((struct vector *)form)->items, ((struct vector *)form)->length, env);
    case MAL_MAP:
        return eval_map(mal, form, env);
    default:
        return tally_dup(form);
    }
}

/* ---- special forms: each returns the value, or sets the turn and returns NULL with *again */

static void *do_def(struct mal *mal, struct list *form, struct turn *turn, bool macro)
{
    struct symbol *name = item(form, 1);
    if (!shape_ok(mal, form, macro ? "defmacro!" : "def!", 2, 2))
        return NULL;
    if (mal_kind(name) != MAL_SYMBOL)
        return mal_throw(mal, "def!: a symbol is needed");
    TALLY_LOCAL void *value = mal_eval(mal, item(form, 2), turn->env);
    if (!value)
        return NULL;
    if (macro) {
        if (mal_kind(value) != MAL_CLOSURE)
            return mal_throw(mal, "defmacro!: a function is needed");
        TALLY_LOCAL struct closure *copy = mal_with_meta(mal, value, mal->nil);
        if (!copy)
            return NULL;
        copy->value.flag = 1;
        return mal_env_set(mal, turn->env, name, copy) ? tally_dup(copy) : NULL;
    }
    return mal_env_set(mal, turn->env, name, value) ? tally_dup(value) : NULL;
}

static void *do_let(struct mal *mal, struct list *form, struct turn *turn, bool *again)
{
    if (!shape_ok(mal, form, "let*", 2, 2))
        return NULL;
    if (!mal_is_sequence(item(form, 1)))
        return mal_throw(mal, "let*: a list of bindings is needed");
    TALLY_LOCAL struct vector *bindings = mal_vector_of(mal, item(form, 1));
    if (!bindings)
        return NULL;
    if (bindings->length % 2)
        return mal_throw(mal, "let*: a binding has no value");
    TALLY_LOCAL struct env *env = mal_env_new(mal, turn->env, bindings->length / 2);
    for (size_t i = 0; env && i < bindings->length; i += 2) {
        if (mal_kind(bindings->items[i]) != MAL_SYMBOL)
            return mal_throw(mal, "let*: a symbol is needed");
        TALLY_LOCAL void *value = mal_eval(mal, bindings->items[i + 1], env);
        if (!value || !mal_env_set(mal, env, bindings->items[i], value))
            return NULL;
    }
    if (!env)
        return NULL;
    *again = true;
    turn_set(turn, tally_dup(item(form, 2)), tally_dup(env));
    return NULL;
}

static void *do_do(struct mal *mal, const struct list *form, struct turn *turn, bool *again)
{
    const struct list *rest = form->rest;
    if (mal_is_empty(rest))
        return tally_dup(mal->nil);
    for (; !mal_is_empty(rest->rest); rest = rest->rest) {
        void *value = mal_eval(mal, rest->first, turn->env);
        if (!value)
            return NULL;
        tally_decref(value);
    }
    *again = true;
    turn_set(turn, tally_dup(rest->first), tally_dup(turn->env));
    return NULL;
}

static void *do_if(struct mal *mal, const struct list *form, struct turn *turn, bool *again)
{
    if (!shape_ok(mal, form, "if", 2, 3))
        return NULL;
    TALLY_LOCAL void *condition = mal_eval(mal, item(form, 1), turn->env);
    if (!condition)
        return NULL;
    void *branch = item(form, mal_truth(mal, condition) ? 2 : 3);
    if (!branch)
        return tally_dup(mal->nil);
    *again = true;
    turn_set(turn, tally_dup(branch), tally_dup(turn->env));
    return NULL;
}

/* [a b & rest] becomes the names a, b, rest. */
static bool params_take(struct mal *mal, struct closure *closure, const struct vector *params)
{
    size_t count = params->length;
    for (size_t i = 0; i < count; i++) {
        if (mal_kind(params->items[i]) != MAL_SYMBOL)
            return mal_throw(mal, "fn*: a parameter is no symbol");
        if (params->items[i] == mal->s_ampersand && i + 2 != count)
            return mal_throw(mal, "fn*: one name must follow &");
        closure->variadic |= params->items[i] == mal->s_ampersand;
        mal->debug_bound |= params->items[i] == mal->s_debug;
    }
    closure->fixed = count - (closure->variadic ? 2 : 0);
    TALLY_LOCAL struct vector *names = mal_new_array(mal, MAL_VECTOR, closure->fixed + closure->variadic);
    if (!names)
        return false;
    for (size_t i = 0; i < closure->fixed; i++)
        tally_store(names, &names->items[i], params->items[i]);
    if (closure->variadic)
        tally_store(names, &names->items[closure->fixed], params->items[count - 1]);
    tally_store(closure, &closure->params, names);
    return true;
}

static void *do_fn(struct mal *mal, const struct list *form, const struct turn *turn)
{
    if (!shape_ok(mal, form, "fn*", 2, 2))
        return NULL;
    if (!mal_is_sequence(item(form, 1)))
        return mal_throw(mal, "fn*: a list of parameters is needed");
    TALLY_LOCAL struct vector *params = mal_vector_of(mal, item(form, 1));
    TALLY_LOCAL struct closure *closure = params ? mal_new(mal, MAL_CLOSURE) : NULL;
    if (!closure || !params_take(mal, closure, params))
        return NULL;
    tally_store(closure, &closure->body, item(form, 2));
    tally_store(closure, &closure->env, turn->env);
    return tally_dup(closure);
}

static void *do_try(struct mal *mal, struct list *form, struct turn *turn, bool *again)
{
    if (!shape_ok(mal, form, "try*", 1, 2))
        return NULL;
    struct list *handler = item(form, 2);
    if (handler && (!mal_is_list(handler) || length_of(handler) != 3 || item(handler, 0) != mal->s_catch ||
                    mal_kind(item(handler, 1)) != MAL_SYMBOL))
        return mal_throw(mal, "try*: (catch* SYMBOL FORM) is needed");
    void *value = mal_eval(mal, item(form, 1), turn->env);
    if (value || !handler)
        return value;
    TALLY_LOCAL void *error = mal->error;
    mal->error = NULL;
    TALLY_LOCAL struct env *env = mal_env_new(mal, turn->env, 1);
    if (!env || !mal_env_set(mal, env, item(handler, 1), error))
        return NULL;
    *again = true;
    turn_set(turn, tally_dup(item(handler, 2)), tally_dup(env));
    return NULL;
}

static void *quasiquote(struct mal *mal, void *form);

static bool is_call_of(const struct mal *mal, void *form, const struct symbol *symbol)
{
    (void)mal;
    return mal_is_list(form) && item(form, 0) == symbol && item(form, 1);
}

/* (cons x' rest) or (concat x rest), from the last item to the first. */
static void *quasiquote_items(struct mal *mal, void *sequence)
{
    TALLY_LOCAL struct vector *items = mal_vector_of(mal, sequence);
    void *result = items ? tally_dup(mal->empty) : NULL;
    for (size_t i = items ? items->length : 0; i-- > 0 && result;) {
        TALLY_LOCAL void *rest = result;
        if (is_call_of(mal, items->items[i], mal->s_splice)) {
            result = mal_list_of(mal, (void *[]){mal->s_concat, item(items->items[i], 1), rest}, 3);
        } else {
            TALLY_LOCAL void *quoted = quasiquote(mal, items->items[i]);
            result = quoted ? mal_list_of(mal, (void *[]){mal->s_cons, quoted, rest}, 3) : NULL;
        }
    }
    return result;
}

static void *quasiquote(struct mal *mal, void *form)
{
    if (!mal_stack_ok(mal))
        return NULL;
    if (is_call_of(mal, form, mal->s_unquote))
        return tally_dup(item(form, 1));
    if (mal_is_list(form))
        return quasiquote_items(mal, form);
    if (mal_kind(form) == MAL_VECTOR) {
        TALLY_LOCAL void *items = quasiquote_items(mal, form);
        return items ? mal_list_of(mal, (void *[]){mal->s_vec, items}, 2) : NULL;
    }
    if (mal_kind(form) == MAL_SYMBOL || mal_kind(form) == MAL_MAP)
        return mal_list_of(mal, (void *[]){mal->s_quote, form}, 2);
    return tally_dup(form);
}

static void *do_quasiquote(struct mal *mal, const struct list *form, struct turn *turn, bool *again)
{
    if (!shape_ok(mal, form, "quasiquote", 1, 1))
        return NULL;
    void *expanded = quasiquote(mal, item(form, 1));
    if (!expanded)
        return NULL;
    *again = true;
    turn_set(turn, expanded, tally_dup(turn->env));
    return NULL;
}

static void *builtin_call(struct mal *mal, const struct builtin *builtin, void **args, size_t count)
{
    if (count < (size_t)builtin->least || (builtin->most >= 0 && count > (size_t)builtin->most))
        return mal_throw(mal, "%s: %zu arguments were given", builtin->name, count);
    return builtin->call(mal, args, count);
}

/* A macro gets its forms as they are; what it makes is evaluated next. */
static void *do_macro(struct mal *mal, struct closure *macro, const struct list *form, struct turn *turn,
                      bool *again)
{
    TALLY_LOCAL void *args = mal_vector_of(mal, form->rest);
    void *expanded = args ? mal_apply(mal, macro, args) : NULL;
    if (!expanded)
        return NULL;
    *again = true;
    turn_set(turn, expanded, tally_dup(turn->env));
    return NULL;
}

static void *do_call(struct mal *mal, const struct list *form, struct turn *turn, bool *again)
{
    TALLY_LOCAL struct closure *function = mal_eval(mal, form->first, turn->env);
    if (!function)
        return NULL;
    if (mal_kind(function) == MAL_CLOSURE && function->value.flag)
        return do_macro(mal, function, form, turn, again);
    TALLY_LOCAL struct vector *args = mal_new_array(mal, MAL_VECTOR, length_of(form) - 1);
    const struct list *rest = form->rest;
    for (size_t i = 0; args && i < args->length; i++, rest = rest->rest) {
        void *value = mal_eval(mal, rest->first, turn->env);
        if (!value)
            return NULL;
        tally_store_steal(args, &args->items[i], value);
    }
    if (!args)
        return NULL;
    if (mal_kind(function) == MAL_BUILTIN)
        return builtin_call(mal, (struct builtin *)function, args->items, args->length);
    if (mal_kind(function) != MAL_CLOSURE)
        return mal_throw(mal, "only a function can be called");
    void *env = mal_env_call(mal, function, args);
    if (!env)
        return NULL;
    *again = true;
    turn_set(turn, tally_dup(function->body), env);
    return NULL;
}

static void *eval_list(struct mal *mal, struct list *form, struct turn *turn, bool *again)
{
    const void *head = form->first;
    if (mal_kind(head) != MAL_SYMBOL)
        return do_call(mal, form, turn, again);
    if (head == mal->s_def || head == mal->s_defmacro)
        return do_def(mal, form, turn, head == mal->s_defmacro);
    if (head == mal->s_let)
        return do_let(mal, form, turn, again);
    if (head == mal->s_do)
        return do_do(mal, form, turn, again);
    if (head == mal->s_if)
        return do_if(mal, form, turn, again);
    if (head == mal->s_fn)
        return do_fn(mal, form, turn);
    if (head == mal->s_quote)
        return shape_ok(mal, form, "quote", 1, 1) ? tally_dup(item(form, 1)) : NULL;
    if (head == mal->s_quasiquote)
        return do_quasiquote(mal, form, turn, again);
    if (head == mal->s_try)
        return do_try(mal, form, turn, again);
    return do_call(mal, form, turn, again);
}

static bool debug_show(struct mal *mal, void *form, void *env)
{
    const void *wanted = mal_env_get(env, mal->s_debug);
    if (!wanted || !mal_truth(mal, wanted))
        return true;
    TALLY_LOCAL void *line = mal_print(mal, &form, 1, true, "");
    if (!line)
        return false;
    TALLY_LOCAL void *head = mal_string(mal, "EVAL:", 5);
    TALLY_LOCAL void *printed = head ? mal_println(mal, (void *[]){head, line}, 2) : NULL;
    return printed;
}

void *mal_eval(struct mal *mal, void *form, void *env)
{
    struct turn turn = {tally_dup(form), tally_dup(env)};
    void *result = NULL;
    bool again = mal_stack_ok(mal);
    while (again) {
        again = false;
        if (mal->debug_bound && !debug_show(mal, turn.form, turn.env))
            break;
        TALLY_LOCAL void *present = tally_dup(turn.form); /* stays while the turn is set anew */
        if (mal_is_list(present) && !mal_is_empty(present))
            result = eval_list(mal, present, &turn, &again);
        else
            result = eval_atomically(mal, present, turn.env);
    }
    tally_decref(turn.form);
    tally_decref(turn.env);
    return result;
}

void *mal_apply(struct mal *mal, void *function, void *args)
{
    struct closure *closure = function;
    struct vector *vector = args;
    if (mal_kind(function) == MAL_BUILTIN)
        return builtin_call(mal, function, vector->items, vector->length);
    if (mal_kind(function) != MAL_CLOSURE)
        return mal_throw(mal, "only a function can be called");
    TALLY_LOCAL void *env = mal_env_call(mal, closure, args);
    return env ? mal_eval(mal, closure->body, env) : NULL;
}
