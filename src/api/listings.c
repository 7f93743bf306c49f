/* What a program's heaps are asked to list: garbage, objects, referrers, candidates, shapes of cycles. A GET waits for the host like
 * a control and is one: it costs the program a pause, at most 10 ms a heap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"

#define LIST_DEFAULT 100u
#define LIST_WAIT_NS 5000000000u

static json_t *generation_json(uint32_t flags)
{
    uint32_t generation = flags & WIRE_OBJECT_GENERATION;
    return generation == WIRE_FROZEN_GENERATION  ? json_string("frozen")
           : generation < WIRE_FROZEN_GENERATION ? json_integer(generation)
                                                 : json_null();
}

static json_t *object_json(uint32_t n, const struct stats_heap_view *heap, const struct wire_object *object)
{
    return json_pack("{s:o, s:o, s:s?, s:o, s:o, s:o, s:b}", "heap", view_number(n), "object",
                     view_number(object->object), "type", details_type_name(heap, object->type_row), "bytes",
                     view_number(object->bytes), "references", view_number(object->references), "generation",
                     generation_json(object->flags), "finalized", (object->flags & WIRE_OBJECT_FINALIZED) != 0);
}

/* A shape is made of names that the program gave: what is no text is not shown. */
static json_t *cycle_json(uint32_t n, const struct stats_heap_view *heap, const struct wire_cycle *cycle, const char *text)
{
    bool valid = wire_text_valid(text, cycle->text_bytes);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "heap", view_number(n), "shape",
                     valid ? json_stringn(text, cycle->text_bytes) : json_null(), "count", view_number(cycle->count),
                     "objects", view_number(cycle->objects), "bytes", view_number(cycle->bytes), "object",
                     view_number(cycle->object), "last_mono_ns", view_number(cycle->last_ns), "weaken",
                     valid ? weaken_json(heap, text, cycle->text_bytes) : json_null());
}

static json_t *candidates_json(uint32_t n, const struct stats_heap_view *heap, const struct wire_candidates *row)
{
    return json_pack("{s:o, s:s?, s:o, s:o}", "heap", view_number(n), "type", details_type_name(heap, row->type_row),
                     "candidates", view_number(row->candidates), "survived", view_number(row->survived));
}

static int candidates_order(const void *first, const void *second)
{
    const struct wire_candidates *a = first, *b = second;
    return a->candidates != b->candidates ? (a->candidates < b->candidates ? 1 : -1)
                                          : (a->type_row > b->type_row) - (a->type_row < b->type_row);
}

/* Those types first that have most. */
static void candidates_add(json_t *list, uint32_t n, const struct stats_heap_view *heap, const struct wire_rows *rows)
{
    struct wire_candidates *sorted = malloc(rows->count * sizeof *sorted);
    size_t count = 0;
    for (size_t at = 0; sorted && count < rows->count && wire_rows_candidates(rows, &at, &sorted[count]); count++)
        continue;
    if (sorted)
        qsort(sorted, count, sizeof *sorted, candidates_order);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, candidates_json(n, heap, &sorted[i]));
    free(sorted);
}

static void rows_add(json_t *list, const struct operation_view *operation, const struct operation_heap *heap,
                     const struct stats_heap_view *view)
{
    const struct wire_rows *rows = heap->rows ? operation_rows_get(heap->rows) : NULL;
    uint64_t index = operation->command.after;
    struct wire_object object;
    struct wire_cycle cycle;
    const char *text;
    if (rows && operation->kind == WIRE_COMMAND_CYCLES)
        for (size_t at = 0; wire_rows_cycle(rows, &at, &cycle, &text);)
            json_array_append_new(list, cycle_json(heap->n, view, &cycle, text));
    if (rows && operation->kind == WIRE_COMMAND_CANDIDATES)
        candidates_add(list, heap->n, view, rows);
    else if (rows && operation->kind != WIRE_COMMAND_CYCLES)
        for (size_t at = 0; wire_rows_object(rows, &at, &object);) {
            json_t *json = object_json(heap->n, view, &object);
            if (operation->kind == WIRE_COMMAND_GARBAGE)
                json_object_set_new(json, "index", view_number(index++));
            json_array_append_new(list, json);
        }
}

static json_t *cursor_json(const struct operation_heap *heap)
{
    return heap->after ? json_sprintf("%llu", (unsigned long long)heap->after) : json_null();
}

/* One heap's own state and where it goes on. */
static json_t *heap_json(const struct operation_view *operation, const struct operation_heap *heap)
{
    json_t *json = json_pack("{s:o, s:s, s:s?, s:s?, s:o}", "n", view_number(heap->n), "state",
                             operation_state_word(heap->state), "code", heap->code, "detail",
                             operation_sentence(heap->code, heap->error), "next_cursor", cursor_json(heap));
    if (operation->kind == WIRE_COMMAND_REFERRERS)
        json_object_set_new(json, "object", view_number(heap->total));
    else if (operation->kind != WIRE_COMMAND_OBJECTS)
        json_object_set_new(json, "total", view_number(heap->total));
    return json;
}

static const char *list_name(uint32_t kind)
{
    return kind == WIRE_COMMAND_CYCLES       ? "cycles"
           : kind == WIRE_COMMAND_GARBAGE    ? "garbage"
           : kind == WIRE_COMMAND_REFERRERS  ? "referrers"
           : kind == WIRE_COMMAND_CANDIDATES ? "candidates"
                                             : "objects";
}

