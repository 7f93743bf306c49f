/* Who leaks, and what costs the collector its time: answers from exact counters, and from what the program and its
 * snapshots have said last. Nothing here asks the program. */
#include <ctype.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "snapshot/snapshot.h"

#define ROWS_STANDARD 20u
#define EXTERNAL_SORT "references" /* of the one list that has pages */
#define CONFIDENCE_LEAST 0.1
#define ALWAYS_LEAST 16u /* candidates, of which half have survived */
#define FEW 64u
#define HEAPS_MOST 64u     /* whose snapshots are read */
#define ARTIFACTS_MOST 256u /* the newest of the process */

struct asking {
    struct request *request;
    const struct stats_process_view *process;
    uint32_t heap; /* 0: all */
    size_t limit;
    struct operation_view *cycles, *candidates; /* the newest answers; NULL: nobody has asked */
};

static bool is_asked(const struct asking *asking, const struct stats_heap_view *heap)
{
    return asking->heap ? heap->n == asking->heap : !heap->gone;
}

static json_t *completeness(bool complete, const char *detail)
{
    return json_pack("{s:b, s:s?}", "complete", complete, "detail", detail);
}

/* ---- types that grow */

struct growing { /* of all heaps that are asked for */
    size_t count;
    struct suspect_row {
        uint32_t heap;
        struct stats_suspect is;
        float trend[GROWTH_PARTS];
    } *rows;
    uint64_t left_out, since_ns; /* since: the earliest part */
};

static json_t *windows_json(const struct suspect_row *row)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < row->is.windows; i++)
        json_array_append_new(list, view_number((uint64_t)row->trend[i] * GROWTH_UNIT));
    return list;
}

/* A path below the process, to ask for more; text is what the program named. */
static json_t *link_json(const struct stats_process_view *process, uint32_t heap, const char *leaf, const char *type)
{
    char encoded[3 * 256 + 1] = "";
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)type; at && *at && used + 4 < sizeof encoded; at++)
        used += (size_t)snprintf(encoded + used, sizeof encoded - used, isalnum(*at) ? "%c" : "%%%02X", *at);
    return json_sprintf("/v1/processes/%s/heaps/%u/%s%s", process->id, (unsigned)heap, leaf, encoded);
}

static json_t *links_json(const struct stats_process_view *process, uint32_t heap, const char *type)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "objects", link_json(process, heap, "objects?type=", type), "cycles",
                     link_json(process, heap, "cycles", NULL), "candidates", link_json(process, heap, "candidates", NULL),
                     "snapshot", link_json(process, heap, "snapshot", NULL));
}

static json_t *reason_json(const struct stats_suspect *suspect)
{
    return json_sprintf("the fewest that were alive in each of %u windows of %.0f s rose %u times out of %u, in the last third "
                        "%.0f %% as fast as over all; %llu collection%s ran meanwhile%s",
                        suspect->windows, (double)suspect->window_ns / 1e9, suspect->rises, suspect->windows - 1,
                        100 * suspect->steady, (unsigned long long)suspect->collections, suspect->collections == 1 ? "" : "s",
                        suspect->collections ? "" : ", so that garbage may be among it");
}

/* Of what is an estimate no more digits are told than mean something. */
static double rounded(double value)
{
    return round(value * 1000) / 1000;
}

static json_t *whole(double value)
{
    return view_number(value < 0x1p62 ? (uint64_t)value : (uint64_t)1 << 62);
}

static json_t *growing_json(const struct stats_process_view *process, const struct suspect_row *row)
{
    const struct stats_suspect *is = &row->is;
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:f, s:o, s:i, s:f, s:f, s:i, s:f, s:o, s:o, s:o}", "heap",
                     view_number(row->heap), "type", is->type->name, "live_objects", view_number(is->type->live_objects),
                     "live_bytes", view_number(is->type->live_bytes), "slope_bytes_per_hour", whole(is->bytes_per_hour),
                     "slope_objects_per_hour", whole(is->objects_per_hour), "confidence", rounded(is->confidence), "reason", reason_json(is),
                     "windows", (int)is->windows, "window_s", rounded((double)is->window_ns / 1e9), "duration_s",
                     rounded((double)is->duration_ns / 1e9), "rises", (int)is->rises, "steady", rounded(is->steady), "collections",
                     view_number(is->collections), "live_bytes_then", windows_json(row), "links",
                     links_json(process, row->heap, is->type->name));
}

