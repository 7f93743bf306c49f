#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "operations/private.h"
#include "tally.h"

#define SEND_AT_ONCE 64u /* heaps; more are the next tick's, so that who asks is not held up */

const char *operation_state_word(enum operation_state state)
{
    static const char *const words[] = {
#define OPERATIONS_X(name, word) [name] = word,
        OPERATION_STATES(OPERATIONS_X)
#undef OPERATIONS_X
    };
    return words[state];
}

const char *operation_kind_word(uint32_t kind)
{
    switch (kind) {
#define WIRE_X(name, value, word) \
    case name: \
        return word;
        WIRE_COMMANDS(WIRE_X)
#undef WIRE_X
    case OPERATION_BASELINE:
        return "baseline";
    default:
        return "unknown";
    }
}

/* The library's own words say more than a code that stands for several errors. */
static const char *error_sentence(int32_t error)
{
    switch (error) {
#define TALLY_X(name, value, sentence) \
    case name: \
        return sentence;
        TALLY_ERRORS(TALLY_X)
#undef TALLY_X
    default:
        return NULL;
    }
}

const char *operation_sentence(const char *code, int32_t error)
{
    bool by_error = code && (!strcmp(code, "unsupported") || !strcmp(code, "refused_by_host"));
    const char *own = by_error ? error_sentence(error) : NULL;
    if (own)
        return own;
#define OPERATIONS_X(word, sentence) \
    if (code && !strcmp(code, word)) \
        return sentence;
    OPERATION_CODES(OPERATIONS_X)
#undef OPERATIONS_X
#define WIRE_X(name, value, word, sentence) \
    if (code && !strcmp(code, word)) \
        return sentence;
    WIRE_SNAPSHOT_REASONS(WIRE_X)
#undef WIRE_X
    return NULL;
}

struct operations *operations_new(const char *start, operations_send_fn send, void *send_arg, struct audit *audit)
{
    struct operations *operations = calloc(1, sizeof *operations);
    if (!operations)
        return NULL;
    operations->send = send;
    operations->send_arg = send_arg;
    operations->audit = audit;
    snprintf(operations->start, sizeof operations->start, "%s", start);
    pthread_mutex_init(&operations->lock, NULL);
    pthread_cond_init(&operations->told, NULL);
    return operations;
}

static void operation_free(struct operations *operations, struct operation *operation)
{
    for (size_t i = 0; i < operation->view->heap_count; i++) {
        const struct operation_rows *rows = operation->view->heaps[i].rows;
        operations->rows_bytes -= rows ? operations__rows_bytes(rows) : 0;
        operations__rows_drop(operation->rides[i].coming);
    }
    operations_view_free(operation->view);
    free(operation);
}

void operations_free(struct operations *operations)
{
    while (operations->newest) {
        struct operation *operation = operations->newest;
        operations->newest = operation->next;
        operation_free(operations, operation);
    }
    pthread_cond_destroy(&operations->told);
    pthread_mutex_destroy(&operations->lock);
    free(operations);
}

void operations_on_change(struct operations *operations, operations_changed_fn changed, void *arg)
{
    pthread_mutex_lock(&operations->lock);
    operations->changed = changed;
    operations->changed_arg = arg;
    while (operations->telling)
        pthread_cond_wait(&operations->told, &operations->lock);
    pthread_mutex_unlock(&operations->lock);
}

static void id_make(const struct operations *operations, uint64_t number, char *id)
{
    snprintf(id, OPERATION_ID_CHARS, "%s-%llu", operations->start, (unsigned long long)number);
}

void operations__tell(struct operations *operations, uint64_t number)
{
    char id[OPERATION_ID_CHARS];
    pthread_mutex_lock(&operations->lock);
    id_make(operations, number, id);
    operations_changed_fn changed = operations->changed;
    void *arg = operations->changed_arg;
    operations->telling++;
    pthread_mutex_unlock(&operations->lock);
    if (changed)
        changed(arg, id);
    pthread_mutex_lock(&operations->lock);
    if (!--operations->telling)
        pthread_cond_broadcast(&operations->told);
    pthread_mutex_unlock(&operations->lock);
}

static struct operation *operation_find(const struct operations *operations, const char *id)
{
    for (struct operation *operation = operations->newest; operation; operation = operation->next)
        if (!strcmp(operation->view->id, id))
            return operation;
    return NULL;
}

