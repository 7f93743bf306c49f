/* Commands on their way to a heap's owner and back. The agent fills a slot and rings the heap's doorbell, a
 * request that stands in the heap's mailbox at most once; the owner, at its safepoint, claims posted slots in
 * the order of their arrival. A slot that is still posted at its deadline is claimed by the agent, and so can
 * never run later. */
#include <errno.h>
#include <string.h>

#include "agent/capture.h"
#include "base/clock.h"

static uint64_t tag_make(uint64_t order, enum slot_state state)
{
    return order << SLOT_STATE_BITS | (uint64_t)state;
}

static enum slot_state tag_state(uint64_t tag)
{
    return (enum slot_state)(tag & ((1u << SLOT_STATE_BITS) - 1));
}

/* Held or posted: nobody has begun with it. */
static bool tag_waits(uint64_t tag)
{
    return tag_state(tag) == SLOT_HELD || tag_state(tag) == SLOT_POSTED;
}

static uint64_t tag_get(const struct agent_slot *slot)
{
    return atomic_load_explicit(&slot->tag, memory_order_acquire);
}

/* Takes a slot that waits for the one side, which fails where the other was faster. */
static bool slot_claim(struct agent_slot *slot, uint64_t tag, enum slot_state state)
{
    return atomic_compare_exchange_strong_explicit(&slot->tag, &tag, tag_make(tag >> SLOT_STATE_BITS, state),
                                                   memory_order_acq_rel, memory_order_acquire);
}

static void slot_state_set(struct agent_slot *slot, enum slot_state state)
{
    uint64_t tag = atomic_load_explicit(&slot->tag, memory_order_relaxed);
    atomic_store_explicit(&slot->tag, tag_make(tag >> SLOT_STATE_BITS, state), memory_order_release);
}

static uint64_t what_of(const struct wire_command *command)
{
    return (uint64_t)command->kind << 32 | (uint32_t)command->generation;
}

void agent_ring(struct agent_heap *shown)
{
    if (!atomic_exchange(&shown->rung, true))
        tally__heap_post(shown->heap, &shown->doorbell);
}

/* ---- the owner's side */

#define WHAT_ANY UINT64_MAX

/* The oldest posted slot that is `what`, now the owner's; NULL: none. */
static struct agent_slot *oldest_claim(struct agent_heap *shown, uint64_t what)
{
    for (;;) {
        struct agent_slot *oldest = NULL;
        uint64_t oldest_tag = UINT64_MAX;
        for (unsigned i = 0; i < AGENT_SLOTS; i++) {
            struct agent_slot *slot = &shown->slots[i];
            uint64_t tag = tag_get(slot);
            bool wanted = what == WHAT_ANY || atomic_load_explicit(&slot->what, memory_order_relaxed) == what;
            if (tag_state(tag) == SLOT_POSTED && wanted && tag < oldest_tag) {
                oldest = slot;
                oldest_tag = tag;
            }
        }
        if (!oldest || slot_claim(oldest, oldest_tag, SLOT_RUNNING))
            return oldest;
    }
}

/* What a parked heap's agent has begun, its owner goes on with. */
static void slot_begin(struct agent_slot *slot, uint64_t now_ns)
{
    if (!slot->result.started_ns)
        slot->result.started_ns = now_ns;
    atomic_store_explicit(&slot->begun_ns, slot->result.started_ns, memory_order_relaxed);
}

/* Begun in a parked heap, and not finished: it has not expired, and cannot be cancelled. */
static bool slot_goes_on(const struct agent_slot *slot)
{
    return atomic_load_explicit(&slot->begun_ns, memory_order_relaxed);
}

/* Posted again, with nothing done: it may still expire. */
static void slot_wait(struct agent_slot *slot)
{
    slot->result.started_ns = 0;
    atomic_store_explicit(&slot->begun_ns, 0, memory_order_relaxed);
    slot_state_set(slot, SLOT_POSTED);
}

static void slot_finish(struct agent_slot *slot, enum wire_ack_state state, int error)
{
    slot->result.state = (uint32_t)state;
    slot->result.error = error;
    slot_state_set(slot, SLOT_DONE);
}

