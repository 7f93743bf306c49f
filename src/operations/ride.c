/* The way to the host: what is sent, what rides along, and what an answer means for each. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "operations/private.h"
#include "tally.h"

#define TOLD_HEAPS 16u /* of larger operations only what changes the whole is told */

/* What two commands of one kind must have in common to be answered by one run: all but who asks, whom and until when. */
static bool asks_the_same(const struct wire_command *one, const struct wire_command *other)
{
    return one->kind == other->kind && one->generation == other->generation && one->after == other->after &&
           one->index == other->index && one->limit == other->limit && one->type_row == other->type_row;
}

/* Kinds that may share a run: asked twice, they do nothing twice. */
static bool may_ride(uint32_t kind)
{
    return kind == WIRE_COMMAND_COLLECT || kind == WIRE_COMMAND_FIND || wire_command_lists(kind);
}

static bool is_own(const struct operation *operation, size_t heap)
{
    return operation->rides[heap].number == operation->view->number;
}

/* Whether the command of this heap is on its way, or waits with its owner. */
static bool is_out(const struct operation *operation, size_t heap)
{
    return is_own(operation, heap) && !operation_is_over(operation->view->heaps[heap].state);
}

enum way { WAY_SEND, WAY_RIDE, WAY_WAIT };

/* How a heap that has not been asked may be. One that rides must not outlive its patience: the other's deadline comes
 * first, since what is heard of that one by then is the host's word for both. */
static enum way way_of(const struct operations *operations, const struct operation *operation, size_t heap,
                       const struct operation_heap **ridden, uint64_t *number)
{
    const struct operation_view *view = operation->view;
    const char *process = view->processes[view->heaps[heap].process];
    bool lists = wire_command_lists(view->kind), busy = false;
    if (!may_ride(view->kind))
        return WAY_SEND;
    for (const struct operation *other = operations->newest; other; other = other->next) {
        if (other == operation || operation_is_over(other->view->state) ||
            (!asks_the_same(&other->view->command, &view->command) && !(lists && wire_command_lists(other->view->kind))))
            continue;
        for (size_t step = 0, count = other->view->heap_count; step < count; step++) {
            size_t i = (heap + step) % count; /* of two batches of the same it is the first look */
            if (!is_out(other, i) || !operations__is_of(other, i, process, view->heaps[heap].n))
                continue;
            if (asks_the_same(&other->view->command, &view->command) && other->deadline_ns <= operation->deadline_ns &&
                other->view->heaps[i].state < OPERATION_RUNNING) {
                *number = other->view->number;
                *ridden = &other->view->heaps[i];
                return WAY_RIDE;
            }
            busy |= lists;
        }
    }
    return busy ? WAY_WAIT : WAY_SEND;
}

/* Lets ride what can, and finds the oldest that is to be sent. */
static bool next_to_send(struct operations *operations, struct operation **found, size_t *heap)
{
    *found = NULL;
    for (struct operation *operation = operations->newest; operation; operation = operation->next) {
        const struct operation_view *view = operation->view;
        bool all = true; /* those before i */
        for (size_t i = operation->unasked; i < view->heap_count && !operation_is_over(view->state); i++) {
            if (operation->rides[i].number || operation_is_over(view->heaps[i].state)) {
                operation->unasked += all;
                continue;
            }
            const struct operation_heap *ridden;
            enum way way = way_of(operations, operation, i, &ridden, &operation->rides[i].number);
            if (way == WAY_RIDE && ridden->state > view->heaps[i].state) {
                operation->view->heaps[i].state = ridden->state;
                operations__reckon(operations, operation);
            }
            all &= way == WAY_RIDE;
            if (way != WAY_SEND)
                continue;
            *found = operation;
            *heap = i;
            break;
        }
    }
    return *found;
}

/* The heap of an operation that goes by the command of that number. */
static bool rider_find(const struct operation *operation, uint64_t number, const char *process, uint32_t n, size_t *heap)
{
    for (*heap = 0; *heap < operation->view->heap_count; ++*heap)
        if (operation->rides[*heap].number == number && operations__is_of(operation, *heap, process, n))
            return true;
    return false;
}