bool operations__is_of(const struct operation *operation, size_t heap, const char *process, uint32_t n)
{
    const struct operation_heap *at = &operation->view->heaps[heap];
    return at->n == n && !strcmp(operation->view->processes[at->process], process);
}

/* The lock order: ours, then the audit's. */
static void audit_say(struct operations *operations, struct operation *operation, const char *result)
{
    struct audit_record *asked = &operation->asked;
    if (!*asked->kind)
        return;
    snprintf(asked->operation, sizeof asked->operation, "%s", operation->view->id);
    snprintf(asked->result, sizeof asked->result, "%s", result);
    snprintf(asked->code, sizeof asked->code, "%s", operation->view->code ? operation->view->code : "");
    audit_record(operations->audit, asked);
}

void operations__reckon(struct operations *operations, struct operation *operation)
{
    struct operation_view *view = operation->view;
    enum operation_state earliest = OPERATION_FAILED, worst = OPERATION_SUCCEEDED;
    bool was_over = operation_is_over(view->state);
    view->collected = 0;
    view->freed_bytes = view->total = view->pause_ns = view->safepoint_wait_ns = 0;
    for (size_t i = 0; i < view->heap_count; i++) {
        const struct operation_heap *heap = &view->heaps[i];
        if (heap->state < earliest)
            earliest = heap->state;
        if (heap->state > worst)
            worst = heap->state;
        if (heap->code && !view->code) {
            view->code = heap->code;
            view->error = heap->error;
        }
        view->collected += heap->collected;
        view->freed_bytes += heap->freed_bytes;
        view->total += heap->total;
        if (heap->pause_ns > view->pause_ns)
            view->pause_ns = heap->pause_ns;
        if (heap->safepoint_wait_ns > view->safepoint_wait_ns)
            view->safepoint_wait_ns = heap->safepoint_wait_ns;
    }
    if (!view->heap_count)
        earliest = worst = OPERATION_SUCCEEDED;
    view->state = operation_is_over(earliest) ? worst : earliest;
    if (operation_is_over(view->state) && !was_over) {
        view->finished_wall_ns = clock_wall_ns();
        operations->open--;
        audit_say(operations, operation, operation_state_word(view->state));
    }
}

/* Drops the oldest that is over, where too many are kept. Under the lock. */
static void prune(struct operations *operations)
{
    struct operation **oldest_over = NULL;
    if (operations->count <= OPERATIONS_KEPT)
        return;
    for (struct operation **link = &operations->newest; *link; link = &(*link)->next)
        if (operation_is_over((*link)->view->state))
            oldest_over = link;
    if (oldest_over) {
        struct operation *gone = *oldest_over;
        *oldest_over = gone->next;
        operations->count--;
        operation_free(operations, gone);
    }
}

/* The view and what it points to are one piece of memory. */
static size_t view_bytes(size_t heap_count, size_t process_count)
{
    return sizeof(struct operation_view) + heap_count * sizeof(struct operation_heap) + process_count * 33;
}

static void view_point(struct operation_view *view)
{
    view->processes = (const char (*)[33])(const void *)&view->heaps[view->heap_count];
}

static struct operation_view *view_new(const struct operation_request *request)
{
    struct operation_view *view = calloc(1, view_bytes(request->target_count, request->process_count));
    if (!view)
        return NULL;
    view->kind = request->command.kind;
    view->command = request->command;
    view->deadline_ms = request->deadline_ms;
    view->created_wall_ns = clock_wall_ns();
    view->batch = request->batch;
    view->process_count = request->process_count;
    view->heap_count = request->target_count;
    view_point(view);
    for (size_t i = 0; i < view->process_count; i++)
        snprintf((char *)(uintptr_t)view->processes[i], 33, "%s", request->processes[i]);
    for (size_t i = 0; i < view->heap_count; i++) {
        view->heaps[i].process = request->targets[i].process;
        view->heaps[i].n = request->targets[i].heap;
    }
    return view;
}

static struct operation *operation_new(struct operations *operations, const struct operation_request *request)
{
    struct operation_view *view = view_new(request);
    struct operation *operation = calloc(1, sizeof *operation + request->target_count * sizeof(struct ride));
    if (!view || !operation) {
        free(view);
        free(operation);
        return NULL;
    }
    operation->view = view;
    operation->created_ns = clock_mono_ns();
    operation->deadline_ns = operation->created_ns + request->deadline_ms * 1000000u;
    if (request->asked)
        operation->asked = *request->asked;
    view->number = ++operations->numbers;
    id_make(operations, view->number, view->id);
    operation->next = operations->newest;
    operations->newest = operation;
    operations->count++;
    operations->open++;
    audit_say(operations, operation, "accepted");
    operations__reckon(operations, operation);
    prune(operations);
    return operation;
}