static void growing_of_heap(struct growing *all, const struct stats_heap_view *heap)
{
    struct stats_growth_copy *copy = stats_growth_copy_new(heap->growth);
    struct stats_suspect *suspects = copy ? malloc((heap->type_count + 1) * sizeof *suspects) : NULL;
    size_t count = suspects ? stats_suspects(heap, copy, suspects) : 0;
    struct suspect_row *rows = count ? realloc(all->rows, (all->count + count) * sizeof *rows) : NULL;
    if (copy) {
        const struct stats_growth_level *longest = &copy->levels[copy->level_count - 1];
        all->left_out += copy->left_out;
        if (!all->since_ns || longest->start_ns < all->since_ns)
            all->since_ns = longest->start_ns;
    }
    for (size_t i = 0; rows && i < count; i++) {
        struct suspect_row row = {.heap = heap->n, .is = suspects[i]};
        memcpy(row.trend, copy->levels[row.is.level].low[row.is.type->row], sizeof row.trend);
        if (row.is.confidence >= CONFIDENCE_LEAST)
            rows[all->count++] = row;
    }
    all->rows = rows ? rows : all->rows;
    free(suspects);
    free(copy);
}

static int row_order(const void *first, const void *second)
{
    const struct suspect_row *a = first, *b = second;
    if (a->is.bytes_per_hour != b->is.bytes_per_hour)
        return a->is.bytes_per_hour < b->is.bytes_per_hour ? 1 : -1;
    return (a->is.objects_per_hour < b->is.objects_per_hour) - (a->is.objects_per_hour > b->is.objects_per_hour);
}

static void growing_set(json_t *json, json_t *complete, const struct asking *asking)
{
    const struct stats_process_view *process = asking->process;
    struct growing all = {.count = 0};
    json_t *list = json_array();
    for (size_t i = 0; i < process->heap_count; i++)
        if (is_asked(asking, &process->heaps[i]))
            growing_of_heap(&all, &process->heaps[i]);
    if (all.count)
        qsort(all.rows, all.count, sizeof *all.rows, row_order);
    for (size_t i = 0; i < all.count && i < asking->limit; i++)
        json_array_append_new(list, growing_json(process, &all.rows[i]));
    json_t *how = completeness(all.since_ns && !all.left_out, all.since_ns ? NULL : "nothing has been watched for a second yet");
    json_object_set_new(how, "watched_s", json_real(all.since_ns ? rounded((double)(process->as_of_mono_ns - all.since_ns) / 1e9) : 0));
    json_object_set_new(how, "types_left_out", view_number(all.left_out));
    json_object_set_new(how, "rows", view_number(all.count));
    json_object_set_new(json, "growing", list);
    json_object_set_new(complete, "growing", how);
    free(all.rows);
}

/* ---- who reclaims it */

/* The edge to weaken of the largest shape that the type is part of, among those that were listed last. */
static json_t *weaken_of(const struct asking *asking, const char *type)
{
    const struct operation_view *cycles = asking->cycles;
    struct wire_cycle row;
    const char *text;
    uint64_t most = 0;
    json_t *best = json_null();
    for (size_t i = 0; cycles && i < cycles->heap_count; i++) {
        const struct operation_heap *heap = &cycles->heaps[i];
        const struct wire_rows *rows = heap->rows ? operation_rows_get(heap->rows) : NULL;
        for (size_t at = 0; rows && wire_rows_cycle(rows, &at, &row, &text);) {
            if (row.objects <= most || !wire_text_valid(text, row.text_bytes) || !weaken_mentions(text, row.text_bytes, type))
                continue;
            most = row.objects;
            json_decref(best);
            best = json_pack("{s:s%, s:o}", "shape", text, (size_t)row.text_bytes, "weaken",
                             weaken_json(view_heap_find(asking->process, heap->n), text, row.text_bytes));
        }
    }
    return best;
}

