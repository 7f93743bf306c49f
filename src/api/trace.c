/* A process's timeline as Chrome's trace events, which Perfetto and chrome://tracing open: collections are slices of one
 * thread a heap, with their phases inside, figures are counters, and what somebody asked for, or a rule told, are instants.
 * The format: "Trace Event Format" of the catapult project (JSON object format). Times are microseconds since `from`.
 *
 * What is always true
 *  - Events are in the order of their times, and of those of one time the longer one is first; slices of a thread nest.
 *  - It is bounded: the newest COLLECTIONS_MOST collections, and so many points, alerts and records of the audit; what was
 *    left out is told in otherData.
 *  - Texts are the program's or somebody's: they are written as JSON strings, and nowhere else. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/text.h"

#define COLLECTIONS_MOST 10000u
#define NOTES_MOST 1000u
#define TRACE_TYPE "application/x-chrome-trace+json" /* nobody has registered one */

enum kind { COLLECTION, PHASE, COUNTER, NOTE };

struct item { /* of the timeline */
    uint64_t start_ns, length_ns; /* since `from` */
    enum kind kind;
    uint32_t part; /* the phase, or the column */
    size_t index;  /* of the collection, the point or the note */
};

struct note { /* what somebody asked for, or a rule told */
    uint64_t at_ns;
    const char *category;
    json_t *args; /* with its name */
};

struct trace {
    const struct trace_source *source;
    uint64_t from_ns, to_ns;
    int pid;
    size_t count, room;
    struct item *items;
    size_t collection_count;
    struct stats_collection_view *collections; /* newest first, then oldest first */
    size_t note_count;
    struct note *notes;
    bool more, failed; /* failed: out of memory */
    FILE *out;
    bool any; /* something was written, so that a comma is due */
};

static void item_add(struct trace *trace, struct item item)
{
    if (trace->count == trace->room) {
        size_t room = 2 * trace->room + 1024;
        struct item *larger = realloc(trace->items, room * sizeof *larger);
        trace->failed |= !larger;
        if (!larger)
            return;
        trace->items = larger;
        trace->room = room;
    }
    trace->items[trace->count++] = item;
}

static int item_order(const void *first, const void *second)
{
    const struct item *a = first, *b = second;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->part != b->part ? (a->part < b->part ? -1 : 1) : 0;
}

/* ---- collections */

static void collection_take(void *arg, uint64_t number, const struct stats_collection_view *collection, uint64_t missed)
{
    struct trace *trace = arg;
    (void)number, (void)missed;
    if (collection->start_wall_ns >= trace->from_ns && collection->start_wall_ns < trace->to_ns)
        trace->collections[trace->collection_count++] = *collection;
}