void operations__heap_end(struct operations *operations, struct operation *operation, size_t at,
                          enum operation_state state, const char *code)
{
    struct operation_heap *heap = &operation->view->heaps[at];
    if (operation_is_over(heap->state))
        return;
    heap->state = state;
    heap->code = code;
    operations__reckon(operations, operation);
}

/* One that says it runs and never ends must not keep others from being asked. A batch is nobody's own. */
static bool process_is_full(const struct operations *operations, const struct operation_request *request)
{
    unsigned open = 0;
    for (const struct operation *other = operations->newest; other && !request->batch; other = other->next)
        open += !operation_is_over(other->view->state) && !other->view->batch &&
                !strcmp(other->view->processes[0], request->processes[0]);
    return open >= OPERATIONS_OPEN_EACH;
}

int operations_start(struct operations *operations, const struct operation_request *request, char *id)
{
    int result = 0;
    uint64_t number = 0;
    struct operation *operation = NULL;
    if (request->target_count > OPERATION_TARGETS_MAX)
        return -E2BIG;
    pthread_mutex_lock(&operations->lock);
    if (operations->open >= OPERATIONS_OPEN_MAX || process_is_full(operations, request))
        result = -EBUSY;
    else if (!(operation = operation_new(operations, request)))
        result = -ENOMEM;
    if (operation) {
        number = operation->view->number;
        snprintf(id, OPERATION_ID_CHARS, "%s", operation->view->id);
    }
    pthread_mutex_unlock(&operations->lock);
    if (result)
        return result;
    if (request->target_count <= SEND_AT_ONCE)
        operations__send(operations);
    operations__tell(operations, number);
    return 0;
}

static struct operation_view *view_copy(const struct operation *operation)
{
    size_t bytes = view_bytes(operation->view->heap_count, operation->view->process_count);
    struct operation_view *copy = malloc(bytes);
    if (!copy)
        return NULL;
    memcpy(copy, operation->view, bytes);
    view_point(copy);
    for (size_t i = 0; i < copy->heap_count; i++)
        if (copy->heaps[i].rows)
            operations__rows_hold(copy->heaps[i].rows);
    return copy;
}

struct operation_view *operations_get_new(struct operations *operations, const char *id)
{
    pthread_mutex_lock(&operations->lock);
    const struct operation *operation = operation_find(operations, id);
    struct operation_view *copy = operation ? view_copy(operation) : NULL;
    pthread_mutex_unlock(&operations->lock);
    return copy;
}

bool operations_id(struct operations *operations, uint64_t number, char *id)
{
    bool known = false;
    pthread_mutex_lock(&operations->lock);
    for (const struct operation *operation = operations->newest; operation && !known; operation = operation->next)
        known = operation->view->number == number;
    if (known)
        id_make(operations, number, id);
    pthread_mutex_unlock(&operations->lock);
    return known;
}

size_t operations_list_new(struct operations *operations, struct operation_view **views, size_t limit)
{
    size_t count = 0;
    pthread_mutex_lock(&operations->lock);
    for (const struct operation *operation = operations->newest; operation && count < limit;
         operation = operation->next) {
        views[count] = view_copy(operation);
        count += views[count] != NULL;
    }
    pthread_mutex_unlock(&operations->lock);
    return count;
}

static bool is_of(const struct operation_view *view, const char *process, uint32_t heap)
{
    for (size_t i = 0; i < view->heap_count; i++)
        if (view->heaps[i].state == OPERATION_SUCCEEDED && (!heap || view->heaps[i].n == heap) &&
            !strcmp(view->processes[view->heaps[i].process], process))
            return true;
    return false;
}

struct operation_view *operations_newest_new(struct operations *operations, const char *process, uint32_t kind, uint32_t heap)
{
    struct operation_view *found = NULL;
    pthread_mutex_lock(&operations->lock);
    for (const struct operation *operation = operations->newest; operation && !found; operation = operation->next)
        if (operation->view->kind == kind && operation_is_over(operation->view->state) && is_of(operation->view, process, heap))
            found = view_copy(operation);
    pthread_mutex_unlock(&operations->lock);
    return found;
}

