/* The routes that control: each becomes an operation; a client that waits is suspended until it has ended. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"
#include "wire/feed.h"

#define WAIT_SETTLED_NS 5000000000u /* of what is mostly done at once */
#define LARGE_HEAPS 64u             /* an operation of more is shown by a worker */
#define HEAPS_MAX 1024u             /* of one process: the intake takes no more */

/* ---- bodies, which their schema has allowed, as commands */

static void thresholds_take(const json_t *value, struct wire_command *command)
{
    for (size_t i = 0; i < 3; i++)
        command->thresholds[i] = (uint32_t)json_integer_value(json_array_get(value, i));
    command->mask |= WIRE_CONFIG_THRESHOLDS;
}

static void debug_take(const json_t *value, struct wire_command *command)
{
    size_t at;
    json_t *flag;
    json_array_foreach((json_t *)(uintptr_t)value, at, flag)
    {
#define WIRE_X(name, number, word) \
    if (!strcmp(json_string_value(flag), word)) \
        command->debug |= name;
        WIRE_DEBUG_FLAGS(WIRE_X)
        WIRE_X(WIRE_DEBUG_LEAK, 0, "leak")
#undef WIRE_X
    }
    command->mask |= WIRE_CONFIG_DEBUG;
}

static void events_take(const json_t *value, struct wire_command *command)
{
#define WIRE_X(name, number, word) \
    if (!strcmp(json_string_value(value), word)) \
        command->level = name;
    WIRE_LEVELS(WIRE_X)
#undef WIRE_X
    command->mask |= WIRE_CONFIG_LEVEL;
}

static void manager_take(const json_t *value, struct wire_command *command)
{
#define WIRE_X(name, number, word) \
    if (!strcmp(json_string_value(value), word)) \
        command->manager = name;
    WIRE_MANAGERS(WIRE_X)
#undef WIRE_X
    command->mask |= WIRE_CONFIG_MANAGER;
}

static void stress_take(const json_t *value, struct wire_command *command)
{
    const json_t *nth = json_is_integer(value) ? value : json_object_get(value, "nth");
    command->stress_nth = (uint32_t)json_integer_value(nth);
    command->stress_every_decref = json_is_true(json_object_get(value, "every_decref"));
    command->mask |= WIRE_CONFIG_STRESS;
}

static void enabled_take(const json_t *value, struct wire_command *command)
{
    command->enabled = json_is_true(value);
    command->mask |= WIRE_CONFIG_ENABLED;
}

static void max_pause_take(const json_t *value, struct wire_command *command)
{
    command->max_pause_us = (uint64_t)json_integer_value(value);
    command->mask |= WIRE_CONFIG_MAX_PAUSE;
}

static void memory_limit_take(const json_t *value, struct wire_command *command)
{
    command->memory_limit_bytes = (uint64_t)json_integer_value(value);
    command->mask |= WIRE_CONFIG_MEMORY_LIMIT;
}

static void generation_take(const json_t *value, struct wire_command *command)
{
    command->generation = (int32_t)json_integer_value(value);
}

static void dry_run_take(const json_t *value, struct wire_command *command)
{
    if (json_is_true(value))
        command->kind = WIRE_COMMAND_FIND;
}

static void mode_take(const json_t *value, struct wire_command *command)
{
#define WIRE_X(name, number, word) \
    if (!strcmp(json_string_value(value), word)) \
        command->mode = name;
    WIRE_SNAPSHOT_MODES(WIRE_X)
#undef WIRE_X
}

static void force_take(const json_t *value, struct wire_command *command)
{
    command->force = json_is_true(value);
}

