/* tally-mal: the REPL, or a file. The heap is attached to the daemon unless --no-attach says otherwise; that
 * there is none is no fault. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mal/mal.h"

static const char help[] =
    "tally-mal: mal, a Lisp whose every value is a tally object\n\n"
    "usage: tally-mal [OPTION]... [FILE [ARGUMENT]...]\n"
    "  --name NAME         shown by the daemon; default: the file's name, or tally-mal\n"
    "  --label KEY=VALUE   shown by the daemon; up to 16\n"
    "  --no-attach         keep away from the daemon\n"
    "  --stats             at the end, say on standard error what the heap did and what is left in it\n"
    "  --step N            read lines as step N of the guide does: 0 says them, 1 reads and prints them\n"
    "  --help, --version\n\n"
    "Without FILE it reads lines from standard input. ARGUMENTs are *ARGV* in the program.\n"
    "exit status: 0 done, 1 the program failed, 2 wrong usage\n";

#define STEP_LAST 10

struct settings {
    bool attach, stats;
    int step; /* of the guide, STEP_LAST: all of mal */
};

static bool label_set(const char *text)
{
    char key[64];
    const char *equals = strchr(text, '=');
    if (!equals || (size_t)(equals - text) >= sizeof key)
        return false;
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    return tally_set_label(key, equals + 1) == 0;
}

static bool step_take(const char *text, int *step)
{
    static const char steps[] = "0123456789A";
    const char *at = *text && !text[1] ? strchr(steps, *text) : NULL;
    if (at)
        *step = (int)(at - steps);
    return at;
}

static void error_show(struct mal *mal)
{
    TALLY_LOCAL void *error = mal->error;
    mal->error = NULL;
    bool readably = error && mal_kind(error) != MAL_STRING;
    TALLY_LOCAL struct string *text = error ? mal_print(mal, &error, 1, readably, "") : NULL;
    if (text) {
        fputs("Error: ", stdout);
        fwrite(text->bytes, 1, text->length, stdout);
        putchar('\n');
        return;
    }
    puts("Error: one that is too large to print");
    if (mal->error) /* why it could not be printed: shown is shown, the next line starts without it */
        tally_decref(mal->error);
    mal->error = NULL;
}

static bool run_line(struct mal *mal, const char *line, size_t length, bool show, int step)
{
    bool nothing;
    TALLY_LOCAL void *form = step ? mal_read(mal, line, length, &nothing) : mal_symbol(mal, line, length);
    if (step && nothing)
        return true;
    TALLY_LOCAL void *value = form && step > 1 ? mal_eval(mal, form, mal->root) : tally_dup(form);
    TALLY_LOCAL struct string *text = value && show ? mal_print(mal, &value, 1, true, "") : NULL;
    if (text) {
        fwrite(text->bytes, 1, text->length, stdout);
        putchar('\n');
    }
    if (!value || (show && !text)) {
        error_show(mal);
        return false;
    }
    return true;
}

static void repl(struct mal *mal, int step)
{
    static const char banner[] = "(println (str \"Mal [\" *host-language* \"]\"))";
    run_line(mal, banner, sizeof banner - 1, false, STEP_LAST);
    size_t length;
    for (const char *line = mal_line(mal, "user> ", &length); line; line = mal_line(mal, "user> ", &length)) {
        TALLY_LOCAL struct string *copy = mal_string(mal, line, length); /* readline may reuse the buffer */
        if (copy)
            run_line(mal, copy->bytes, copy->length, true, step);
        else
            error_show(mal);
    }
    putchar('\n');
}

static bool run_file(struct mal *mal, const char *path)
{
    TALLY_LOCAL void *name = mal_string(mal, path, strlen(path));
    TALLY_LOCAL struct symbol *load = name ? mal_symbol(mal, "load-file", 9) : NULL;
    TALLY_LOCAL void *call = load ? mal_list_of(mal, (void *[]){load, name}, 2) : NULL;
    TALLY_LOCAL void *value = call ? mal_eval(mal, call, mal->root) : NULL;
    if (!value)
        error_show(mal);
    return value;
}

static void stats_show(struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    fprintf(stderr,
            "allocations %" PRIu64 "\nfreed by count %" PRIu64 "\n"
            "freed by cycle %" PRIu64 "\nlive objects %" PRIu64 "\n",
            stats.allocations, stats.frees_refcount, stats.frees_cycle, stats.live_objects);
}

static int run(struct tally_heap *heap, const struct settings *settings, int argc, char **argv)
{
    struct mal mal;
    if (settings->attach)
        tally_attach(heap);
    int error = mal_open(&mal, heap, argc > 1 ? argc - 1 : 0, argv + 1);
    if (error) {
        fprintf(stderr, "tally-mal: %s\n", tally_strerror(error));
        return 1;
    }
    bool good = true;
    if (argc > 0)
        good = run_file(&mal, argv[0]);
    else
        repl(&mal, settings->step);
    mal_close(&mal);
    tally_collect(heap, 2);
    if (settings->stats)
        stats_show(heap);
    return fflush(stdout) || !good;
}

/* Returns -1 to go on, else the exit status. */
static int options_take(int argc, char **argv, struct settings *settings)
{
    static const struct option table[] = {
        {"name", required_argument, NULL, 'n'}, {"label", required_argument, NULL, 'l'},
        {"no-attach", no_argument, NULL, 'x'},  {"stats", no_argument, NULL, 's'},
        {"step", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},       {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    bool named = false;
    for (;;) {
        int option = getopt_long(argc, argv, "+", table, NULL);
        if (option == -1)
            break;
        if (option == 'h' || option == 'v') {
            printf(option == 'h' ? "%s" : "tally-mal %s\n", option == 'h' ? help : tally_version());
            return 0;
        }
        if (option == 'n' && !tally_set_name(optarg))
            named = true;
        else if (option == 'x')
            settings->attach = false;
        else if (option == 's')
            settings->stats = true;
        else if (option == 'g' && step_take(optarg, &settings->step))
            continue;
        else if (option != 'l' || !label_set(optarg)) {
            if (option != '?')
                fprintf(stderr, "tally-mal: %s: is no %s\n", optarg,
                        option == 'g' ? "step" : "name or label");
            return 2;
        }
    }
    const char *slash = optind < argc ? strrchr(argv[optind], '/') : NULL;
    if (!named && optind < argc)
        tally_set_name(slash ? slash + 1 : argv[optind]);
    return -1;
}

int main(int argc, char **argv)
{
    struct settings settings = {.attach = true, .step = STEP_LAST};
    struct tally_heap *heap;
    int status = options_take(argc, argv, &settings);
    if (status >= 0)
        return status;
    int error = tally_heap_new(TALLY_ABI, NULL, &heap);
    if (error) {
        fprintf(stderr, "tally-mal: %s\n", tally_strerror(error));
        return 1;
    }
    status = run(heap, &settings, argc - optind, argv + optind);
    tally_heap_free(heap);
    return status;
}