static int collection_order(const void *first, const void *second)
{
    const struct stats_collection_view *a = first, *b = second;
    if (a->heap != b->heap)
        return a->heap < b->heap ? -1 : 1;
    if (a->start_wall_ns != b->start_wall_ns)
        return a->start_wall_ns < b->start_wall_ns ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#define GAP_NS 2u /* between slices of one thread, so that they nest in a reader's doubles, too */

/* A collection ends before the next of its heap begins, and its phases before it does, whatever the program says. */
static void collection_items(struct trace *trace, size_t at)
{
    const struct stats_collection_view *is = &trace->collections[at], *next = is + 1;
    bool last = at + 1 == trace->collection_count || next->heap != is->heap;
    uint64_t start_ns = is->start_wall_ns - trace->from_ns;
    uint64_t room_ns = (last ? trace->to_ns : next->start_wall_ns) - is->start_wall_ns;
    const uint64_t phases[] = {is->find_ns, is->callback_ns, is->free_ns};
    uint64_t length_ns = least(is->pause_ns, room_ns > GAP_NS ? room_ns - GAP_NS : 0), left_ns = length_ns;
    item_add(trace, (struct item){start_ns, length_ns, COLLECTION, 0, at});
    for (uint32_t phase = 0; phase < 3; phase++) {
        uint64_t phase_ns = least(phases[phase], left_ns);
        if (phase_ns > GAP_NS)
            item_add(trace, (struct item){start_ns + length_ns - left_ns, phase_ns - GAP_NS, PHASE, phase, at});
        left_ns -= phase_ns;
    }
}

static int collections_take(struct trace *trace, struct history *history)
{
    const struct trace_source *source = trace->source;
    const struct history_range range = {.from_ns = trace->from_ns, .to_ns = trace->to_ns, .limit = COLLECTIONS_MOST};
    trace->collections = malloc(COLLECTIONS_MOST * sizeof *trace->collections);
    if (!trace->collections)
        return 0;
    int error = history_collection_list(history, source->process, source->heap, &range, collection_take, trace);
    trace->more |= trace->collection_count == COLLECTIONS_MOST;
    qsort(trace->collections, trace->collection_count, sizeof *trace->collections, collection_order);
    for (size_t i = 0; i < trace->collection_count; i++)
        collection_items(trace, i);
    return error == -ENOENT ? 0 : error; /* its figures were found, or it lives: nothing of it is written yet */
}

/* ---- what somebody asked for, and what rules told */

static void note_add(struct trace *trace, uint64_t at_ns, const char *category, json_t *args)
{
    if (at_ns < trace->from_ns || at_ns >= trace->to_ns || trace->note_count == 2 * NOTES_MOST) {
        json_decref(args);
        return;
    }
    trace->notes[trace->note_count] = (struct note){at_ns, category, args};
    item_add(trace, (struct item){at_ns - trace->from_ns, 0, NOTE, 0, trace->note_count++});
}

static void record_take(void *arg, uint64_t number, const struct audit_record *record)
{
    (void)number;
    note_add(arg, record->wall_ns, "control",
             json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", record->kind, "who", record->who, "target", record->target, "detail",
                       record->detail, "result", record->result));
}

static void alert_take(void *arg, uint64_t number, const struct history_alert *alert)
{
    const struct trace *trace = arg;
    (void)number;
    if (!strcmp(alert->process, trace->source->process))
        note_add(arg, alert->wall_ns, "alert",
                 json_pack("{s:s, s:s, s:s, s:f, s:f}", "name", alert->rule, "state", alert->state, "detail", alert->detail, "value",
                           alert->value, "threshold", alert->threshold));
}

static int notes_take(struct trace *trace, struct history *history)
{
    const struct history_range range = {.from_ns = trace->from_ns, .to_ns = trace->to_ns, .limit = NOTES_MOST};
    const struct history_audit_filter filter = {.target = trace->source->process};
    trace->notes = malloc(2 * NOTES_MOST * sizeof *trace->notes);
    trace->failed |= !trace->notes;
    if (trace->failed)
        return 0;
    int error = history_audit_list(history, &range, &filter, record_take, trace);
    return error ? error : history_alert_list(history, &range, alert_take, trace);
}

/* ---- figures */

static void counters_take(struct trace *trace)
{
    const struct history_answer *answer = trace->source->answer;
    for (size_t i = 0; i < answer->point_count; i++) {
        uint64_t at_ns = (uint64_t)(answer->start_s + (int64_t)(i + 1) * answer->step_s) * 1000000000u;
        for (uint32_t column = 0; column < answer->column_count; column++)
            if (answer->columns[column].points[i].known && at_ns >= trace->from_ns && at_ns <= trace->to_ns)
                item_add(trace, (struct item){at_ns - trace->from_ns, 0, COUNTER, column, i});
    }
}

/* A counter's rate since the point before; a gauge's last value. */
static double counter_value(const struct history_answer *answer, const struct item *item)
{
    const struct history_column *column = &answer->columns[item->part];
    const struct history_point *now = &column->points[item->index], *then = item->index ? now - 1 : NULL;
    if (column->gauge)
        return (double)now->last;
    return then && then->known && now->last >= then->last ? (double)(now->last - then->last) / answer->step_s : 0;
}