static const struct {
    const char *name;
    uint32_t kind; /* of the command that has it */
    void (*take)(const json_t *value, struct wire_command *command);
} members[] = {{"generation", WIRE_COMMAND_COLLECT, generation_take},
               {"dry_run", WIRE_COMMAND_COLLECT, dry_run_take},
               {"enabled", WIRE_COMMAND_CONFIG, enabled_take},
               {"manager", WIRE_COMMAND_CONFIG, manager_take},
               {"thresholds", WIRE_COMMAND_CONFIG, thresholds_take},
               {"debug", WIRE_COMMAND_CONFIG, debug_take},
               {"events", WIRE_COMMAND_CONFIG, events_take},
               {"max_pause_us", WIRE_COMMAND_CONFIG, max_pause_take},
               {"memory_limit_bytes", WIRE_COMMAND_CONFIG, memory_limit_take},
               {"stress", WIRE_COMMAND_CONFIG, stress_take},
               {"mode", WIRE_COMMAND_SNAPSHOT, mode_take},
               {"force", WIRE_COMMAND_SNAPSHOT, force_take}};
#define MEMBER_COUNT (sizeof members / sizeof *members)

const char *controls_fill(const json_t *body, struct wire_command *command)
{
    const uint32_t kind = command->kind;
    if (kind == WIRE_COMMAND_COLLECT)
        command->generation = 2;
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        const json_t *value = json_object_get(body, members[i].name);
        if (value && members[i].kind != kind)
            return members[i].name;
        if (value)
            members[i].take(value, command);
    }
    return NULL;
}

/* ---- answers */

static enum MHD_Result answer_operation(struct request *request, const struct operation_view *operation)
{
    char location[64];
    bool over = operation_is_over(operation->state);
    bool known = request_segment(request, "{op}") && !strcmp(request->route->method, "GET");
    snprintf(location, sizeof location, "/v1/operations/%s", operation->id);
    return respond_json(request, over || known ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED,
                        view_operation(request->api, operation, true), 0, known ? NULL : location);
}

/* A change that every heap has taken over is answered with the configuration in force. */
static enum MHD_Result answer_config(struct request *request, const struct operation_view *operation)
{
    if (operation->state != OPERATION_SUCCEEDED) {
        char location[64];
        snprintf(location, sizeof location, "/v1/operations/%s", operation->id);
        return respond_json(request, MHD_HTTP_ACCEPTED, view_operation(request->api, operation, true), 0, location);
    }
    enum MHD_Result result = MHD_NO;
    uint32_t heap;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    if (process && request_heap(request, process, &heap, &result))
        result = respond_json(request, MHD_HTTP_OK, view_config(process, heap), process->seq, NULL);
    stats_view_unref(view);
    return result;
}

static bool is_large(const struct operation_view *operation)
{
    return operation->heap_count > LARGE_HEAPS || wire_command_lists(operation->kind);
}

/* Answers where the operation has ended or the time is up, and waits on otherwise. What takes a while to show goes to a
 * worker, who comes here again through the route's handler. */
enum MHD_Result controls_resume(struct request *request)
{
    struct operation_view *operation = operations_get_new(request->api->operations, request->operation);
    if (!operation)
        return respond_problem(request, PROBLEM_no_such_operation, NULL);
    enum MHD_Result result = MHD_YES;
    bool over = operation_is_over(operation->state), listing = !strcmp(request->route->method, "GET") &&
                                                              !request_segment(request, "{op}");
    bool may_wait = !request->aside && clock_mono_ns() < request->wait_until_ns && !request->api->draining;
    if (!over && may_wait)
        request_wait(request);
    else if (is_large(operation) && !request->aside)
        result = worker_take(request);
    else if (request->route->handler == api_config_change)
        result = answer_config(request, operation);
    else if (listing && over)
        result = listing_answer(request, operation);
    else
        result = answer_operation(request, operation);
    operations_view_free(operation);
    return result;
}

enum MHD_Result controls_await(struct request *request, uint64_t otherwise_ns)
{
    const char *wait = request_parameter(request, "wait");
    uint64_t wait_ns = otherwise_ns;
    if (wait)
        parse_duration(wait, &wait_ns);
    if (!request->wait_until_ns)
        request->wait_until_ns = clock_mono_ns() + wait_ns;
    request->resume = controls_resume;
    return controls_resume(request);
}