void operations_view_free(struct operation_view *view)
{
    for (size_t i = 0; view && i < view->heap_count; i++)
        operations__rows_drop(view->heaps[i].rows);
    free(view);
}

/* Ends what was not sent; returns the heap's number of the next that was, from *at on; 0: none. */
static uint32_t cancel_next(struct operations *operations, const char *id, size_t *at, uint64_t *number,
                            char process[33])
{
    uint32_t n = 0;
    pthread_mutex_lock(&operations->lock);
    struct operation *operation = operation_find(operations, id);
    *number = operation ? operation->view->number : 0;
    for (; operation && *at < operation->view->heap_count && !n; ++*at) {
        const struct operation_heap *heap = &operation->view->heaps[*at];
        bool own = operation->rides[*at].number == *number;
        if (own && !operation_is_over(heap->state)) {
            memcpy(process, operation->view->processes[heap->process], 33);
            n = heap->n;
        } else if (!own && heap->state < OPERATION_RUNNING) {
            operations__heap_end(operations, operation, *at, OPERATION_CANCELLED, NULL);
        }
    }
    pthread_mutex_unlock(&operations->lock);
    return n;
}

bool operations_cancel(struct operations *operations, const char *id)
{
    struct wire_command command = {.kind = WIRE_COMMAND_CANCEL};
    char process[33];
    size_t at = 0;
    while ((command.heap_number = cancel_next(operations, id, &at, &command.operation, process)))
        operations->send(operations->send_arg, process, &command);
    if (!command.operation)
        return false;
    operations__tell(operations, command.operation);
    return true;
}

enum verdict { GOES_ON, PROCESS_GONE, UNCONFIRMED, EXPIRED, NOT_KEPT };
typedef enum verdict (*judge_fn)(const struct operation *operation, size_t heap, const void *arg);

/* Ends the open heaps that the judge says, one operation a turn, so that the listener runs without the lock. */
static void end_each(struct operations *operations, judge_fn judge, const void *arg)
{
    static const char *const codes[] = {[PROCESS_GONE] = "process_gone", [UNCONFIRMED] = "unconfirmed", [EXPIRED] = NULL,
                                        [NOT_KEPT] = "not_kept"};
    for (;;) {
        uint64_t number = 0;
        pthread_mutex_lock(&operations->lock);
        for (struct operation *operation = operations->newest; operation && !number; operation = operation->next) {
            const struct operation_view *view = operation->view;
            for (size_t i = 0; i < view->heap_count && !operation_is_over(view->state); i++) {
                enum verdict verdict =
                    operation_is_over(view->heaps[i].state) ? GOES_ON : judge(operation, i, arg);
                if (verdict == GOES_ON)
                    continue;
                number = view->number;
                operation->view->heaps[i].state = verdict == EXPIRED ? OPERATION_EXPIRED : OPERATION_FAILED;
                operation->view->heaps[i].code = codes[verdict];
            }
            if (number)
                operations__reckon(operations, operation); /* once for all: there may be thousands */
        }
        pthread_mutex_unlock(&operations->lock);
        if (!number)
            return;
        operations__tell(operations, number);
    }
}

static enum verdict of_process(const struct operation *operation, size_t heap, const void *process)
{
    bool same = !strcmp(operation->view->processes[operation->view->heaps[heap].process], process);
    return same && !operation->rides[heap].answered ? PROCESS_GONE : GOES_ON; /* its artifact is still to end */
}

/* What runs has the host's word already, and may take its time; what was never sent has ours. */
static enum verdict by_time(const struct operation *operation, size_t heap, const void *now)
{
    const struct ride *ride = &operation->rides[heap];
    if (ride->artifact == ARTIFACT_BROKEN && *(const uint64_t *)now > ride->broken_ns + OPERATION_GRACE_NS)
        return NOT_KEPT;
    uint64_t late_ns = *(const uint64_t *)now > operation->deadline_ns ? *(const uint64_t *)now - operation->deadline_ns : 0;
    if (!late_ns || operation->view->heaps[heap].state == OPERATION_RUNNING)
        return GOES_ON;
    if (!ride->number)
        return EXPIRED;
    return late_ns > OPERATION_GRACE_NS ? UNCONFIRMED : GOES_ON;
}

void operations_process_gone(struct operations *operations, const char *process)
{
    end_each(operations, of_process, process);
}

void operations_tick(struct operations *operations)
{
    uint64_t now = clock_mono_ns();
    end_each(operations, by_time, &now);
    operations__send(operations);
}