json_t *listing_json(struct api *api, const struct operation_view *operation)
{
    json_t *list = json_array(), *heaps = json_array();
    bool ambiguous, complete = true;
    const struct stats_view *view = stats_view_get_new(api->stats);
    const struct stats_process_view *process = stats_find(view, *operation->processes, &ambiguous);
    for (size_t i = 0; i < operation->heap_count; i++) {
        const struct operation_heap *heap = &operation->heaps[i];
        rows_add(list, operation, heap, process ? view_heap_find(process, heap->n) : NULL);
        json_array_append_new(heaps, heap_json(operation, heap));
        complete &= heap->state == OPERATION_SUCCEEDED && !heap->after;
    }
    stats_view_unref(view);
    return json_pack("{s:o, s:b, s:o, s:o}", list_name(operation->kind), list, "complete", complete, "next_cursor",
                     operation->heap_count == 1 ? cursor_json(&operation->heaps[0]) : json_null(), "heaps", heaps);
}

static enum problem problem_of(const struct operation_view *operation)
{
    static const struct { const char *code; enum problem problem; } rows[] = {
        {"process_gone", PROBLEM_process_gone}, {"heap_gone", PROBLEM_heap_gone}, {"vetoed", PROBLEM_vetoed},
        {"unsupported", PROBLEM_unsupported},   {"busy", PROBLEM_busy},           {"undeliverable", PROBLEM_busy},
        {"unconfirmed", PROBLEM_no_answer}};
    for (size_t i = 0; operation->code && i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(operation->code, rows[i].code))
            return rows[i].problem;
    return !operation->code                            ? PROBLEM_no_answer /* expired, or cancelled */
           : operation->kind == WIRE_COMMAND_REFERRERS ? PROBLEM_no_such_entry
                                                       : PROBLEM_refused_by_host;
}

enum MHD_Result listing_answer(struct request *request, const struct operation_view *operation)
{
    bool any = !operation->heap_count;
    for (size_t i = 0; i < operation->heap_count; i++)
        any |= operation->heaps[i].state == OPERATION_SUCCEEDED;
    enum problem problem = problem_of(operation);
    if (!any) /* "out of range" says less than the title */
        return respond_problem(request, problem,
                               problem == PROBLEM_no_such_entry ? NULL
                                                                : operation_sentence(operation->code, operation->error));
    json_t *json = listing_json(request->api, operation);
    json_object_set_new(json, "id", json_string(*operation->processes));
    json_object_set_new(json, "operation", json_string(operation->id));
    json_object_set_new(json, "as_of", view_time(operation->finished_wall_ns));
    return respond_json(request, MHD_HTTP_OK, json, 0, NULL);
}

/* A cursor is of one heap. */
static bool cursor_fit(struct request *request, const struct stats_process_view *process, uint32_t heap,
                       struct wire_command *command, enum MHD_Result *answered)
{
    const char *cursor = request_parameter(request, "cursor");
    size_t live = 0;
    for (size_t i = 0; i < process->heap_count; i++)
        live += !process->heaps[i].gone;
    if (cursor && !heap && live != 1)
        *answered = respond_fault(request, "cursor", NULL, "cursor: of several heaps each has its own: ask below …/heaps/{n}");
    else if (cursor && !parse_number(cursor, UINT64_MAX, &command->after))
        *answered = respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page of the same list");
    else
        return true;
    return false;
}

/* The row is the same in every heap. Of types that share a name it is the first. */
static bool type_fit(struct request *request, const struct stats_process_view *process, uint32_t heap,
                     struct wire_command *command, enum MHD_Result *answered)
{
    const char *name = request_parameter(request, "type");
    for (size_t i = 0; name && i < process->heap_count; i++)
        for (size_t t = 0; t < process->heaps[i].type_count && !command->type_row; t++)
            if (!strcmp(process->heaps[i].types[t].name, name))
                command->type_row = process->heaps[i].types[t].row + 1;
    if (!name || command->type_row)
        return cursor_fit(request, process, heap, command, answered);
    *answered = respond_fault(request, "type", NULL, "type: the process has none of this name");
    return false;
}

static enum MHD_Result list(struct request *request, uint32_t kind, controls_fit_fn fit)
{
    const char *generation = request_parameter(request, "generation"), *index = request_segment(request, "{index}");
    struct wire_command command = {.kind = kind, .generation = WIRE_ANY_GENERATION,
                                   .limit = (uint32_t)request_integer(request, "limit", LIST_DEFAULT)};
    if (generation)
        command.generation = *generation == 'f' ? WIRE_FROZEN_GENERATION : *generation - '0';
    if (index && !parse_number(index, UINT32_MAX, &command.index))
        return respond_problem(request, PROBLEM_no_such_entry, NULL);
    return controls_run(request, &command, LIST_WAIT_NS, fit);
}

enum MHD_Result api_garbage(struct request *request)
{
    return list(request, WIRE_COMMAND_GARBAGE, cursor_fit);
}

enum MHD_Result api_objects(struct request *request)
{
    return list(request, WIRE_COMMAND_OBJECTS, type_fit);
}

enum MHD_Result api_referrers(struct request *request)
{
    return list(request, WIRE_COMMAND_REFERRERS, cursor_fit);
}

enum MHD_Result api_cycles(struct request *request)
{
    return list(request, WIRE_COMMAND_CYCLES, cursor_fit);
}

enum MHD_Result api_candidates(struct request *request)
{
    return list(request, WIRE_COMMAND_CANDIDATES, cursor_fit);
}
