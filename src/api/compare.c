/* Two states beside each other, type by type: of one process at two times, of two processes, of two releases of a program.
 * Types are the same where their names are, since all else may have changed between two releases. */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "api/artifacts.h"
#include "api/private.h"
#include "api/views.h"
#include "snapshot/snapshot.h"

struct amount {
    uint64_t objects, bytes;
};
struct pair { /* a type, and how much of it there is on either side */
    const char *name;
    struct amount a, b;
};
struct side { /* what is compared */
    json_t *json;
    const struct stats_view *view; /* what the names lie in: one of these */
    struct stats_baseline baseline;
    char *names;
    size_t count;
    struct named {
        const char *name;
        struct amount amount;
    } *types; /* NULL: out of memory */
};
struct comparison {
    struct pair *pairs; /* by name, once joined */
    size_t count;
};

/* ---- what a and b may name */

static void types_of(struct side *side, const struct stats_process_view *process)
{
    side->types = malloc((process->type_count + 1) * sizeof *side->types);
    for (; side->types && side->count < process->type_count; side->count++) {
        const struct stats_type_view *type = &process->types[side->count];
        side->types[side->count] = (struct named){type->name, {type->live_objects, type->live_bytes}};
    }
    side->json = json_object();
    view_identity(side->json, process);
    view_stamp(side->json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
}

static bool side_now(struct request *request, const char *id, struct side *side, enum MHD_Result *answered)
{
    bool ambiguous;
    side->view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = stats_find(side->view, id, &ambiguous);
    if (process)
        types_of(side, process);
    else
        *answered = respond_unknown(request, ambiguous ? PROBLEM_ambiguous_process : PROBLEM_no_such_process, id);
    return process;
}

static bool side_baseline(struct request *request, const char *id, struct side *side, enum MHD_Result *answered)
{
    if (!baseline_find(request->api, id, &side->baseline)) {
        *answered = respond_unknown(request, PROBLEM_no_such_baseline, id);
        return false;
    }
    types_of(side, side->baseline.process);
    json_object_set_new(side->json, "baseline", json_string(id));
    json_object_set_new(side->json, "taken_at", view_time(side->baseline.set_wall_ns));
    return true;
}

/* Texts of a snapshot end where they end. */
static void graph_types(struct side *side, const struct snapshot_graph *graph)
{
    size_t count = (size_t)snapshot_graph_totals(graph)->types, bytes = 1;
    for (uint32_t i = 0; i < count; i++)
        bytes += snapshot_graph_type(graph, i).name.bytes + 1;
    side->names = malloc(bytes);
    side->types = side->names ? malloc((count + 1) * sizeof *side->types) : NULL;
    for (char *at = side->names; side->types && side->count < count; side->count++) {
        struct snapshot_type_row row = snapshot_graph_type(graph, (uint32_t)side->count);
        if (row.name.bytes >= bytes) /* the file has changed meanwhile */
            break;
        bytes -= row.name.bytes + 1;
        side->types[side->count] = (struct named){at, {row.objects, row.bytes}};
        at = mempcpy(at, row.name.at, row.name.bytes);
        *at++ = '\0';
    }
}

static bool side_artifact(struct request *request, const char *id, struct side *side, enum MHD_Result *answered)
{
    struct snapshots *snapshots = request->api->snapshots;
    struct snapshot_graph *graph = NULL;
    struct snapshot_artifact artifact;
    int error = snapshots && snapshots_find(snapshots, id, &artifact) ? snapshot_graph_open(snapshots, id, &graph) : -ENOENT;
    if (!error)
        graph_types(side, graph);
    if (!error && !snapshot_graph_sound(graph))
        error = -EAGAIN;
    if (graph)
        snapshot_graph_close(graph);
    if (error) {
        *answered = artifact_refuse(request, id, error);
        return false;
    }
    side->json = json_pack("{s:s, s:s, s:s, s:o, s:o}", "artifact", artifact.id, "id", artifact.meta.process, "name",
                           artifact.meta.name, "heap", view_number(artifact.meta.heap), "taken_at",
                           view_time(artifact.taken_wall_ns));
    return true;
}

/* false: answered. */
static bool side_open(struct request *request, const char *parameter, struct side *side, enum MHD_Result *answered)
{
    const char *what = request_parameter(request, parameter);
    if (!what) {
        *answered = respond_fault(request, parameter, NULL,
                                  "a and b must say what to compare: the id of a baseline or a snapshot, or now:PROCESS");
        return false;
    }
    bool open = !strncmp(what, "now:", 4) ? side_now(request, what + 4, side, answered)
                : artifact_is_id(what)    ? side_artifact(request, what, side, answered)
                                          : side_baseline(request, what, side, answered);
    if (open && !side->types) {
        *answered = respond_problem(request, PROBLEM_internal, "out of memory");
        return false;
    }
    return open;
}

static void side_close(struct side *side)
{
    json_decref(side->json);
    free(side->types);
    free(side->names);
    if (side->baseline.process)
        stats_process_unref(side->baseline.process);
    if (side->view)
        stats_view_unref(side->view);
}

/* ---- joining them */

static void types_add(struct comparison *to, const struct side *from, bool b)
{
    const struct amount none = {0, 0};
    for (size_t i = 0; i < from->count; i++) {
        struct amount amount = from->types[i].amount;
        to->pairs[to->count++] = (struct pair){from->types[i].name, b ? none : amount, b ? amount : none};
    }
}

static int name_order(const void *first, const void *second)
{
    const struct pair *one = first, *two = second;
    return strcmp(one->name, two->name);
}

static void amount_add(struct amount *to, struct amount add)
{
    to->objects += add.objects;
    to->bytes += add.bytes;
}

/* Post-condition: one pair a name. */
static void join(struct comparison *all)
{
    size_t count = 0;
    qsort(all->pairs, all->count, sizeof *all->pairs, name_order);
    for (size_t i = 0; i < all->count; i++) {
        if (!count || strcmp(all->pairs[count - 1].name, all->pairs[i].name) != 0) {
            all->pairs[count++] = all->pairs[i];
            continue;
        }
        amount_add(&all->pairs[count - 1].a, all->pairs[i].a);
        amount_add(&all->pairs[count - 1].b, all->pairs[i].b);
    }
    all->count = count;
}

/* ---- showing it */

enum state { NEW, GROWN, SHRUNK, GONE, SAME, STATES };
static const char *const state_words[STATES] = {"new", "grown", "shrunk", "gone", "same"};

static int64_t difference(uint64_t a, uint64_t b)
{
    return (int64_t)(b - a);
}

static enum state state_of(const struct pair *pair)
{
    int64_t objects = difference(pair->a.objects, pair->b.objects), bytes = difference(pair->a.bytes, pair->b.bytes);
    if (!pair->a.objects && pair->b.objects)
        return NEW;
    if (pair->a.objects && !pair->b.objects)
        return GONE;
    if (objects || bytes)
        return objects > 0 || (!objects && bytes > 0) ? GROWN : SHRUNK;
    return SAME;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

/* What changed most stands first, however it changed; without a sort what is new stands before all. */
static uint64_t number_of(const char *sort, const struct pair *pair)
{
    uint64_t bytes = magnitude(difference(pair->a.bytes, pair->b.bytes));
    if (!strcmp(sort, "delta_bytes"))
        return bytes;
    if (!strcmp(sort, "delta_objects"))
        return magnitude(difference(pair->a.objects, pair->b.objects));
    if (!strcmp(sort, "name"))
        return 0;
    uint64_t most = ((uint64_t)1 << 60) - 1;
    return (uint64_t)(STATES - 1 - state_of(pair)) << 60 | (bytes < most ? bytes : most);
}

static json_t *amount_json(const struct amount *amount)
{
    return json_pack("{s:o, s:o}", "objects", view_number(amount->objects), "bytes", view_number(amount->bytes));
}

static json_t *pair_json(const struct pair *pair)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I}", "type", pair->name, "state", state_words[state_of(pair)], "a",
                     amount_json(&pair->a), "b", amount_json(&pair->b), "delta_objects",
                     (json_int_t)difference(pair->a.objects, pair->b.objects), "delta_bytes",
                     (json_int_t)difference(pair->a.bytes, pair->b.bytes));
}

