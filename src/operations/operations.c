#include "operations/operations.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tally.h"

struct operation {
    struct operation *next; /* older */
    uint64_t deadline_ns;
    struct audit_record asked; /* kind "": not audited */
    struct operation_view view; /* and its heaps: last member */
};

struct operations {
    operations_send_fn send;
    void *send_arg;
    struct audit *audit;
    char start[16];
    pthread_mutex_t lock; /* everything below */
    struct operation *newest;
    unsigned count, open;
    uint64_t numbers;
    operations_changed_fn changed;
    void *changed_arg;
    unsigned telling; /* calls to the listener that go on */
    pthread_cond_t told;
};

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

void operations_free(struct operations *operations)
{
    while (operations->newest) {
        struct operation *operation = operations->newest;
        operations->newest = operation->next;
        free(operation);
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

static void tell(struct operations *operations, const char *id)
{
    pthread_mutex_lock(&operations->lock);
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

static struct operation *find(const struct operations *operations, const char *id)
{
    for (struct operation *operation = operations->newest; operation; operation = operation->next)
        if (!strcmp(operation->view.id, id))
            return operation;
    return NULL;
}

static struct operation *find_number(const struct operations *operations, uint64_t number)
{
    for (struct operation *operation = operations->newest; operation; operation = operation->next)
        if (operation->view.number == number)
            return operation;
    return NULL;
}

/* The lock order: ours, then the audit's. */
static void audit_say(struct operations *operations, struct operation *operation, const char *result)
{
    struct audit_record *asked = &operation->asked;
    if (!*asked->kind)
        return;
    snprintf(asked->operation, sizeof asked->operation, "%s", operation->view.id);
    snprintf(asked->result, sizeof asked->result, "%s", result);
    snprintf(asked->code, sizeof asked->code, "%s", operation->view.code ? operation->view.code : "");
    audit_record(operations->audit, asked);
}

/* Post-condition: the operation's state and sums are those of its heaps. Under the lock. */
static void reckon(struct operations *operations, struct operation *operation)
{
    struct operation_view *view = &operation->view;
    enum operation_state earliest = OPERATION_FAILED, worst = OPERATION_SUCCEEDED;
    bool was_over = operation_is_over(view->state);
    view->collected = 0;
    view->freed_bytes = view->pause_ns = view->safepoint_wait_ns = 0;
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
        if (operation_is_over((*link)->view.state))
            oldest_over = link;
    if (oldest_over) {
        struct operation *gone = *oldest_over;
        *oldest_over = gone->next;
        operations->count--;
        free(gone);
    }
}

static struct operation *operation_new(struct operations *operations, const struct operation_request *request)
{
    size_t heap_bytes = request->heap_count * sizeof(struct operation_heap);
    struct operation *operation = calloc(1, sizeof *operation + heap_bytes);
    if (!operation)
        return NULL;
    struct operation_view *view = &operation->view;
    operation->deadline_ns = clock_mono_ns() + request->deadline_ms * 1000000u;
    if (request->asked)
        operation->asked = *request->asked;
    view->number = ++operations->numbers;
    snprintf(view->id, sizeof view->id, "%s-%llu", operations->start, (unsigned long long)view->number);
    snprintf(view->process, sizeof view->process, "%s", request->process);
    view->kind = (enum wire_command_kind)request->command.kind;
    view->command = request->command;
    view->deadline_ms = request->deadline_ms;
    view->created_wall_ns = clock_wall_ns();
    view->heap_count = request->heap_count;
    for (size_t i = 0; i < view->heap_count; i++)
        view->heaps[i].n = request->heaps[i];
    operation->next = operations->newest;
    operations->newest = operation;
    operations->count++;
    operations->open++;
    audit_say(operations, operation, "accepted");
    reckon(operations, operation);
    prune(operations);
    return operation;
}

static void heap_end(struct operations *operations, struct operation *operation, size_t at,
                     enum operation_state state, const char *code)
{
    struct operation_heap *heap = &operation->view.heaps[at];
    if (operation_is_over(heap->state))
        return;
    heap->state = state;
    heap->code = code;
    reckon(operations, operation);
}

int operations_start(struct operations *operations, const struct operation_request *request, char *id)
{
    int result = 0;
    struct operation *operation = NULL;
    struct wire_command send = request->command;
    pthread_mutex_lock(&operations->lock);
    if (operations->open >= OPERATIONS_OPEN_MAX)
        result = -EBUSY;
    else if (!(operation = operation_new(operations, request)))
        result = -ENOMEM;
    if (operation) {
        send.operation = operation->view.number;
        send.deadline_ns = operation->deadline_ns;
        snprintf(id, OPERATION_ID_CHARS, "%s", operation->view.id);
    }
    pthread_mutex_unlock(&operations->lock);
    if (result)
        return result;
    for (size_t i = 0; i < request->heap_count; i++) {
        send.heap_number = request->heaps[i];
        int error = operations->send(operations->send_arg, request->process, &send);
        if (!error)
            continue;
        pthread_mutex_lock(&operations->lock);
        operation = find(operations, id);
        if (operation)
            heap_end(operations, operation, i, OPERATION_FAILED,
                     error == -ESRCH ? "process_gone" : "undeliverable");
        pthread_mutex_unlock(&operations->lock);
    }
    tell(operations, id);
    return 0;
}

static struct operation_view *view_copy(const struct operation *operation)
{
    size_t bytes = sizeof operation->view + operation->view.heap_count * sizeof *operation->view.heaps;
    struct operation_view *copy = malloc(bytes);
    if (copy)
        memcpy(copy, &operation->view, bytes);
    return copy;
}

struct operation_view *operations_get_new(struct operations *operations, const char *id)
{
    pthread_mutex_lock(&operations->lock);
    const struct operation *operation = find(operations, id);
    struct operation_view *copy = operation ? view_copy(operation) : NULL;
    pthread_mutex_unlock(&operations->lock);
    return copy;
}

bool operations_id(struct operations *operations, uint64_t number, char *id)
{
    pthread_mutex_lock(&operations->lock);
    const struct operation *operation = number ? find_number(operations, number) : NULL;
    if (operation)
        snprintf(id, OPERATION_ID_CHARS, "%s", operation->view.id);
    pthread_mutex_unlock(&operations->lock);
    return operation;
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

void operations_view_free(struct operation_view *view)
{
    free(view);
}

bool operations_cancel(struct operations *operations, const char *id)
{
    struct operation_view *view = operations_get_new(operations, id);
    if (!view)
        return false;
    for (size_t i = 0; i < view->heap_count; i++) {
        if (operation_is_over(view->heaps[i].state))
            continue;
        struct wire_command command = {.kind = WIRE_COMMAND_CANCEL, .operation = view->number,
                                       .heap_number = view->heaps[i].n};
        operations->send(operations->send_arg, view->process, &command);
    }
    operations_view_free(view);
    return true;
}

static const char *ack_code(int32_t error)
{
    return error == TALLY_EBUSY          ? "busy"
           : error == TALLY_ESTATE       ? "heap_gone"
           : error == TALLY_EUNSUPPORTED ? "unsupported"
           : error == TALLY_EVETO        ? "vetoed"
                                         : "refused_by_host";
}

/* A state never goes back: acknowledgements of one heap come in order, but a late one may follow our own
 * verdict. Whether it says anything new. */
static bool ack_fold(struct operations *operations, struct operation *operation, size_t at,
                     const struct wire_ack *ack)
{
    static const enum operation_state states[] = {
        [WIRE_ACK_WAITING] = OPERATION_WAITING, [WIRE_ACK_RUNNING] = OPERATION_RUNNING,
        [WIRE_ACK_SUCCEEDED] = OPERATION_SUCCEEDED, [WIRE_ACK_FAILED] = OPERATION_FAILED,
        [WIRE_ACK_CANCELLED] = OPERATION_CANCELLED, [WIRE_ACK_EXPIRED] = OPERATION_EXPIRED};
    struct operation_heap *heap = &operation->view.heaps[at];
    if (ack->state < WIRE_ACK_WAITING || ack->state > WIRE_ACK_EXPIRED || operation_is_over(heap->state))
        return false;
    enum operation_state state = states[ack->state];
    if (state <= heap->state)
        return false;
    heap->collected = ack->collected;
    heap->freed_bytes = ack->freed_bytes;
    heap->pause_ns = ack->pause_ns;
    heap->safepoint_wait_ns = ack->safepoint_wait_ns;
    if (state == OPERATION_FAILED) {
        heap->code = ack_code(ack->error);
        heap->error = ack->error;
    }
    heap->state = state;
    reckon(operations, operation);
    return true;
}

void operations_ack(struct operations *operations, const char *process, const struct wire_ack *ack)
{
    char id[OPERATION_ID_CHARS] = "";
    pthread_mutex_lock(&operations->lock);
    struct operation *operation = find_number(operations, ack->operation);
    if (operation && !strcmp(operation->view.process, process)) {
        for (size_t i = 0; i < operation->view.heap_count; i++)
            if (operation->view.heaps[i].n == ack->heap_number && ack_fold(operations, operation, i, ack))
                memcpy(id, operation->view.id, sizeof id);
    }
    pthread_mutex_unlock(&operations->lock);
    if (*id)
        tell(operations, id);
}

/* Ends the open heaps that `over` picks, one operation a turn, so that the listener runs without the lock. */
static void end_each(struct operations *operations,
                     bool (*over)(const struct operation *, const struct operation_heap *, const void *),
                     const void *arg, const char *code)
{
    for (;;) {
        char id[OPERATION_ID_CHARS] = "";
        pthread_mutex_lock(&operations->lock);
        for (struct operation *operation = operations->newest; operation && !*id;
             operation = operation->next) {
            for (size_t i = 0; i < operation->view.heap_count; i++) {
                const struct operation_heap *heap = &operation->view.heaps[i];
                if (operation_is_over(heap->state) || !over(operation, heap, arg))
                    continue;
                memcpy(id, operation->view.id, sizeof id);
                heap_end(operations, operation, i, OPERATION_FAILED, code);
            }
        }
        pthread_mutex_unlock(&operations->lock);
        if (!*id)
            return;
        tell(operations, id);
    }
}

static bool of_process(const struct operation *operation, const struct operation_heap *heap,
                       const void *process)
{
    (void)heap;
    return !strcmp(operation->view.process, process);
}

/* What runs has the host's word already, and may take its time. */
static bool past_grace(const struct operation *operation, const struct operation_heap *heap, const void *now)
{
    return heap->state != OPERATION_RUNNING &&
           *(const uint64_t *)now > operation->deadline_ns + OPERATION_GRACE_NS;
}

void operations_process_gone(struct operations *operations, const char *process)
{
    end_each(operations, of_process, process, "process_gone");
}

void operations_tick(struct operations *operations)
{
    uint64_t now = clock_mono_ns();
    end_each(operations, past_grace, &now, "unconfirmed");
}