/* ---- writing */

static void text_write(struct trace *trace, const char *text)
{
    json_t *json = json_string(text);
    if (!json || json_dumpf(json, trace->out, JSON_ENCODE_ANY | JSON_ENSURE_ASCII))
        fputs("\"\"", trace->out);
    json_decref(json);
}

static void event_begin(struct trace *trace)
{
    fputs(trace->any ? ",\n" : "\n", trace->out);
    trace->any = true;
}

static void meta_write(struct trace *trace, uint32_t thread, const char *what, const char *name)
{
    event_begin(trace);
    fprintf(trace->out, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"name\":\"%s\",\"args\":{\"name\":", trace->pid, (unsigned)thread, what);
    text_write(trace, name);
    fputs("}}", trace->out);
}

/* Microseconds with three digits behind the point, exact to the nanosecond. */
static void time_write(struct trace *trace, const char *name, uint64_t ns)
{
    fprintf(trace->out, ",\"%s\":%llu.%03u", name, (unsigned long long)(ns / 1000), (unsigned)(ns % 1000));
}

static void collection_write(struct trace *trace, const struct item *item)
{
    static const char *const phases[] = {"find", "callbacks", "free"};
    const struct stats_collection_view *is = &trace->collections[item->index];
    bool phase = item->kind == PHASE;
    fprintf(trace->out, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%u,\"cat\":\"gc\",\"name\":\"%s%s\"", trace->pid, (unsigned)is->heap,
            phase ? "" : "collection, ", phase ? phases[item->part] : view_reason(is->reason));
    time_write(trace, "ts", item->start_ns);
    time_write(trace, "dur", item->length_ns);
    if (!phase) {
        fprintf(trace->out,
                ",\"args\":{\"reason\":\"%s\",\"scope\":\"%s\",\"generation\":%u,\"sequence\":%llu,\"slices\":%u,\"examined\":%llu,\"collected\":%llu,"
                "\"freed_bytes\":%llu,\"uncollectable\":%llu,\"live_bytes_before\":%llu,\"live_bytes_after\":%llu,"
                "\"pause_ns\":%llu,\"find_ns\":%llu,\"callback_ns\":%llu,\"free_ns\":%llu,\"safepoint_wait_ns\":%llu}",
                view_reason(is->reason), view_scope(is->scope), (unsigned)is->generation, (unsigned long long)is->sequence, (unsigned)is->slices,
                (unsigned long long)is->examined, (unsigned long long)is->collected, (unsigned long long)is->freed_bytes,
                (unsigned long long)is->uncollectable, (unsigned long long)is->live_bytes_before,
                (unsigned long long)is->live_bytes_after, (unsigned long long)is->pause_ns, (unsigned long long)is->find_ns,
                (unsigned long long)is->callback_ns, (unsigned long long)is->free_ns,
                (unsigned long long)is->safepoint_wait_ns);
    }
    fputc('}', trace->out);
}

static void counter_write(struct trace *trace, const struct item *item)
{
    const struct trace_source *source = trace->source;
    const struct history_column *column = &source->answer->columns[item->part];
    char name[320];
    snprintf(name, sizeof name, column->gauge ? "%s" : "%s a second", source->columns[item->part]);
    fprintf(trace->out, "{\"ph\":\"C\",\"pid\":%d,\"cat\":\"figures\",\"name\":", trace->pid);
    text_write(trace, name);
    time_write(trace, "ts", item->start_ns);
    fputs(",\"args\":{", trace->out);
    text_write(trace, *column->unit ? column->unit : "value");
    fprintf(trace->out, ":%.17g}}", counter_value(source->answer, item));
}

