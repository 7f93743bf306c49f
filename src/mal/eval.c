/* Evaluation. mal_eval() loops where a form is in tail position, and recurses elsewhere. */
#include "mal/mal.h"

/* One turn of the loop: what is evaluated next, and where. Both are borrowed, from the caller of mal_eval(), or
 * from what is held: forms and environments keep what they consist of. */
struct turn {
    void *form, *env;
    void *held_form; /* what a macro made */
    void *held_env;  /* NULL, or env */
    bool again;      /* there is another turn; else what was returned is the value, or NULL */
};

/* A function that is kept out of mal_eval(): each level of recursion pays for its frame. */
#define APART static __attribute__((noinline))

static void drop(void *value)
{
    if (value)
        tally_decref(value);
}

/* A form that is held already, in the same environment. */
static void *again(struct turn *turn, void *form)
{
    turn->form = form;
    turn->again = true;
    return NULL;
}

/* A form that nobody holds. The one that is held yet may be what it was made of. */
static void *again_with(struct turn *turn, void *form_steal)
{
    void *old = turn->held_form;
    turn->held_form = form_steal;
    drop(old);
    return again(turn, form_steal);
}

/* The body of a call, whose environment holds it. */
static void *again_in(struct turn *turn, struct env *env_steal)
{
    void *form = turn->held_form, *env = turn->held_env;
    turn->held_form = NULL;
    turn->held_env = turn->env = env_steal;
    again(turn, ((struct closure *)env_steal->closure)->body);
    drop(form);
    drop(env);
    return NULL;
}

/* The turn goes on in an environment within its own; NULL: it threw. */
static struct env *env_open(struct mal *mal, struct turn *turn, size_t room)
{
    struct env *env = mal_env_new(mal, room);
    if (!env)
        return NULL;
    if (turn->held_env)
        tally_store_steal(env, &env->outer, turn->held_env);
    else
        tally_store(env, &env->outer, turn->env);
    return turn->held_env = turn->env = env;
}

/* The n-th item of a list, borrowed, or NULL. */
static void *item(const struct list *list, size_t n)
{
    for (; n > 0 && !mal_is_empty(list); n--)
        list = list->rest;
    return mal_is_empty(list) ? NULL : list->first;
}

static bool shape_ok(struct mal *mal, const struct list *form, const char *name, size_t least, size_t most)
{
    size_t arguments = mal_length(form) - 1;
    if (arguments >= least && arguments <= most)
        return true;
    mal_throw(mal, "%s: has %zu forms, and needs %zu", name, arguments, arguments < least ? least : most);
    return false;
}

static void *eval_vector(struct mal *mal, struct vector *forms, void *env)
{
    TALLY_LOCAL struct vector *values = mal_new_array(mal, MAL_VECTOR, forms->length);
    for (size_t i = 0; values && i < forms->length; i++) {
        void *value = mal_value_of(mal, forms->items[i], env);
        if (!value)
            return NULL;
        tally_store_steal(values, &values->items[i], value);
    }
    return MAL_GIVE(values);
}

static void *eval_map(struct mal *mal, struct map *map, void *env)
{
    TALLY_LOCAL struct map *values = mal_with_meta(mal, map, mal->nil);
    for (size_t i = 0; values && i < map->length; i += 2) {
        if (!map->items[i])
            continue;
        void *value = mal_value_of(mal, map->items[i + 1], env);
        if (!value)
            return NULL;
        tally_store_steal(values, &values->items[i + 1], value);
    }
    return MAL_GIVE(values);
}

/* A form's value for a while: borrowed from a variable, or from *owned, which is the caller's to give back. */
static void *look_at(struct mal *mal, void *form, void *env, void **owned)
{
    if (!mal->debug_bound && !mal_is_compound(form))
        return mal_simple(mal, form, env);
    return *owned = mal_eval(mal, form, env);
}

/* What is no call and no special form. */
APART void *eval_plainly(struct mal *mal, void *form, void *env)
{
    switch (mal_kind(form)) {
    case MAL_VECTOR:
        return eval_vector(mal, form, env);
    case MAL_MAP:
        return eval_map(mal, form, env);
    default:
        return tally_dup(mal_simple(mal, form, env));
    }
}

/* An atom is of the line that binds it first. */
static void line_note(struct value *value, const struct list *form)
{
    if (value->kind == MAL_ATOM && !value->number)
        value->number = form->value.number;
}

/* ---- special forms: each returns the value, or NULL: it threw, or there is another turn */