/* What could not be sent fails, and with it whoever rides. */
static void unsent_end(struct operations *operations, uint64_t number, const char *process, uint32_t n, int error)
{
    uint64_t ended[OPERATIONS_OPEN_MAX];
    size_t count = 0;
    pthread_mutex_lock(&operations->lock);
    for (struct operation *operation = operations->newest; operation; operation = operation->next) {
        size_t i;
        if (operation_is_over(operation->view->state) || !rider_find(operation, number, process, n, &i) ||
            operation_is_over(operation->view->heaps[i].state))
            continue;
        operations__heap_end(operations, operation, i, OPERATION_FAILED,
                             error == -ESRCH ? "process_gone" : "undeliverable");
        ended[count++] = operation->view->number;
    }
    pthread_mutex_unlock(&operations->lock);
    for (size_t i = 0; i < count; i++)
        operations__tell(operations, ended[i]);
}

/* It is to be sent itself, sooner or later. */
static void unride(struct operation *operation, size_t heap)
{
    operation->rides[heap].number = 0;
    operation->unasked = heap < operation->unasked ? heap : operation->unasked;
}

/* There is no room: it waits for the next tick, and so does who has got on meanwhile. */
static void unsent_keep(struct operations *operations, uint64_t number, const char *process, uint32_t n)
{
    size_t i;
    pthread_mutex_lock(&operations->lock);
    for (struct operation *operation = operations->newest; operation; operation = operation->next)
        if (!operation_is_over(operation->view->state) && rider_find(operation, number, process, n, &i))
            unride(operation, i);
    pthread_mutex_unlock(&operations->lock);
}

void operations__send(struct operations *operations)
{
    for (int error = 0; error != -ENOBUFS;) {
        struct operation *operation;
        struct wire_command command;
        char process[33];
        size_t heap;
        pthread_mutex_lock(&operations->lock);
        bool any = next_to_send(operations, &operation, &heap);
        if (any) {
            struct operation_view *view = operation->view;
            operation->rides[heap].number = view->number;
            memcpy(process, view->processes[view->heaps[heap].process], sizeof process);
            command = view->command;
            command.operation = view->number;
            command.deadline_ns = operation->deadline_ns;
            command.heap_number = view->heaps[heap].n;
        }
        pthread_mutex_unlock(&operations->lock);
        if (!any)
            return;
        error = operations->send(operations->send_arg, process, &command);
        if (error == -ENOBUFS)
            unsent_keep(operations, command.operation, process, command.heap_number);
        else if (error)
            unsent_end(operations, command.operation, process, command.heap_number, error);
    }
}

/* ---- answers */

static const char *ack_code(const struct operation_view *view, const struct wire_ack *ack)
{
    int32_t error = ack->error;
    if (view->kind == WIRE_COMMAND_SNAPSHOT && operations_snapshot_code(ack->reason))
        return operations_snapshot_code(ack->reason);
    bool newer = view->kind > WIRE_COMMAND_GROW || view->command.mask & WIRE_CONFIG_STRESS;
    if (newer && error == TALLY_EINVAL && !wire_command_lists(view->kind))
        return "unsupported"; /* by a library that does not know it: we send nothing out of range */
    return error == TALLY_EBUSY          ? "busy"
           : error == TALLY_ESTATE       ? "heap_gone"
           : error == TALLY_EUNSUPPORTED ? "unsupported"
           : error == TALLY_EVETO        ? "vetoed"
                                         : "refused_by_host";
}

static enum operation_state ack_state(const struct wire_ack *ack)
{
    static const enum operation_state states[] = {
        [WIRE_ACK_WAITING] = OPERATION_WAITING, [WIRE_ACK_RUNNING] = OPERATION_RUNNING,
        [WIRE_ACK_SUCCEEDED] = OPERATION_SUCCEEDED, [WIRE_ACK_FAILED] = OPERATION_FAILED,
        [WIRE_ACK_CANCELLED] = OPERATION_CANCELLED, [WIRE_ACK_EXPIRED] = OPERATION_EXPIRED};
    return ack->state >= WIRE_ACK_WAITING && ack->state <= WIRE_ACK_EXPIRED ? states[ack->state] : OPERATION_QUEUED;
}

/* What the host says is added up over heaps, which must not overflow: it has no more memory than that. */
#define FIGURE_MAX (UINT64_C(1) << 48)
_Static_assert(FIGURE_MAX <= INT64_MAX / OPERATION_TARGETS_MAX, "sums fit");

