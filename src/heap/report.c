/* What the heap has to say: faults of its host, lines that debug flags ask for, leaks at its end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap/internal.h"

static const char *kind_word(enum tally_report_kind kind)
{
    switch (kind) {
#define TALLY_X(name, value, word)                                                                           \
    case name:                                                                                               \
        return word;
        TALLY_REPORTS(TALLY_X)
#undef TALLY_X
    }
    return "unknown";
}

void tally_report_stderr(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    int saved = errno;
    if (report->type)
        fprintf(stderr, "tally: %s: %s: %s\n", kind_word(report->kind), report->type->info.name,
                report->sentence);
    else
        fprintf(stderr, "tally: %s: %s\n", kind_word(report->kind), report->sentence);
    errno = saved;
}

void tally_set_report(struct tally_heap *heap, tally_report_fn report, void *arg)
{
    heap->report = report;
    heap->report_arg = arg;
}

static void deliver(struct tally_heap *heap, const struct tally_report *report)
{
    if (heap->report) {
        heap->report(heap, report, heap->report_arg);
        return;
    }
#ifdef TALLY_DEBUG
    tally_report_stderr(heap, report, NULL);
    if (report->kind >= TALLY_REPORT_DECREF)
        abort();
#endif
}

void tally__report(struct tally_heap *heap, enum tally_report_kind kind, const struct tally_type *type,
                   const char *format, ...)
{
    char sentence[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    deliver(heap, &(struct tally_report){.kind = kind,
                                         .sentence = sentence,
                                         .type = type,
                                         .objects = kind >= TALLY_REPORT_DECREF && type ? 1 : 0});
}

void tally__debug_stats(struct tally_heap *heap, const struct tally_collection *info)
{
    if (!(heap->debug & TALLY_DEBUG_STATS))
        return;
    if (!info->stop)
        tally__report(heap, TALLY_REPORT_DEBUG, NULL, "collecting generation %d", info->generation);
    else
        tally__report(heap, TALLY_REPORT_DEBUG, NULL,
                      "done: %llu examined, %llu collected, %llu uncollectable, %.6f s",
                      (unsigned long long)info->examined, (unsigned long long)info->collected,
                      (unsigned long long)info->uncollectable, (double)info->duration_ns / 1e9);
}

/* ---- leaks, by type */

static int count_left(void *object, void *arg)
{
    struct tally_count *counts = arg;
    const struct tally_type *type = type_of(object);
    if (*word_of(object) & FLAG_IMMORTAL)
        return 0;
    counts[type->index].objects++;
    counts[type->index].bytes += tally__size_of(type, object);
    return 0;
}

static void report_left(struct tally_heap *heap, uint32_t type, struct tally_count count, const char *what)
{
    char sentence[128];
    if (!count.objects)
        return;
    snprintf(sentence, sizeof sentence, "%llu objects, %llu bytes, %s when the heap went",
             (unsigned long long)count.objects, (unsigned long long)count.bytes, what);
    deliver(heap, &(struct tally_report){.kind = TALLY_REPORT_LEAK,
                                         .sentence = sentence,
                                         .type = atomic_load(&tally__types[type]),
                                         .objects = count.objects,
                                         .bytes = count.bytes});
}

/* Before the last collection, after it: what it frees was garbage in cycles, what it leaves is referenced. */
void tally__leaks_count(struct tally_heap *heap, struct tally_leaks *leaks)
{
    if (!heap->report)
        return;
    leaks->types = tally__type_count();
    leaks->counts = calloc(leaks->types, sizeof *leaks->counts);
    if (leaks->counts)
        tally_walk(heap, count_left, leaks->counts);
}

/* Types that finalizers have registered meanwhile, and what there is no memory to count in, go unsaid. */
void tally__leaks_report(struct tally_heap *heap, struct tally_leaks *before, struct tally_leaks *after)
{
    for (uint32_t i = 0; before->counts && after->counts && i < before->types; i++) {
        struct tally_count was = before->counts[i], left = after->counts[i];
        if (was.objects > left.objects)
            report_left(heap, i, (struct tally_count){was.objects - left.objects, was.bytes - left.bytes},
                        "were garbage in cycles");
    }
    for (uint32_t i = 0; after->counts && i < after->types; i++)
        report_left(heap, i, after->counts[i], "were still referenced");
    free(before->counts);
    free(after->counts);
}