static int reclaimed_order(const void *first, const void *second)
{
    const struct stats_type_view *a = *(const struct stats_type_view *const *)first;
    const struct stats_type_view *b = *(const struct stats_type_view *const *)second;
    return a->frees_cycle != b->frees_cycle ? (a->frees_cycle < b->frees_cycle ? 1 : -1) : strcmp(a->name, b->name);
}

static json_t *reclaimed_json(const struct asking *asking, const struct stats_type_view *type, uint64_t all)
{
    double frees = (double)type->frees_refcount + (double)type->frees_cycle;
    return json_pack("{s:s, s:o, s:o, s:f, s:f, s:o}", "type", type->name, "by_refcount", view_number(type->frees_refcount),
                     "by_cycle", view_number(type->frees_cycle), "share",
                     rounded((double)type->frees_cycle / frees), "share_of_collected",
                     rounded((double)type->frees_cycle / (double)all), "cycle", weaken_of(asking, type->name));
}

static void reclaimed_set(json_t *json, json_t *complete, const struct asking *asking)
{
    const struct stats_process_view *process = asking->process;
    const struct stats_heap_view *heap = asking->heap ? view_heap_find(process, asking->heap) : NULL;
    const struct stats_type_view *types = heap ? heap->types : process->types;
    const struct stats_runs *runs = heap ? &heap->runs : &process->runs;
    const struct stats_figures *figures = heap ? &heap->figures : &process->figures;
    size_t type_count = heap ? heap->type_count : process->type_count, count = 0;
    const struct stats_type_view **sorted = malloc((type_count + 1) * sizeof *sorted);
    json_t *list = json_array();
    for (size_t i = 0; sorted && i < type_count; i++)
        if (types[i].frees_cycle)
            sorted[count++] = &types[i];
    if (sorted)
        qsort(sorted, count, sizeof *sorted, reclaimed_order);
    for (size_t i = 0; i < count && i < asking->limit; i++)
        json_array_append_new(list, reclaimed_json(asking, sorted[i], figures->frees_cycle));
    free(sorted);
    json_object_set_new(json, "reclaimed", list);
    json_object_set_new(json, "collector", json_pack("{s:o, s:o, s:o}", "examined", view_number(runs->examined), "collected",
                                                     view_number(figures->collected), "pause_ns", view_number(figures->pause_ns)));
    json_t *how = completeness(!runs->missed && (asking->cycles || !count),
                               asking->cycles || !count ? NULL : "the cycles are not known: GET …/cycles asks the program for them");
    json_object_set_new(how, "collections_missed", view_number(runs->missed));
    json_object_set_new(how, "rows", view_number(count));
    json_object_set_new(complete, "reclaimed", how);
}

/* ---- candidates that are always alive */

struct always { /* a type's, of the heaps that were asked */
    uint32_t heap;
    const struct stats_type_view *type;
    uint64_t candidates, survived;
};

/* What fits what is seen. The words are part of the API. */
static json_t *advice_json(const struct always *row)
{
    const struct stats_type_view *type = row->type;
    const char *word = "freeze", *reason = "none of its objects has been freed yet: if they stay, freeze the heap, and they are "
                                           "looked at no more";
    if (type->frees_cycle) {
        word = "weak";
        reason = "its objects do die in cycles: make the edge that closes them weak, and the type need not be looked at";
    } else if (type->live_objects <= FEW) {
        word = "immortal";
        reason = "few live all the time: tally_immortalize() those that the program keeps for good";
    } else if (type->frees_refcount) {
        word = "acyclic";
        reason = "all that were freed had their count to thank for it: where it cannot be part of a cycle, declare "
                 "TALLY_TYPE_ACYCLIC";
    }
    return json_pack("{s:s, s:s}", "do", word, "reason", reason);
}

static const struct stats_type_view *type_of_row(const struct stats_heap_view *heap, uint32_t row)
{
    for (size_t i = 0; heap && i < heap->type_count; i++)
        if (heap->types[i].row == row)
            return &heap->types[i];
    return NULL;
}

static int always_order(const void *first, const void *second)
{
    const struct always *a = first, *b = second;
    return (a->survived < b->survived) - (a->survived > b->survived);
}