/* Nothing starts after its deadline, however late the owner comes, nor what the owner has forbidden since. */
static bool slot_starts(const struct tally_heap *heap, struct agent_slot *slot, uint64_t now_ns)
{
    bool allowed = tally_get_access(heap) == TALLY_ACCESS_CONTROL;
    if (slot->command.kind != WIRE_COMMAND_SNAPSHOT || !slot_goes_on(slot)) /* of its first slice */
        slot->result.safepoint_wait_ns = now_ns > slot->received_ns ? now_ns - slot->received_ns : 0;
    bool starts = allowed && (now_ns < slot->command.deadline_ns || slot_goes_on(slot));
    if (starts)
        slot_begin(slot, now_ns);
    else
        slot_finish(slot, allowed ? WIRE_ACK_EXPIRED : WIRE_ACK_FAILED, allowed ? 0 : TALLY_EVETO);
    return starts;
}

/* A snapshot's holder has done what it could: the slot is done, or waits for its next turn. */
static void capture_slot_end(struct agent_slot *slot, int error)
{
    if (error == CAPTURE_MORE)
        slot_state_set(slot, SLOT_HELD);
    else
        slot_finish(slot, error ? WIRE_ACK_FAILED : WIRE_ACK_SUCCEEDED, error);
}

/* All that wait for the same collection share one run. */
static void collect_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *first)
{
    struct agent_slot *group[AGENT_SLOTS];
    unsigned count = 0;
    uint64_t now_ns = clock_mono_ns(), pause_ns = 0, freed_bytes = 0, what = what_of(&first->command);
    for (struct agent_slot *slot = first; slot && count < AGENT_SLOTS; slot = oldest_claim(shown, what)) {
        if (slot_starts(heap, slot, now_ns))
            group[count++] = slot;
    }
    if (!count)
        return;
    agent_wake();
    first = group[0];
    int64_t collected = tally__heap_collect_remote(heap, first->command.generation, first->command.operation,
                                                   first->result.safepoint_wait_ns, &pause_ns, &freed_bytes);
    for (unsigned i = 0; i < count; i++) {
        group[i]->result.collected = collected < 0 ? 0 : collected;
        group[i]->result.freed_bytes = freed_bytes;
        group[i]->result.pause_ns = pause_ns;
        slot_finish(group[i], collected < 0 ? WIRE_ACK_FAILED : WIRE_ACK_SUCCEEDED,
                    collected < 0 ? (int)collected : 0);
    }
}

/* What a heap midway would refuse. */
static bool is_hindered(const struct tally_heap *heap, const struct wire_command *command)
{
    bool manager = command->kind == WIRE_COMMAND_CONFIG && command->mask & WIRE_CONFIG_MANAGER;
    return (manager || command->kind == WIRE_COMMAND_FIND) && tally__heap_is_midway(heap);
}

/* Returns false where the heap is midway: the slot, which has not begun, is posted again for the next safepoint. */
static bool command_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *slot)
{
    uint64_t now_ns = clock_mono_ns();
    if (is_hindered(heap, &slot->command)) {
        slot_state_set(slot, SLOT_POSTED);
        return false;
    }
    if (!slot_starts(heap, slot, now_ns))
        return true;
    if (slot->command.kind == WIRE_COMMAND_SNAPSHOT) {
        capture_slot_end(slot, agent_capture_run(heap, slot, false));
        return true;
    }
    agent_wake(); /* it may take its time */
    int error = agent_command_run(heap, shown, slot);
    slot->result.pause_ns = clock_mono_ns() - now_ns;
    slot_finish(slot, error ? WIRE_ACK_FAILED : WIRE_ACK_SUCCEEDED, error);
    return true;
}

/* Rung is cleared first: what is posted from here on rings again. In a child forked out of a callback of the
 * run, `shown` is an orphan when it ends. */