APART void *do_def(struct mal *mal, struct list *form, struct turn *turn)
{
    struct symbol *name = item(form, 1);
    if (!shape_ok(mal, form, "def!", 2, 2))
        return NULL;
    if (mal_kind(name) != MAL_SYMBOL)
        return mal_throw(mal, "def!: a symbol is needed");
    TALLY_LOCAL void *value = mal_value_of(mal, item(form, 2), turn->env);
    if (value)
        line_note(value, form);
    return value && mal_env_set(mal, turn->env, name, value) ? MAL_GIVE(value) : NULL;
}

APART void *do_defmacro(struct mal *mal, struct list *form, struct turn *turn)
{
    struct symbol *name = item(form, 1);
    if (!shape_ok(mal, form, "defmacro!", 2, 2))
        return NULL;
    if (mal_kind(name) != MAL_SYMBOL)
        return mal_throw(mal, "def!: a symbol is needed");
    TALLY_LOCAL void *value = mal_value_of(mal, item(form, 2), turn->env);
    if (value && mal_kind(value) != MAL_CLOSURE)
        return mal_throw(mal, "defmacro!: a function is needed");
    TALLY_LOCAL struct closure *copy = value ? mal_with_meta(mal, value, mal->nil) : NULL;
    if (!copy)
        return NULL;
    copy->value.flag = true;
    return mal_env_set(mal, turn->env, name, copy) ? MAL_GIVE(copy) : NULL;
}

APART void *do_let(struct mal *mal, struct list *form, struct turn *turn)
{
    void *bindings = item(form, 1);
    if (!shape_ok(mal, form, "let*", 2, 2))
        return NULL;
    if (!mal_is_sequence(bindings))
        return mal_throw(mal, "let*: a list of bindings is needed");
    size_t length = mal_length(bindings);
    if (length % 2)
        return mal_throw(mal, "let*: a binding has no value");
    struct env *env = env_open(mal, turn, length / 2);
    struct walk walk = mal_walk(bindings);
    for (void *name; env && (name = mal_next(&walk));) {
        if (mal_kind(name) != MAL_SYMBOL)
            return mal_throw(mal, "let*: a symbol is needed");
        TALLY_LOCAL void *value = mal_value_of(mal, mal_next(&walk), env);
        if (!value)
            return NULL;
        line_note(value, form);
        if (!mal_env_set(mal, env, name, value))
            return NULL;
    }
    return env ? again(turn, item(form, 2)) : NULL;
}

APART void *do_do(struct mal *mal, const struct list *form, struct turn *turn)
{
    const struct list *rest = form->rest;
    if (mal_is_empty(rest))
        return tally_dup(mal->nil);
    for (; !mal_is_empty(rest->rest); rest = rest->rest) {
        void *value = mal_value_of(mal, rest->first, turn->env);
        if (!value)
            return NULL;
        tally_decref(value);
    }
    return again(turn, rest->first);
}

static void *do_if(struct mal *mal, const struct list *form, struct turn *turn)
{
    if (!shape_ok(mal, form, "if", 2, 3))
        return NULL;
    TALLY_LOCAL void *owned = NULL;
    void *condition = look_at(mal, item(form, 1), turn->env, &owned);
    if (!condition)
        return NULL;
    void *branch = item(form, mal_truth(mal, condition) ? 2 : 3);
    return branch ? again(turn, branch) : tally_dup(mal->nil);
}

/* A name of an environment that is not the outermost. */
static bool param_ok(struct mal *mal, struct symbol *name)
{
    if (mal_kind(name) != MAL_SYMBOL)
        return mal_throw(mal, "fn*: a parameter is no symbol");
    mal_name_local(mal, name);
    return true;
}

/* [a b & rest] becomes the names a, b, rest; without & the vector may stay as it is. */
static bool params_take(struct mal *mal, struct closure *closure, struct vector *params)
{
    size_t count = params->length;
    for (size_t i = 0; i < count; i++) {
        if (!param_ok(mal, params->items[i]))
            return false;
        if (params->items[i] != mal->words[MAL_WORD_AMPERSAND])
            continue;
        if (i + 2 != count)
            return mal_throw(mal, "fn*: one name must follow &");
        closure->variadic = true;
    }
    closure->fixed = (uint32_t)(count - (closure->variadic ? 2 : 0));
    if (!closure->variadic) {
        tally_store(closure, &closure->params, params);
        return true;
    }
    struct vector *names = mal_new_array(mal, MAL_VECTOR, count - 1);
    for (size_t i = 0; names && i < count - 1; i++)
        tally_store(names, &names->items[i], params->items[i < closure->fixed ? i : count - 1]);
    tally_store_steal(closure, &closure->params, names);
    return names;
}