static size_t always_read(const struct asking *asking, struct always *out, size_t most)
{
    size_t count = 0;
    struct wire_candidates row;
    for (size_t i = 0; i < asking->candidates->heap_count; i++) {
        const struct operation_heap *heap = &asking->candidates->heaps[i];
        const struct stats_heap_view *view = view_heap_find(asking->process, heap->n);
        const struct wire_rows *rows = heap->rows ? operation_rows_get(heap->rows) : NULL;
        for (size_t at = 0; rows && count < most && wire_rows_candidates(rows, &at, &row);) {
            const struct stats_type_view *type = type_of_row(view, row.type_row);
            bool always = row.candidates >= ALWAYS_LEAST && row.survived <= row.candidates && row.survived >= row.candidates / 2;
            if (type && always && (!asking->heap || heap->n == asking->heap))
                out[count++] = (struct always){heap->n, type, row.candidates, row.survived};
        }
    }
    qsort(out, count, sizeof *out, always_order);
    return count;
}

static bool is_whole(const struct operation_view *operation)
{
    bool whole = true;
    for (size_t i = 0; i < operation->heap_count; i++)
        whole &= operation->heaps[i].state == OPERATION_SUCCEEDED && !operation->heaps[i].after && operation->heaps[i].rows;
    return whole;
}

static void always_set(json_t *json, json_t *complete, const struct asking *asking)
{
    struct always rows[WIRE_ROWS_MAX];
    size_t count = asking->candidates ? always_read(asking, rows, WIRE_ROWS_MAX) : 0;
    json_t *list = asking->candidates ? json_array() : json_null();
    for (size_t i = 0; i < count && i < asking->limit; i++)
        json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:o, s:o}", "heap", view_number(rows[i].heap), "type",
                                              rows[i].type->name, "candidates", view_number(rows[i].candidates), "survived",
                                              view_number(rows[i].survived), "advice", advice_json(&rows[i])));
    bool whole = asking->candidates && is_whole(asking->candidates);
    json_t *how = completeness(whole, !asking->candidates ? "not known: GET …/candidates asks the program for them"
                                      : whole             ? NULL
                                                          : "of a part of the heap");
    json_object_set_new(how, "as_of", asking->candidates ? view_time(asking->candidates->finished_wall_ns) : json_null());
    json_object_set_new(how, "rows", view_number(count));
    json_object_set_new(json, "always_alive", list);
    json_object_set_new(complete, "always_alive", how);
}

/* ---- references that nothing explains */

/* The newest snapshots of the process that are ready, one of each heap that is asked for. */
static size_t artifacts_find(const struct asking *asking, struct snapshot_artifact found[HEAPS_MOST])
{
    struct snapshots *snapshots = asking->request->api->snapshots;
    struct snapshot_artifact *all = snapshots ? malloc(ARTIFACTS_MOST * sizeof *all) : NULL;
    size_t listed = all ? snapshots_list(snapshots, asking->process->id, NULL, all, ARTIFACTS_MOST) : 0, count = 0;
    for (size_t i = 0; i < listed && count < HEAPS_MOST; i++) {
        bool wanted = all[i].state == SNAPSHOT_READY && (!asking->heap || all[i].meta.heap == asking->heap);
        for (size_t k = 0; k < count; k++)
            wanted &= found[k].meta.heap != all[i].meta.heap; /* a newer one was there */
        if (wanted)
            found[count++] = all[i];
    }
    free(all);
    return count;
}

static json_t *external_rows(const struct snapshot_artifact *artifact, const struct snapshot_graph *graph)
{
    json_t *list = json_array();
    const struct snapshot_totals *totals = snapshot_graph_totals(graph);
    for (uint32_t i = 0; i < totals->types; i++) {
        struct snapshot_type_row row = snapshot_graph_type(graph, i);
        if (row.external)
            json_array_append_new(list, json_pack("{s:o, s:s%, s:o, s:o, s:o, s:o, s:o, s:s}", "heap", view_number(artifact->meta.heap),
                                                  "type", row.name.at, row.name.bytes, "type_row", view_number(row.row), "references", view_number(row.external),
                                                  "objects", view_number(row.objects), "roots", view_number(row.roots),
                                                  "retained_bytes", view_number(row.retained), "artifact", artifact->id));
    }
    return list;
}

