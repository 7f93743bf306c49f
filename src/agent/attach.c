/* Attaching and detaching heaps, in their owners' threads. What fails leaves the heap as it was. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/agent.h"

static struct agent_heap *heap_make(struct tally_heap *heap)
{
    void *memory = mmap(NULL, sizeof(struct agent_heap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct agent_heap *shown = memory;
    shown->doorbell.run = agent_doorbell;
    shown->heap = heap;
    shown->number = tally__heap_number(heap);
    return shown;
}

void agent_heap_release(struct agent_heap *shown)
{
    agent_memory_drop(&shown->counters);
    agent_memory_drop(&shown->ring);
    agent_memory_drop(&shown->next_counters);
    agent_memory_drop(&shown->next_ring);
    munmap(shown, sizeof *shown);
}

static bool collecting(struct tally_heap *heap)
{
    const struct wire_counters *counters = tally__heap_feed(heap)->counters;
    return atomic_load_explicit(&counters->state, memory_order_relaxed) != WIRE_STATE_RUNNING;
}

/* The heap has not noticed yet that it was forked; a safepoint makes it. */
static void fork_notice(struct tally_heap *heap)
{
    if (!tally__heap_feed(heap)->rows)
        tally_safepoint(heap);
}

static int memory_make(struct agent_heap *shown)
{
    struct feed_shape shape = tally__feed_shape(tally__heap_feed(shown->heap)->counters);
    int error = agent_counters_make(&shown->counters, &shape, shown->number, shown->attachment);
    return error ? error : agent_ring_make(&shown->ring, WIRE_RING_WORDS, shown->number, shown->attachment);
}

static int error_of(int system_error)
{
    return system_error == ENOMEM ? TALLY_ENOMEM : TALLY_ESYS;
}

static void heap_forked(struct tally_heap *heap, void *parents)
{
    struct agent_heap *shown = parents; /* the child's copy of it */
    *tally__heap_attachment(heap) = (struct tally__attachment){0};
    if (shown->running)
        shown->orphan = true;
    else
        agent_heap_release(shown);
    if (!collecting(heap))
        tally_attach(heap);
}

static void heap_parked(void *shown)
{
    (void)shown;
    agent_wake();
}

/* For tally_agent_status(). Returns the TALLY_E* of it. */
static int attach_failed(struct agent *agent, int system_error)
{
    pthread_mutex_lock(&agent->lock);
    agent->attach_error = system_error;
    pthread_mutex_unlock(&agent->lock);
    return error_of(system_error);
}

/* Starts the thread before the heap is touched, and lists the heap when everything is ready. */
static int show(struct agent *agent, struct agent_heap *shown)
{
    pthread_mutex_lock(&agent->lock);
    int error = agent_start(agent);
    shown->attachment = ++agent->generation;
    pthread_mutex_unlock(&agent->lock);
    if (!error)
        error = memory_make(shown);
    if (error)
        return attach_failed(agent, error);
    error = tally__heap_feed_swap(shown->heap, shown->counters.at, shown->ring.at);
    if (error)
        return error;
    feed_level_set(tally__heap_feed(shown->heap), WIRE_LEVEL_ALL);
    *tally__heap_attachment(shown->heap) =
        (struct tally__attachment){.detach = agent_detach,
                                   .forked = heap_forked,
                                   .veto = tally_detach,
                                   .parked = heap_parked,
                                   .agent = shown};
    pthread_mutex_lock(&agent->lock);
    shown->next = agent->heaps;
    agent->heaps = shown;
    agent->attach_error = 0;
    pthread_mutex_unlock(&agent->lock);
    agent_wake();
    return 0;
}

int tally_attach(struct tally_heap *heap)
{
    int saved = errno;
    if (agent_disabled())
        return TALLY_EDISABLED;
    if (tally_get_access(heap) == TALLY_ACCESS_NONE)
        return TALLY_EVETO;
    fork_notice(heap);
    if (tally__heap_attachment(heap)->agent)
        return TALLY_ESTATE;
    if (collecting(heap))
        return TALLY_EBUSY;
    struct agent *agent = agent_get();
    struct agent_heap *shown = agent ? heap_make(heap) : NULL;
    int error = shown ? show(agent, shown) : agent ? attach_failed(agent, ENOMEM) : TALLY_ENOMEM;
    if (error && shown)
        agent_heap_release(shown);
    errno = saved;
    return error;
}

/* Returns whether tallyd knows of it on the present connection. Then it is told of a successor that the heap has gone
 * on in, too: what was counted and written last stands there. */
static bool heap_unlist(struct agent *agent, struct agent_heap *shown, uint64_t *connection)
{
    struct agent_heap **at = &agent->heaps;
    while (*at && *at != shown)
        at = &(*at)->next;
    if (*at)
        *at = shown->next;
    agent_requests_fail(agent, shown);
    bool known = agent->link == LINK_UP && shown->known;
    agent_growth_settle(shown);
    atomic_store(&shown->growth, GROWTH_IDLE); /* what is ready is not taken any more */
    if (known)
        agent_session_announce(agent, shown);
    *connection = agent->connection;
    return known;
}

/* Off the list first, so that nothing is posted any more; then the counters become final and private; then
 * tallyd hears of it. */
void agent_detach(struct tally_heap *heap, void *attached)
{
    fork_notice(heap); /* else a child would close its parent's counters */
    struct agent_heap *shown = tally__heap_attachment(heap)->agent;
    struct agent *agent = agent_get(); /* not NULL: a heap was attached */
    uint64_t connection;
    (void)attached; /* a parent's, where the fork was not noticed before */
    if (!shown)
        return;
    pthread_mutex_lock(&agent->lock);
    bool known = heap_unlist(agent, shown, &connection);
    pthread_mutex_unlock(&agent->lock);
    *tally__heap_attachment(heap) = (struct tally__attachment){0};
    struct wire_counters *final = shown->counters.at;
    if (tally__heap_feed_swap(heap, NULL, NULL)) /* no memory: the heap writes on where nobody is shown it */
        shown->counters.at = shown->ring.at = NULL;
    else
        atomic_store_explicit(&final->state, WIRE_STATE_CLOSED, memory_order_release);
    union agent_message gone = {.heap = {.head = wire_head_make(WIRE_HEAP_GONE, sizeof gone.heap),
                                         .heap_number = shown->number,
                                         .feed_generation = shown->counters.generation}};
    pthread_mutex_lock(&agent->lock);
    if (known && connection == agent->connection)
        agent_send(agent, &gone);
    pthread_mutex_unlock(&agent->lock);
    agent_wake();
    if (atomic_load(&shown->rung)) /* takes the doorbell out of the heap's mailbox */
        tally_safepoint(heap);
    if (atomic_load(&shown->rung))
        shown->orphan = true;
    else
        agent_heap_release(shown);
}

/* In the middle of a collection or of a command the feed cannot be swapped: the doorbell does it after that.
 */
void tally_detach(struct tally_heap *heap)
{
    int saved = errno;
    fork_notice(heap);
    struct agent_heap *shown = tally__heap_attachment(heap)->agent;
    if (!shown)
        return;
    if (shown->running || collecting(heap)) {
        shown->leaving = true;
        if (!shown->running && !atomic_exchange(&shown->rung, true))
            tally__heap_post(heap, &shown->doorbell);
    } else {
        agent_detach(heap, shown);
    }
    errno = saved;
}