void agent_doorbell(struct tally_heap *heap, struct tally__request *request)
{
    struct agent_heap *shown = (struct agent_heap *)request;
    int saved = errno;
    atomic_exchange(&shown->rung, false);
    if (shown->running) { /* a safepoint in a callback of what runs: its turn comes behind that */
        shown->again = true;
        return;
    }
    if (!shown->orphan)
        agent_growth_take(heap, shown);
    shown->running = true;
    shown->again = false;
    bool busy = false;
    for (unsigned i = 0; i < AGENT_SLOTS && !shown->orphan && !busy; i++) {
        struct agent_slot *slot = oldest_claim(shown, WHAT_ANY);
        if (!slot)
            break;
        if (slot->command.kind == WIRE_COMMAND_COLLECT)
            collect_run(heap, shown, slot);
        else
            busy = !command_run(heap, shown, slot);
    }
    shown->running = false;
    agent_wake();
    if (shown->orphan)
        agent_heap_release(shown);
    else if (shown->leaving)
        agent_detach(heap, shown);
    else if (shown->again || busy)
        agent_ring(shown);
    errno = saved;
}

/* ---- the agent's side */

static void answer(struct agent *agent, const struct wire_command *command, enum wire_ack_state state,
                   int error)
{
    union agent_message message = {.ack = {.head = wire_head_make(WIRE_ACK, sizeof message.ack),
                                           .operation = command->operation,
                                           .heap_number = command->heap_number,
                                           .state = (uint32_t)state,
                                           .error = error}};
    agent_send(agent, &message);
}

/* Nobody waits for it any more. */
static void slot_drop(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot)
{
    if (slot->capture)
        agent_capture_drop(agent);
    if (shown->listing == slot) {
        shown->listing = NULL;
        agent_list_drop(shown);
    }
    slot_state_set(slot, SLOT_FREE);
}

/* Takes a slot that waits away from the owner; false: he was faster, or it is none. */
static bool slot_withdraw(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot)
{
    uint64_t tag = tag_get(slot);
    bool taken = tag_waits(tag) && slot_claim(slot, tag, SLOT_FREE);
    if (taken)
        slot_drop(agent, shown, slot);
    return taken;
}

static void cancel(struct agent *agent, struct agent_heap *shown, const struct wire_command *command)
{
    for (unsigned i = 0; i < AGENT_SLOTS; i++) {
        struct agent_slot *slot = &shown->slots[i];
        if (slot->command.operation != command->operation || slot_goes_on(slot))
            continue;
        if (slot_withdraw(agent, shown, slot))
            answer(agent, &slot->command, WIRE_ACK_CANCELLED, 0);
        else
            slot->cancel_asked = true;
    }
}

static struct agent_slot *slot_free(struct agent_heap *shown)
{
    for (unsigned i = 0; i < AGENT_SLOTS; i++)
        if (tag_state(tag_get(&shown->slots[i])) == SLOT_FREE)
            return &shown->slots[i];
    return NULL;
}

/* Whether such a collection is posted, so that another would share its run. */
static bool posted_alike(struct agent_heap *shown, uint64_t what)
{
    for (unsigned i = 0; i < AGENT_SLOTS; i++) {
        struct agent_slot *slot = &shown->slots[i];
        if (tag_state(tag_get(slot)) == SLOT_POSTED &&
            atomic_load_explicit(&slot->what, memory_order_relaxed) == what)
            return true;
    }
    return false;
}

/* When one more collection may begin; 0: now. */
static uint64_t collect_next(const struct agent_heap *shown, uint64_t now_ns)
{
    uint64_t oldest_ns = shown->collects_ns[shown->collects_next];
    return oldest_ns && oldest_ns + 1000000000u > now_ns ? oldest_ns + 1000000000u : 0;
}

/* The same for a snapshot, of which there is one at a time. */
static uint64_t snapshot_let(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    if (agent->capture)
        return agent_capture_let(agent, slot, now_ns);
    if (shown->rest_ns > now_ns)
        return shown->rest_ns;
    int error = agent_capture_make(agent, slot);
    if (!error)
        return 0;
    slot_finish(slot, WIRE_ACK_FAILED, error);
    return UINT64_MAX;
}

