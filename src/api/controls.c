/* The routes that control: each becomes an operation; a client that waits is suspended until it has ended. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "base/clock.h"
#include "wire/feed.h"

#define HEAPS_MAX 1024u /* of one process: the intake takes no more */

/* An integer member in [low, high]; absent leaves *out. */
static bool member_integer(const json_t *value, json_int_t low, json_int_t high, json_int_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high)
        return false;
    *out = json_integer_value(value);
    return true;
}

static bool collect_member(const char *name, const json_t *value, struct wire_command *command,
                           json_int_t *deadline_ms)
{
    json_int_t generation;
    if (!strcmp(name, "deadline_ms"))
        return member_integer(value, 1, DEADLINE_MAX_MS, deadline_ms);
    if (strcmp(name, "generation") || !member_integer(value, 0, 2, &generation))
        return false;
    command->generation = (int32_t)generation;
    return true;
}

static bool thresholds_member(const json_t *value, struct wire_command *command)
{
    if (json_array_size(value) != 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        json_int_t threshold;
        if (!member_integer(json_array_get(value, i), 0, INT32_MAX, &threshold))
            return false;
        command->thresholds[i] = (uint32_t)threshold;
    }
    command->mask |= WIRE_CONFIG_THRESHOLDS;
    return true;
}

static bool debug_member(const json_t *value, struct wire_command *command)
{
    size_t at;
    json_t *flag;
    if (!json_is_array(value))
        return false;
    json_array_foreach((json_t *)(uintptr_t)value, at, flag)
    {
        uint32_t bit = 0;
#define WIRE_X(name, number, word) \
    if (json_is_string(flag) && !strcmp(json_string_value(flag), word)) \
        bit = name;
        WIRE_DEBUG_FLAGS(WIRE_X)
        WIRE_X(WIRE_DEBUG_LEAK, 0, "leak")
#undef WIRE_X
        if (!bit)
            return false;
        command->debug |= bit;
    }
    command->mask |= WIRE_CONFIG_DEBUG;
    return true;
}

static bool events_member(const json_t *value, struct wire_command *command)
{
    command->mask |= WIRE_CONFIG_LEVEL;
#define WIRE_X(name, number, word) \
    if (json_is_string(value) && !strcmp(json_string_value(value), word)) { \
        command->level = name; \
        return true; \
    }
    WIRE_LEVELS(WIRE_X)
#undef WIRE_X
    return false;
}

static bool manager_member(const json_t *value, struct wire_command *command)
{
    command->mask |= WIRE_CONFIG_MANAGER;
#define WIRE_X(name, number, word) \
    if (json_is_string(value) && !strcmp(json_string_value(value), word)) { \
        command->manager = name; \
        return true; \
    }
    WIRE_MANAGERS(WIRE_X)
#undef WIRE_X
    return false;
}

static bool limit_member(const json_t *value, json_int_t most, uint64_t *out, struct wire_command *command,
                         enum wire_config_mask mask)
{
    json_int_t limit;
    if (!member_integer(value, 0, most, &limit))
        return false;
    *out = (uint64_t)limit;
    command->mask |= mask;
    return true;
}

static bool stress_member(const json_t *value, struct wire_command *command)
{
    const json_t *nth = json_is_integer(value) ? value : json_object_get(value, "nth");
    command->stress_nth = (uint32_t)json_integer_value(nth);
    command->stress_every_decref = json_is_true(json_object_get(value, "every_decref"));
    command->mask |= WIRE_CONFIG_STRESS;
    return true;
}

static bool config_member(const char *name, const json_t *value, struct wire_command *command,
                          json_int_t *deadline_ms)
{
    if (!strcmp(name, "deadline_ms"))
        return member_integer(value, 1, DEADLINE_MAX_MS, deadline_ms);
    if (!strcmp(name, "thresholds"))
        return thresholds_member(value, command);
    if (!strcmp(name, "debug"))
        return debug_member(value, command);
    if (!strcmp(name, "events"))
        return events_member(value, command);
    if (!strcmp(name, "manager"))
        return manager_member(value, command);
    if (!strcmp(name, "stress"))
        return stress_member(value, command);
    if (!strcmp(name, "max_pause_us"))
        return limit_member(value, WIRE_MAX_PAUSE_US, &command->max_pause_us, command, WIRE_CONFIG_MAX_PAUSE);
    if (!strcmp(name, "memory_limit_bytes"))
        return limit_member(value, INT64_MAX, &command->memory_limit_bytes, command,
                            WIRE_CONFIG_MEMORY_LIMIT);
    if (strcmp(name, "enabled") || !json_is_boolean(value))
        return false;
    command->enabled = json_is_true(value);
    command->mask |= WIRE_CONFIG_ENABLED;
    return true;
}

typedef bool (*member_fn)(const char *name, const json_t *value, struct wire_command *command,
                          json_int_t *deadline_ms);

/* Fills the command from the body's members; false: answered, naming the member. */
static bool command_fill(struct request *request, member_fn take, struct wire_command *command,
                         json_int_t *deadline_ms, char *audited, size_t audited_bytes,
                         enum MHD_Result *answered)
{
    const char *name;
    json_t *value;
    bool good = true;
    size_t length = json_dumpb(request->json, audited, audited_bytes - 1, JSON_COMPACT);
    audited[length < audited_bytes ? length : audited_bytes - 1] = '\0';
    json_object_foreach(request->json, name, value)
    {
        if (take(name, value, command, deadline_ms))
            continue;
        char detail[160];
        snprintf(detail, sizeof detail, "member \"%.60s\" is unknown, or its value is not allowed", name);
        *answered = respond_problem(request, PROBLEM_bad_value, detail);
        good = false;
        break;
    }
    return good;
}