static void note_write(struct trace *trace, const struct item *item)
{
    const struct note *note = &trace->notes[item->index];
    fprintf(trace->out, "{\"ph\":\"i\",\"s\":\"p\",\"pid\":%d,\"tid\":0,\"cat\":\"%s\",\"name\":", trace->pid, note->category);
    text_write(trace, json_string_value(json_object_get(note->args, "name")));
    time_write(trace, "ts", item->start_ns);
    fputs(",\"args\":", trace->out);
    json_dumpf(note->args, trace->out, JSON_COMPACT | JSON_ENSURE_ASCII);
    fputc('}', trace->out);
}

static void items_write(struct trace *trace)
{
    if (trace->count)
        qsort(trace->items, trace->count, sizeof *trace->items, item_order);
    for (size_t i = 0; i < trace->count; i++) {
        const struct item *item = &trace->items[i];
        event_begin(trace);
        if (item->kind == COUNTER)
            counter_write(trace, item);
        else if (item->kind == NOTE)
            note_write(trace, item);
        else
            collection_write(trace, item);
    }
}

static void threads_write(struct trace *trace)
{
    for (size_t i = 0; i < trace->collection_count; i++) {
        uint32_t heap = trace->collections[i].heap;
        char name[32];
        snprintf(name, sizeof name, "heap %u", (unsigned)heap);
        if (!i || trace->collections[i - 1].heap != heap)
            meta_write(trace, heap, "thread_name", name);
    }
}

static void trace_write(struct trace *trace, const char *name)
{
    char from[TEXT_TIME];
    text_time(from, trace->from_ns);
    fprintf(trace->out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"process\":\"%s\",\"from\":\"%s\",\"complete\":%s},\"traceEvents\":[",
            trace->source->process, from, trace->more ? "false" : "true");
    meta_write(trace, 0, "process_name", name);
    threads_write(trace);
    items_write(trace);
    fputs("\n]}\n", trace->out);
}

static enum MHD_Result respond(struct request *request, char *text, size_t bytes)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return respond_problem(request, PROBLEM_internal, "out of memory");
    }
    respond_headers(response, false);
    MHD_add_response_header(response, "Content-Type", TRACE_TYPE);
    MHD_add_response_header(response, "Content-Disposition", "attachment; filename=\"trace.json\"");
    return respond_queue(request, MHD_HTTP_OK, response);
}

static void name_take(void *arg, uint64_t number, const struct history_process *process)
{
    char *name = arg;
    (void)number;
    snprintf(name, 256, "%s", process->name);
}

static void trace_free(struct trace *trace)
{
    for (size_t i = 0; i < trace->note_count; i++)
        json_decref(trace->notes[i].args);
    free(trace->notes);
    free(trace->items);
    free(trace->collections);
}

/* Who it is now, else who it was. */
static void identify(struct request *request, struct trace *trace, char name[256])
{
    bool ambiguous;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = stats_find(view, trace->source->process, &ambiguous);
    snprintf(name, 256, "%s", process ? process->name : "process");
    if (process && process->pid)
        trace->pid = process->pid;
    stats_view_unref(view);
    if (!process)
        history_process_list(request->api->history, trace->source->process, &(struct history_range){.limit = 1}, name_take, name);
}

int trace_respond(struct request *request, const struct trace_source *source, enum MHD_Result *answered)
{
    struct trace trace = {.source = source, .from_ns = source->from_ns, .to_ns = source->to_ns, .pid = 1};
    struct history *history = request->api->history;
    char name[256], *text = NULL;
    size_t bytes = 0;
    identify(request, &trace, name);
    int error = collections_take(&trace, history);
    if (!error)
        error = notes_take(&trace, history);
    counters_take(&trace);
    trace.out = error ? NULL : open_memstream(&text, &bytes);
    if (trace.out) {
        trace_write(&trace, name);
        trace.failed |= fclose(trace.out) != 0;
    }
    if (!error && (trace.failed || !trace.out || !trace.collections)) {
        free(text);
        *answered = respond_problem(request, PROBLEM_internal, "out of memory");
    } else if (!error) {
        *answered = respond(request, text, bytes);
    }
    trace_free(&trace);
    return error;
}
