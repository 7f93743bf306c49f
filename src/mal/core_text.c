/* Printing, reading, files and time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mal/mal.h"

void *mal_pr_str(struct mal *mal, void **args, size_t count)
{
    return mal_print(mal, args, count, true, " ");
}

void *mal_str(struct mal *mal, void **args, size_t count)
{
    return mal_print(mal, args, count, false, "");
}

static void *print_line(struct mal *mal, void **args, size_t count, bool readably)
{
    TALLY_LOCAL struct string *text = mal_print(mal, args, count, readably, " ");
    if (!text)
        return NULL;
    fwrite(text->bytes, 1, text->length, stdout);
    putchar('\n');
    return tally_dup(mal->nil);
}

void *mal_prn(struct mal *mal, void **args, size_t count)
{
    return print_line(mal, args, count, true);
}

void *mal_println(struct mal *mal, void **args, size_t count)
{
    return print_line(mal, args, count, false);
}

void *mal_read_string(struct mal *mal, void **args, size_t count)
{
    (void)count;
    bool nothing;
    const struct string *text = args[0];
    if (mal_kind(text) != MAL_STRING)
        return mal_throw(mal, "read-string: a string is needed");
    void *form = mal_read(mal, text->bytes, text->length, &nothing);
    return nothing ? tally_dup(mal->nil) : form;
}

/* A C string for the system, or a throw where the value is none. */
static bool c_string(struct mal *mal, const struct string *text, char *out, size_t room)
{
    if (mal_kind(text) == MAL_STRING && text->length < room && !memchr(text->bytes, 0, text->length)) {
        memcpy(out, text->bytes, text->length);
        out[text->length] = '\0';
        return true;
    }
    mal_throw(mal, "a string of less than %zu bytes is needed", room);
    return false;
}

void *mal_readline(struct mal *mal, void **args, size_t count)
{
    (void)count;
    char prompt[256];
    size_t length;
    if (!c_string(mal, args[0], prompt, sizeof prompt))
        return NULL;
    const char *line = mal_line(mal, prompt, &length);
    return line ? mal_string(mal, line, length) : tally_dup(mal->nil);
}

/* The file's length may change as it is read: what counts is what comes. */
static void *read_all(struct mal *mal, FILE *file)
{
    TALLY_LOCAL struct string *text = mal_new_array(mal, MAL_STRING, 4096);
    size_t used = 0, got;
    while (text && (got = fread(text->bytes + used, 1, text->length - used, file)) > 0) {
        used += got;
        if (used < text->length)
            continue;
        struct string *bigger = mal_new_array(mal, MAL_STRING, 2 * used);
        if (bigger)
            memcpy(bigger->bytes, text->bytes, used);
        tally_decref(text);
        text = bigger;
    }
    return text ? mal_string(mal, text->bytes, used) : NULL;
}

void *mal_slurp(struct mal *mal, void **args, size_t count)
{
    (void)count;
    char path[4096];
    if (!c_string(mal, args[0], path, sizeof path))
        return NULL;
    FILE *file = fopen(path, "re");
    if (!file)
        return mal_throw(mal, "slurp: %.300s: %s", path, strerror(errno));
    void *text = read_all(mal, file);
    bool failed = ferror(file);
    fclose(file);
    if (failed && text) {
        tally_decref(text);
        return mal_throw(mal, "slurp: %.300s: cannot be read", path);
    }
    return text;
}

void *mal_eval_form(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return mal_eval(mal, args[0], mal->root);
}

void *mal_time_ms(struct mal *mal, void **args, size_t count)
{
    (void)args, (void)count;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return mal_integer(mal, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

void *mal_sleep_ms(struct mal *mal, void **args, size_t count)
{
    (void)count;
    const struct integer *ms = args[0];
    if (mal_kind(ms) != MAL_INTEGER || ms->number < 0)
        return mal_throw(mal, "sleep-ms: a number from 0 is needed");
    fflush(stdout);
    mal_sleep(mal, (uint64_t)ms->number);
    return tally_dup(mal->nil);
}

void *mal_gc(struct mal *mal, void **args, size_t count)
{
    const struct integer *generation = count ? args[0] : NULL;
    if (generation &&
        (mal_kind(generation) != MAL_INTEGER || generation->number < 0 || generation->number > 2))
        return mal_throw(mal, "gc: a generation from 0 to 2 is needed");
    return mal_integer(mal, tally_collect(mal->heap, generation ? (int)generation->number : 2));
}

void *mal_live_objects(struct mal *mal, void **args, size_t count)
{
    (void)args, (void)count;
    struct tally_stats stats;
    tally_get_stats(mal->heap, &stats, sizeof stats);
    return mal_integer(mal, (int64_t)stats.live_objects);
}