enum MHD_Result controls_start(struct request *request, struct operation_request *operation, const char *target,
                               uint64_t otherwise_ns)
{
    struct audit_record asked;
    char detail[sizeof asked.detail] = "";
    const json_t *deadline_ms = json_object_get(request->json, "deadline_ms");
    if (request->json) {
        size_t length = json_dumpb(request->json, detail, sizeof detail - 1, JSON_COMPACT);
        detail[length < sizeof detail ? length : sizeof detail - 1] = '\0';
    }
    operation->deadline_ms = deadline_ms ? (uint64_t)json_integer_value(deadline_ms)
                                         : request_integer(request, "deadline_ms", DEADLINE_DEFAULT_MS);
    asked_fill(request, operation_kind_word(operation->command.kind), target, detail, &asked);
    operation->asked = &asked;
    int error = operations_start(request->api->operations, operation, request->operation);
    if (error)
        return error == -E2BIG
                   ? respond_fault(request, NULL, "/selector", "these processes have too many heaps")
                   : respond_problem(request, error == -EBUSY ? PROBLEM_too_many_operations : PROBLEM_internal, NULL);
    repeat_note(request); /* who asks again meanwhile waits for the same */
    return controls_await(request, otherwise_ns);
}

static enum MHD_Result start_on(struct request *request, const struct stats_process_view *process, uint32_t heap,
                                const struct wire_command *command, uint64_t otherwise_ns)
{
    struct operation_target targets[HEAPS_MAX] = {0};
    const char *id = process->id;
    char target[64];
    size_t count = 0;
    for (size_t i = 0; i < process->heap_count && count < HEAPS_MAX; i++)
        if (!process->heaps[i].gone && (!heap || process->heaps[i].n == heap))
            targets[count++].heap = process->heaps[i].n;
    if (heap && !count)
        return respond_gone(request, PROBLEM_heap_gone, process->id);
    if (request->head) /* a look at the header alone is worth no pause */
        return respond_head(request, "application/json");
    snprintf(target, sizeof target, heap ? "%s/heaps/%u" : "%s", process->id, (unsigned)heap);
    return controls_start(request,
                          &(struct operation_request){.processes = &id,
                                                      .process_count = 1,
                                                      .targets = targets,
                                                      .target_count = count,
                                                      .command = *command},
                          target, otherwise_ns);
}

enum MHD_Result controls_run(struct request *request, const struct wire_command *command, uint64_t otherwise_ns,
                             controls_fit_fn fit)
{
    if (*request->operation) /* a worker shows what has come of it */
        return controls_resume(request);
    struct wire_command own = *command;
    enum MHD_Result result = MHD_NO;
    uint32_t heap;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    if (process && process->gone)
        result = respond_gone(request, PROBLEM_process_gone, process->id);
    else if (process && request_heap(request, process, &heap, &result) &&
             (!fit || fit(request, process, heap, &own, &result)))
        result = start_on(request, process, heap, &own, otherwise_ns);
    stats_view_unref(view);
    return result;
}

/* The command that a route's body makes. */
static enum MHD_Result control(struct request *request, uint32_t kind, uint64_t otherwise_ns)
{
    struct wire_command command = {.kind = kind};
    controls_fill(request->json, &command);
    return controls_run(request, &command, otherwise_ns, NULL);
}

enum MHD_Result api_collect(struct request *request)
{
    return control(request, WIRE_COMMAND_COLLECT, 0);
}

enum MHD_Result api_config_change(struct request *request)
{
    return control(request, WIRE_COMMAND_CONFIG, WAIT_SETTLED_NS);
}

enum MHD_Result controls_again(struct request *request)
{
    return controls_await(request, 0);
}

enum MHD_Result api_freeze(struct request *request)
{
    return control(request, WIRE_COMMAND_FREEZE, 0);
}

enum MHD_Result api_unfreeze(struct request *request)
{
    return control(request, WIRE_COMMAND_UNFREEZE, 0);
}

enum MHD_Result api_garbage_clear(struct request *request)
{
    return control(request, WIRE_COMMAND_GARBAGE_CLEAR, 0);
}
