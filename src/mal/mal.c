/* An interpreter's beginning and end. */
#include <string.h>
#include <sys/resource.h>

#include "mal/mal.h"

#define STACK_SPARE ((uintptr_t)256 * 1024) /* what a builtin and its callees need below the limit */
#define STACK_MOST ((uintptr_t)64 << 20)

void *mal_too_deep(struct mal *mal)
{
    return mal_throw(mal, "too deep: the stack is used up");
}

/* The stack as the system gives it, less a reserve; the caller's frame is its top. */
static void stack_measure(struct mal *mal)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)8 << 20};
    getrlimit(RLIMIT_STACK, &limit);
    bool vast = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > STACK_MOST;
    uintptr_t size = vast ? STACK_MOST : (uintptr_t)limit.rlim_cur;
    uintptr_t use = size > 2 * STACK_SPARE ? size - STACK_SPARE : size / 2;
    mal->stack_limit = (uintptr_t)__builtin_frame_address(0) - use;
}

static bool singletons_make(struct mal *mal)
{
    mal->out_of_memory = mal_string(mal, "out of memory", 13);
    if (!mal->out_of_memory)
        return false;
    mal->nil = mal_new(mal, MAL_NIL);
    mal->yes = mal_new(mal, MAL_BOOLEAN);
    mal->no = mal_new(mal, MAL_BOOLEAN);
    mal->empty = mal_new_as(mal, MAL_EMPTY, MAL_LIST);
    mal->root = mal_env_new(mal, 0);
    mal->globals = mal_new_array(mal, MAL_VECTOR, 128);
    return mal->nil && mal->yes && mal->no && mal->empty && mal->root && mal->globals;
}

static bool prelude_run(struct mal *mal)
{
    static const char *const lines[] = {
        "(def! not (fn* (a) (if a false true)))",
        "(def! load-file (fn* (f) (eval (read-string (str \"(do \" (slurp f) \"\nnil)\")))))",
        ("(defmacro! cond (fn* (& xs)"
         " (if (> (count xs) 0) (list 'if (first xs) (if (> (count xs) 1) (nth xs 1)"
         " (throw \"odd number of forms to cond\")) (cons 'cond (rest (rest xs)))))))"),
        "(def! *host-language* \"tally\")",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        bool nothing;
        TALLY_LOCAL void *form = mal_read(mal, lines[i], strlen(lines[i]), &nothing);
        TALLY_LOCAL void *value = form ? mal_eval(mal, form, mal->root) : NULL;
        if (!value)
            return false;
    }
    return true;
}

static bool arguments_bind(struct mal *mal, int argc, char **argv)
{
    TALLY_LOCAL struct vector *words = mal_new_array(mal, MAL_VECTOR, (size_t)argc);
    for (int i = 0; i < argc && words; i++) {
        void *word = mal_string(mal, argv[i], strlen(argv[i]));
        if (!word)
            return false;
        tally_store_steal(words, &words->items[i], word);
    }
    TALLY_LOCAL void *list = words ? mal_list_of(mal, words->items, words->length) : NULL;
    TALLY_LOCAL struct symbol *name = list ? mal_symbol(mal, "*ARGV*", 6) : NULL;
    return name && mal_env_set(mal, mal->root, name, list);
}

int mal_open(struct mal *mal, struct tally_heap *heap, int argc, char **argv)
{
    *mal = (struct mal){.heap = heap};
    stack_measure(mal);
    int error = mal_types_register(mal);
    if (error)
        return error;
    if (!singletons_make(mal) || !mal_words_make(mal) || !mal_core_define(mal) || !prelude_run(mal) ||
        !arguments_bind(mal, argc, argv)) {
        mal_close(mal);
        return TALLY_ENOMEM;
    }
    return 0;
}

/* Gives back every reference that C holds. What is left then is garbage in cycles. */
void mal_close(struct mal *mal)
{
    void *held[] = {mal->symbols, mal->globals, mal->integers, mal->root, mal->error, mal->nil,
                    mal->yes, mal->no, mal->empty, mal->out_of_memory};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (held[i])
            tally_decref(held[i]);
    for (size_t i = 0; i < MAL_WORD_COUNT; i++)
        if (mal->words[i])
            tally_decref(mal->words[i]);
    mal_line_free();
}