static enum MHD_Result answer_operation(struct request *request, const struct operation_view *operation)
{
    char location[64];
    bool over = operation_is_over(operation->state);
    bool posted = strcmp(request->route->method, "GET");
    snprintf(location, sizeof location, "/v1/operations/%s", operation->id);
    return respond_json(request, over || !posted ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED,
                        view_operation(operation), 0, posted ? location : NULL);
}

/* A change that every heap has taken over is answered with the configuration in force. */
static enum MHD_Result answer_config(struct request *request, const struct operation_view *operation)
{
    if (operation->state != OPERATION_SUCCEEDED) {
        char location[64];
        snprintf(location, sizeof location, "/v1/operations/%s", operation->id);
        return respond_json(request, MHD_HTTP_ACCEPTED, view_operation(operation), 0, location);
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

/* Answers where the operation has ended or the time is up, and waits on otherwise. */
enum MHD_Result controls_resume(struct request *request)
{
    struct operation_view *operation = operations_get_new(request->api->operations, request->operation);
    if (!operation)
        return respond_problem(request, PROBLEM_no_such_operation, NULL);
    enum MHD_Result result = MHD_YES;
    bool may_wait = clock_mono_ns() < request->wait_until_ns && !request->api->draining;
    if (!operation_is_over(operation->state) && may_wait)
        request_wait(request);
    else if (request->route->handler == api_config_change)
        result = answer_config(request, operation);
    else
        result = answer_operation(request, operation);
    operations_view_free(operation);
    return result;
}

static void wait_set(struct request *request, uint64_t otherwise_ns)
{
    const char *wait = request_parameter(request, "wait");
    uint64_t wait_ns = otherwise_ns;
    if (wait)
        parse_duration(wait, &wait_ns);
    request->wait_until_ns = clock_mono_ns() + wait_ns;
}

static enum MHD_Result start_on(struct request *request, const struct stats_process_view *process,
                                uint32_t heap, const struct wire_command *command, json_int_t deadline_ms,
                                const char *detail)
{
    const char *id = process->id;
    struct operation_target targets[HEAPS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < process->heap_count && count < HEAPS_MAX; i++)
        if (!process->heaps[i].gone && (!heap || process->heaps[i].n == heap))
            targets[count++].heap = process->heaps[i].n;
    if (heap && !count)
        return respond_gone(request, PROBLEM_heap_gone, process->id);
    struct audit_record asked;
    char target[64];
    snprintf(target, sizeof target, heap ? "%s/heaps/%u" : "%s", process->id, (unsigned)heap);
    asked_fill(request, operation_kind_word(command->kind), target, detail, &asked);
    int error = operations_start(request->api->operations,
                                 &(struct operation_request){.processes = &id,
                                                             .process_count = 1,
                                                             .targets = targets,
                                                             .target_count = count,
                                                             .command = *command,
                                                             .deadline_ms = (uint64_t)deadline_ms,
                                                             .asked = &asked},
                                 request->operation);
    if (error)
        return respond_problem(request, error == -EBUSY ? PROBLEM_too_many_operations : PROBLEM_internal,
                               NULL);
    return controls_resume(request);
}

static enum MHD_Result control(struct request *request, member_fn take, struct wire_command *command,
                               uint64_t wait_otherwise_ns)
{
    json_int_t deadline_ms = DEADLINE_DEFAULT_MS;
    char audited[256];
    enum MHD_Result result = MHD_NO;
    uint32_t heap;
    wait_set(request, wait_otherwise_ns);
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    if (process && process->gone)
        result = respond_gone(request, PROBLEM_process_gone, process->id);
    else if (process && request_heap(request, process, &heap, &result) &&
             command_fill(request, take, command, &deadline_ms, audited, sizeof audited, &result))
        result = start_on(request, process, heap, command, deadline_ms, audited);
    stats_view_unref(view);
    return result;
}

enum MHD_Result api_collect(struct request *request)
{
    struct wire_command command = {.kind = WIRE_COMMAND_COLLECT, .generation = 2};
    return control(request, collect_member, &command, 0);
}

enum MHD_Result api_config_change(struct request *request)
{
    struct wire_command command = {.kind = WIRE_COMMAND_CONFIG};
    return control(request, config_member, &command, 5000000000u);
}

enum MHD_Result controls_again(struct request *request)
{
    wait_set(request, 0);
    return controls_resume(request);
}

static enum MHD_Result operation_known(struct request *request)
{
    snprintf(request->operation, sizeof request->operation, "%.31s", request_segment(request, "{op}"));
    return controls_again(request);
}

enum MHD_Result api_operation(struct request *request)
{
    return operation_known(request);
}

enum MHD_Result api_operation_cancel(struct request *request)
{
    const char *id = request_segment(request, "{op}");
    if (operations_cancel(request->api->operations, id))
        asked_once(request, "cancel", id, "done", "");
    return operation_known(request);
}