APART void *do_fn(struct mal *mal, const struct list *form, const struct turn *turn)
{
    if (!shape_ok(mal, form, "fn*", 2, 2))
        return NULL;
    if (!mal_is_sequence(item(form, 1)))
        return mal_throw(mal, "fn*: a list of parameters is needed");
    TALLY_LOCAL struct vector *params = mal_vector_of(mal, item(form, 1));
    TALLY_LOCAL struct closure *closure = params ? mal_new(mal, MAL_CLOSURE) : NULL;
    if (!closure || !params_take(mal, closure, params))
        return NULL;
    closure->value.number = form->value.number;
    tally_store(closure, &closure->body, item(form, 2));
    tally_store(closure, &closure->env, turn->env);
    return MAL_GIVE(closure);
}

static bool handler_ok(struct mal *mal, struct list *handler)
{
    if (mal_is_list(handler) && mal_length(handler) == 3 &&
        item(handler, 0) == mal->words[MAL_WORD_CATCH] && mal_kind(item(handler, 1)) == MAL_SYMBOL)
        return true;
    mal_throw(mal, "try*: (catch* SYMBOL FORM) is needed");
    return false;
}

APART void *do_try(struct mal *mal, struct list *form, struct turn *turn)
{
    if (!shape_ok(mal, form, "try*", 1, 2))
        return NULL;
    struct list *handler = item(form, 2);
    if (handler && !handler_ok(mal, handler))
        return NULL;
    void *value = mal_value_of(mal, item(form, 1), turn->env);
    if (value || !handler)
        return value;
    TALLY_LOCAL void *error = mal->error;
    mal->error = NULL;
    struct env *env = env_open(mal, turn, 1);
    return env && mal_env_set(mal, env, item(handler, 1), error) ? again(turn, item(handler, 2)) : NULL;
}

static void *do_quote(struct mal *mal, const struct list *form)
{
    return shape_ok(mal, form, "quote", 1, 1) ? tally_dup(item(form, 1)) : NULL;
}

APART void *do_quasiquote(struct mal *mal, struct list *form, struct turn *turn)
{
    if (!shape_ok(mal, form, "quasiquote", 1, 1))
        return NULL;
    bool lasts = form->value.number;
    void *made = lasts ? mal_template_expand(mal, (struct template *)form) : mal_quasiquote(mal, item(form, 1));
    if (!made)
        return NULL;
    return lasts ? again(turn, made) : again_with(turn, made);
}

/* Arguments may give the function's name to another: by then it is held by the environment of its call, or is
 * a builtin, whose routine lasts. */
static void *do_call(struct mal *mal, const struct list *form, struct turn *turn)
{
    TALLY_LOCAL void *owned = NULL;
    void *function = look_at(mal, form->first, turn->env, &owned);
    if (!function)
        return NULL;
    if (mal_kind(function) == MAL_BUILTIN)
        return mal_call_routine(mal, ((struct builtin *)function)->routine, form->rest, turn->env);
    if (mal_kind(function) != MAL_CLOSURE)
        return mal_call_wrong(mal, form->rest, turn->env);
    if (((struct value *)function)->flag) {
        void *made = mal_expand(mal, function, form->rest);
        return made ? again_with(turn, made) : NULL;
    }
    struct env *env = mal_call_env(mal, function, form->rest, turn->env);
    return env ? again_in(turn, env) : NULL;
}

static void *eval_list(struct mal *mal, struct list *form, struct turn *turn)
{
    const struct value *head = form->first;
    switch (head->kind == MAL_SYMBOL ? (enum word)head->number : MAL_WORD_NONE) {
    case MAL_WORD_DEF:
        return do_def(mal, form, turn);
    case MAL_WORD_DEFMACRO:
        return do_defmacro(mal, form, turn);
    case MAL_WORD_LET:
        return do_let(mal, form, turn);
    case MAL_WORD_DO:
        return do_do(mal, form, turn);
    case MAL_WORD_IF:
        return do_if(mal, form, turn);
    case MAL_WORD_FN:
        return do_fn(mal, form, turn);
    case MAL_WORD_QUOTE:
        return do_quote(mal, form);
    case MAL_WORD_QUASIQUOTE:
        return do_quasiquote(mal, form, turn);
    case MAL_WORD_TRY:
        return do_try(mal, form, turn);
    default:
        return do_call(mal, form, turn);
    }
}

APART bool debug_show(struct mal *mal, void *form, void *env)
{
    const void *wanted = mal_env_get(mal, env, mal->words[MAL_WORD_DEBUG]);
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
    struct turn turn = {.form = form, .env = env, .again = mal_stack_ok(mal)};
    void *value = NULL;
    while (turn.again) {
        turn.again = false;
        if (mal->debug_bound && !debug_show(mal, turn.form, turn.env))
            break;
        if (mal_is_list(turn.form) && !mal_is_empty(turn.form))
            value = eval_list(mal, turn.form, &turn);
        else
            value = eval_plainly(mal, turn.form, turn.env);
    }
    drop(turn.held_form);
    drop(turn.held_env);
    return value;
}