/* Lets a held command through, or returns when it is due. */
static uint64_t slot_let(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    bool collect = slot->command.kind == WIRE_COMMAND_COLLECT;
    bool alike = collect && posted_alike(shown, what_of(&slot->command));
    uint64_t rest = shown->rest_ns > now_ns ? shown->rest_ns : 0;
    uint64_t next = !collect ? rest : alike ? 0 : collect_next(shown, now_ns);
    if (slot->command.kind == WIRE_COMMAND_SNAPSHOT)
        next = snapshot_let(agent, shown, slot, now_ns);
    if (next)
        return next;
    if (collect && !alike) {
        shown->collects_ns[shown->collects_next] = now_ns;
        shown->collects_next = (shown->collects_next + 1) % AGENT_COLLECTS;
    }
    slot_state_set(slot, SLOT_POSTED);
    agent_ring(shown);
    return UINT64_MAX;
}

static void post(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot,
                 const struct wire_command *command, uint64_t now_ns)
{
    bool held = command->kind != WIRE_COMMAND_CONFIG;
    slot->connection = agent->connection;
    slot->received_ns = now_ns;
    slot->running_told = slot->cancel_asked = false;
    atomic_store_explicit(&slot->begun_ns, 0, memory_order_relaxed);
    slot->command = *command;
    slot->result = (struct wire_ack){.head = wire_head_make(WIRE_ACK, sizeof slot->result),
                                     .operation = command->operation,
                                     .heap_number = command->heap_number};
    if (wire_command_lists(command->kind))
        shown->listing = slot;
    atomic_store_explicit(&slot->what, what_of(command), memory_order_relaxed);
    atomic_store_explicit(&slot->tag, tag_make(++agent->order, held ? SLOT_HELD : SLOT_POSTED),
                          memory_order_release);
    if (held)
        slot_let(agent, shown, slot, now_ns);
    else
        agent_ring(shown);
}

void agent_command(struct agent *agent, const struct wire_command *command, uint64_t now_ns)
{
    struct agent_heap *shown = agent->heaps;
    while (shown && shown->number != command->heap_number)
        shown = shown->next;
    if (command->kind == WIRE_COMMAND_CANCEL && agent_capture_cancel(agent, command)) {
        return; /* answered at its end, which comes soon */
    } else if (!shown) {
        answer(agent, command, WIRE_ACK_FAILED, TALLY_ESTATE);
    } else if (command->kind == WIRE_COMMAND_CANCEL) {
        cancel(agent, shown, command);
    } else if (command->kind == WIRE_COMMAND_GROW) {
        bool asked = agent_growth_ask(agent, shown, command->ring_words);
        answer(agent, command, asked ? WIRE_ACK_SUCCEEDED : WIRE_ACK_FAILED, asked ? 0 : TALLY_ELIMIT);
    } else if (agent_command_fault(command)) {
        answer(agent, command, WIRE_ACK_FAILED, agent_command_fault(command));
    } else if (tally_get_access(shown->heap) != TALLY_ACCESS_CONTROL) {
        answer(agent, command, WIRE_ACK_FAILED, TALLY_EVETO);
    } else {
        bool second = wire_command_lists(command->kind) && shown->listing;
        struct agent_slot *slot = second ? NULL : slot_free(shown);
        answer(agent, command, slot ? WIRE_ACK_WAITING : WIRE_ACK_FAILED, slot ? 0 : TALLY_EBUSY);
        if (slot && agent->link == LINK_UP) /* else the answer has found that nobody is there */
            post(agent, shown, slot, command, now_ns);
    }
}