static uint64_t figure(uint64_t value)
{
    return value < FIGURE_MAX ? value : FIGURE_MAX;
}

/* A state never goes back: acknowledgements of one heap come in order, but a late one may follow our own
 * verdict. Whether it says anything new. */
static bool ack_fold(struct operations *operations, struct operation *operation, size_t at,
                     const struct wire_ack *ack, const struct operation_rows *rows)
{
    struct operation_heap *heap = &operation->view->heaps[at];
    enum operation_state state = ack_state(ack);
    if (operation_is_over(heap->state) || state <= heap->state)
        return false;
    heap->collected = (int64_t)figure((uint64_t)ack->collected);
    heap->freed_bytes = figure(ack->freed_bytes);
    heap->pause_ns = ack->pause_ns;
    heap->safepoint_wait_ns = ack->safepoint_wait_ns;
    heap->total = figure(ack->total);
    heap->after = ack->after;
    if (operation->view->kind == WIRE_COMMAND_SNAPSHOT)
        operations__snapshot_host(operation, at, ack);
    if (operation->view->kind == WIRE_COMMAND_SNAPSHOT && state == OPERATION_SUCCEEDED) {
        operation->rides[at].answered = true;
        state = OPERATION_RUNNING; /* until the artifact is whole */
    }
    if (state == OPERATION_FAILED) {
        heap->code = ack_code(operation->view, ack);
        heap->error = ack->error;
    }
    if (state == OPERATION_SUCCEEDED)
        operations__rows_give(operations, operation, at, rows);
    heap->state = state;
    operations__snapshot_settle(operation, at);
    operations__reckon(operations, operation);
    return true;
}

/* Whether the answer to another's command is none for one that rides: it began before that was asked for, or will
 * never begin. Then it is sent itself, unless its own time is over, too. */
static bool rider_leaves(const struct operation *rider, const struct wire_ack *ack, uint64_t now_ns)
{
    if (ack->state == WIRE_ACK_CANCELLED)
        return true;
    if (ack->state == WIRE_ACK_EXPIRED)
        return now_ns < rider->deadline_ns;
    return ack->started_ns && ack->started_ns < rider->created_ns;
}

/* Folds an answer into a heap that rides on the command it is to. Whether that changed. */
static bool ack_take(struct operations *operations, struct operation *operation, size_t at,
                     const struct wire_ack *ack, const struct operation_rows *rows)
{
    if (is_own(operation, at) || !rider_leaves(operation, ack, clock_mono_ns()))
        return ack_fold(operations, operation, at, ack, rows);
    unride(operation, at);
    return false;
}

/* Rows that came to the command that is answered, no longer coming; NULL: none. */
static struct operation_rows *rows_take(struct operations *operations, const char *process,
                                        const struct wire_ack *ack)
{
    struct operation_rows *rows = NULL;
    size_t i;
    for (struct operation *operation = operations->newest; operation; operation = operation->next)
        if (operation->view->number == ack->operation &&
            rider_find(operation, ack->operation, process, ack->heap_number, &i)) {
            rows = operation->rides[i].coming;
            operation->rides[i].coming = NULL;
        }
    return rows;
}

void operations_ack(struct operations *operations, const char *process, const struct wire_ack *ack)
{
    uint64_t changed[OPERATIONS_OPEN_MAX];
    size_t count = 0, i;
    bool last = ack->state >= WIRE_ACK_SUCCEEDED;
    pthread_mutex_lock(&operations->lock);
    struct operation_rows *rows = last ? rows_take(operations, process, ack) : NULL;
    for (struct operation *operation = operations->newest; operation; operation = operation->next) {
        enum operation_state before = operation->view->state;
        if (operation_is_over(before) || !rider_find(operation, ack->operation, process, ack->heap_number, &i) ||
            !ack_take(operations, operation, i, ack, rows))
            continue;
        if (operation->view->heap_count <= TOLD_HEAPS || operation->view->state != before)
            changed[count++] = operation->view->number;
    }
    operations__rows_drop(rows);
    pthread_mutex_unlock(&operations->lock);
    if (last || ack->state == WIRE_ACK_RUNNING)
        operations__send(operations);
    for (i = 0; i < count; i++)
        operations__tell(operations, changed[i]);
}