static json_t *totals_json(const struct comparison *all, const size_t counts[STATES])
{
    struct pair sum = {.name = ""};
    json_t *states = json_object();
    for (size_t i = 0; i < all->count; i++) {
        amount_add(&sum.a, all->pairs[i].a);
        amount_add(&sum.b, all->pairs[i].b);
    }
    for (int state = 0; state < STATES; state++)
        json_object_set_new(states, state_words[state], json_integer((json_int_t)counts[state]));
    return json_pack("{s:o, s:o, s:I, s:I, s:o}", "a", amount_json(&sum.a), "b", amount_json(&sum.b), "delta_objects",
                     (json_int_t)difference(sum.a.objects, sum.b.objects), "delta_bytes",
                     (json_int_t)difference(sum.a.bytes, sum.b.bytes), "states", states);
}

/* Types of which neither side has any are left out. */
static json_t *comparison_json(struct request *request, const struct comparison *all, const struct side sides[2])
{
    bool down;
    const char *sort = list_sort(request, "state", &down), *wanted = request_parameter(request, "state");
    bool by_name = !strcmp(sort, "name");
    struct list list = {.rows = malloc((all->count + 1) * sizeof *list.rows), .word = sort, .down = down};
    size_t counts[STATES] = {0}, from, to;
    json_t *rows = json_array();
    for (size_t i = 0; list.rows && i < all->count; i++) {
        const struct pair *pair = &all->pairs[i];
        enum state state = state_of(pair);
        if (!pair->a.objects && !pair->b.objects)
            continue;
        counts[state]++;
        if (list_among(wanted, state_words[state]))
            list.rows[list.count++] =
                (struct list_row){pair, number_of(sort, pair), by_name ? pair->name : NULL, by_name ? "" : pair->name, 0};
    }
    json_t *next = list_page(request, &list, PAGE_LIMIT, &from, &to);
    for (size_t i = from; i < to; i++)
        json_array_append_new(rows, pair_json(list.rows[i].item));
    free(list.rows);
    return json_pack("{s:O, s:O, s:o, s:o, s:o}", "a", sides[0].json, "b", sides[1].json, "total", totals_json(all, counts),
                     "types", rows, "next_cursor", next);
}

static enum MHD_Result compare(struct request *request, const struct side sides[2])
{
    struct comparison all = {.pairs = malloc((sides[0].count + sides[1].count + 1) * sizeof *all.pairs)};
    if (!all.pairs)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    types_add(&all, &sides[0], false);
    types_add(&all, &sides[1], true);
    join(&all);
    enum MHD_Result result = respond_json(request, MHD_HTTP_OK, comparison_json(request, &all, sides), 0, NULL);
    free(all.pairs);
    return result;
}

enum MHD_Result api_compare(struct request *request)
{
    struct side sides[2] = {{.json = NULL}, {.json = NULL}};
    enum MHD_Result result;
    bool down;
    const char *sort = list_sort(request, "state", &down);
    if (list_cursor_check(request, sort, down, &result) && side_open(request, "a", &sides[0], &result) &&
        side_open(request, "b", &sides[1], &result))
        result = compare(request, sides);
    side_close(&sides[0]);
    side_close(&sides[1]);
    return result;
}