/* What a command took of the owner is paid for before the next one may begin. */
static void owner_rests(struct agent_heap *shown, const struct agent_slot *slot, uint64_t begun_ns)
{
    uint64_t took_ns = begun_ns ? slot->result.pause_ns : 0;
    uint64_t rest_ns = AGENT_REST * took_ns < AGENT_REST_MAX_NS ? AGENT_REST * took_ns : AGENT_REST_MAX_NS;
    bool paid = slot->command.kind == WIRE_COMMAND_COLLECT || slot->command.kind == WIRE_COMMAND_CONFIG;
    if (slot->command.kind == WIRE_COMMAND_SNAPSHOT) /* its slices have been paid for one by one */
        begun_ns = clock_mono_ns() - took_ns;
    if (!paid && begun_ns + took_ns + rest_ns > shown->rest_ns)
        shown->rest_ns = begun_ns + took_ns + rest_ns;
}

/* Sends what a slot's progress asks for; a slot of an earlier connection has nobody to tell. */
static void slot_report(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot,
                        enum slot_state state)
{
    bool ours = slot->connection == agent->connection;
    if (ours && !agent_session_room(agent, 2))
        return; /* when there is some: the socket wakes us */
    uint64_t begun_ns = atomic_load_explicit(&slot->begun_ns, memory_order_relaxed);
    if (ours && begun_ns && !slot->running_told) {
        slot->running_told = true;
        agent_send(agent, &(union agent_message){
                              .ack = {.head = wire_head_make(WIRE_ACK, sizeof(struct wire_ack)),
                                      .operation = slot->command.operation,
                                      .heap_number = slot->command.heap_number,
                                      .state = WIRE_ACK_RUNNING,
                                      .started_ns = begun_ns}});
    }
    if (state != SLOT_DONE)
        return;
    owner_rests(shown, slot, begun_ns);
    if (ours && shown->listing == slot && !agent_list_send(agent, shown, slot))
        return; /* when there is room */
    if (slot->capture && slot->result.state == WIRE_ACK_SUCCEEDED)
        agent_capture_release(agent); /* who answers when all is written */
    else if (ours)
        agent_send(agent, &(union agent_message){.ack = slot->result});
    slot_drop(agent, shown, slot);
}

/* Runs a collection in a parked heap that the agent has entered, as far as it goes without the host's code.
 * Returns whether to come again at once. */
static bool parked_collect(struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    struct wire_ack *result = &slot->result;
    uint64_t wait_ns = now_ns > slot->received_ns ? now_ns - slot->received_ns : 0;
    enum tally__parked parked =
        tally__heap_collect_parked(shown->heap, slot->command.generation, slot->command.operation, wait_ns,
                                   &result->collected, &result->pause_ns, &result->freed_bytes);
    if (parked == PARKED_OWNER) {
        slot_wait(slot);
        return false;
    }
    slot_begin(slot, now_ns);
    if (parked == PARKED_DONE) {
        result->safepoint_wait_ns = wait_ns;
        slot_finish(slot, WIRE_ACK_SUCCEEDED, 0);
    } else {
        slot_state_set(slot, SLOT_POSTED);
    }
    return parked == PARKED_MORE;
}

static void parked_list(struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    int error = agent_list_run(shown->heap, shown, slot, true);
    if (error == TALLY_EBUSY) {
        slot_state_set(slot, SLOT_POSTED);
        return;
    }
    slot_begin(slot, now_ns);
    slot->result.safepoint_wait_ns = now_ns > slot->received_ns ? now_ns - slot->received_ns : 0;
    slot_finish(slot, error ? WIRE_ACK_FAILED : WIRE_ACK_SUCCEEDED, error);
}

static bool parked_snapshot(struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    int error = agent_capture_run(shown->heap, slot, true);
    if (error == TALLY_EBUSY) {
        slot_state_set(slot, SLOT_POSTED);
        return false;
    }
    if (!slot_goes_on(slot))
        slot->result.safepoint_wait_ns = now_ns > slot->received_ns ? now_ns - slot->received_ns : 0;
    slot_begin(slot, now_ns);
    capture_slot_end(slot, error);
    return true;
}

/* What the agent can do while the owner is parked. The slot is posted again before the owner can look for it: its
 * doorbell has been rung, once. Returns whether to come again at once. */