/* A page of them, those with most references first; steals the list. */
static json_t *external_page(const struct asking *asking, json_t *all, json_t **next)
{
    size_t count = json_array_size(all), from = 0, to = 0;
    struct list list = {.rows = calloc(count + 1, sizeof *list.rows), .word = EXTERNAL_SORT, .down = true};
    json_t *page = json_array();
    *next = json_null();
    for (; list.rows && list.count < count; list.count++) {
        json_t *row = json_array_get(all, list.count);
        list.rows[list.count] =
            (struct list_row){.item = row, .number = (uint64_t)json_integer_value(json_object_get(row, "references")),
                              .id = json_string_value(json_object_get(row, "artifact")),
                              .part = (uint64_t)json_integer_value(json_object_get(row, "type_row"))};
    }
    if (list.rows)
        *next = list_page(asking->request, &list, ROWS_STANDARD, &from, &to);
    for (; from < to; from++)
        json_array_append(page, (json_t *)(uintptr_t)list.rows[from].item);
    free(list.rows);
    json_decref(all);
    return page;
}

static void external_set(json_t *json, json_t *complete, const struct asking *asking)
{
    struct snapshot_artifact found[HEAPS_MOST];
    size_t count = artifacts_find(asking, found), read = 0, heaps = 0;
    json_t *list = json_array();
    for (size_t i = 0; i < asking->process->heap_count; i++)
        heaps += is_asked(asking, &asking->process->heaps[i]);
    for (size_t i = 0; i < count; i++) {
        struct snapshot_graph *graph;
        if (snapshot_graph_open(asking->request->api->snapshots, found[i].id, &graph))
            continue;
        json_t *rows = external_rows(&found[i], graph);
        if (snapshot_graph_sound(graph)) {
            json_array_extend(list, rows);
            read++;
        }
        json_decref(rows);
        snapshot_graph_close(graph);
    }
    size_t rows = json_array_size(list);
    json_t *next;
    list = external_page(asking, list, &next);
    json_t *how = completeness(read >= heaps && read, !read          ? "not known: take a snapshot"
                                                      : read < heaps ? "of some heaps: take a snapshot of the others"
                                                                     : NULL);
    json_object_set_new(how, "as_of", count ? view_time(found[0].taken_wall_ns) : json_null());
    json_object_set_new(how, "rows", view_number(rows));
    json_object_set_new(json, "external", read ? list : json_null());
    json_object_set_new(json, "next_cursor", next);
    json_object_set_new(complete, "external", how);
    if (!read)
        json_decref(list);
}

static json_t *suspects_json(const struct asking *asking)
{
    json_t *json = json_object(), *complete = json_object();
    view_identity(json, asking->process);
    growing_set(json, complete, asking);
    reclaimed_set(json, complete, asking);
    always_set(json, complete, asking);
    external_set(json, complete, asking);
    json_object_set_new(json, "completeness", complete);
    view_stamp(json, asking->process->as_of_wall_ns, asking->process->as_of_mono_ns, asking->process->seq);
    return json;
}

enum MHD_Result api_suspects(struct request *request)
{
    struct operations *operations = request->api->operations;
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    struct asking asking = {.request = request, .limit = (size_t)request_integer(request, "limit", ROWS_STANDARD)};
    if (list_cursor_check(request, EXTERNAL_SORT, true, &result))
        asking.process = request_process(request, view, &result);
    if (asking.process && request_heap(request, asking.process, &asking.heap, &result)) {
        asking.cycles = operations_newest_new(operations, asking.process->id, WIRE_COMMAND_CYCLES, asking.heap);
        asking.candidates = operations_newest_new(operations, asking.process->id, WIRE_COMMAND_CANDIDATES, asking.heap);
        result = respond_json(request, MHD_HTTP_OK, suspects_json(&asking), 0, NULL);
        operations_view_free(asking.cycles);
        operations_view_free(asking.candidates);
    }
    stats_view_unref(view);
    return result;
}