static bool parked_run(struct agent_heap *shown, struct agent_slot *slot, uint64_t now_ns)
{
    bool collect = slot->command.kind == WIRE_COMMAND_COLLECT, more = false;
    bool snapshot = slot->command.kind == WIRE_COMMAND_SNAPSHOT;
    if ((!collect && !snapshot && !wire_command_lists(slot->command.kind)) ||
        (now_ns >= slot->command.deadline_ns && !slot_goes_on(slot)) ||
        tally_get_access(shown->heap) != TALLY_ACCESS_CONTROL || !tally__heap_guest_enter(shown->heap))
        return false;
    uint64_t tag = tag_get(slot);
    if (tag_state(tag) == SLOT_POSTED && slot_claim(slot, tag, SLOT_RUNNING)) {
        if (collect)
            more = parked_collect(shown, slot, now_ns);
        else if (snapshot)
            more = parked_snapshot(shown, slot, now_ns);
        else
            parked_list(shown, slot, now_ns);
    }
    tally__heap_guest_leave(shown->heap);
    return more;
}

/* One that the agent has given up, between two slices or before the first; false: its owner has it now. */
static bool snapshot_end(struct agent *agent, struct agent_heap *shown, struct agent_slot *slot)
{
    uint64_t tag = tag_get(slot);
    if (!tag_waits(tag) || (tag_state(tag) == SLOT_POSTED && !slot_claim(slot, tag, SLOT_HELD)))
        return false;
    if (slot->connection == agent->connection)
        agent_send(agent, &(union agent_message){.ack = agent_capture_answer(slot)});
    slot_drop(agent, shown, slot);
    return true;
}

uint64_t agent_requests_turn(struct agent *agent, struct agent_heap *shown, uint64_t now_ns)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < AGENT_SLOTS; i++) {
        struct agent_slot *slot = &shown->slots[i];
        uint64_t due = UINT64_MAX;
        if (agent_capture_over(slot) && agent_session_room(agent, 2) && snapshot_end(agent, shown, slot))
            continue;
        if (slot->cancel_asked && !slot_goes_on(slot) && agent_session_room(agent, 2) && slot_withdraw(agent, shown, slot)) {
            answer(agent, &slot->command, WIRE_ACK_CANCELLED, 0);
            continue;
        }
        if (tag_state(tag_get(slot)) == SLOT_HELD && (now_ns < slot->command.deadline_ns || slot_goes_on(slot)))
            due = slot_let(agent, shown, slot, now_ns);
        if (tag_state(tag_get(slot)) == SLOT_POSTED && parked_run(shown, slot, now_ns))
            due = now_ns;
        enum slot_state state = tag_state(tag_get(slot));
        if (state == SLOT_RUNNING || state == SLOT_DONE || (tag_waits(tag_get(slot)) && slot_goes_on(slot)))
            slot_report(agent, shown, slot, state);
        else if (state != SLOT_FREE && now_ns < slot->command.deadline_ns)
            due = slot->command.deadline_ns < due ? slot->command.deadline_ns : due;
        else if (agent_session_room(agent, 2) && slot_withdraw(agent, shown, slot))
            answer(agent, &slot->command, WIRE_ACK_EXPIRED, 0);
        next = due < next ? due : next;
    }
    return next;
}

void agent_requests_fail(struct agent *agent, struct agent_heap *shown)
{
    agent_requests_turn(agent, shown, clock_mono_ns());
    for (unsigned i = 0; i < AGENT_SLOTS; i++) {
        struct agent_slot *slot = &shown->slots[i];
        bool unsent = tag_state(tag_get(slot)) == SLOT_DONE; /* the socket has not taken all that it lists */
        if (unsent)
            slot_drop(agent, shown, slot);
        if (unsent ? slot->connection == agent->connection : slot_withdraw(agent, shown, slot))
            answer(agent, &slot->command, WIRE_ACK_FAILED, TALLY_ESTATE);
    }
}

void agent_requests_forget(struct agent *agent, struct agent_heap *shown)
{
    for (unsigned i = 0; i < AGENT_SLOTS; i++)
        slot_withdraw(agent, shown, &shown->slots[i]);
}
