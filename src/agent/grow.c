/* Feeds grow: rows as types are registered, the ring when a living tallyd asks for it. The helper thread makes the
 * successor and touches it, the owner goes on in it at its next safepoint, tallyd is told of it after that. */
#include "agent/agent.h"
#include "base/clock.h"

#define AGAIN_NS 1000000000u /* after a failure */

static uint64_t ring_words(const struct agent_memory *ring)
{
    return (ring->bytes - WIRE_RING_HEADER_BYTES) / 8;
}

static bool ring_lacks(const struct agent_heap *shown)
{
    return shown->ring_wanted > ring_words(&shown->ring);
}

/* Of all heaps: what is mapped, what waits for its owner, and the rings that are promised. */
static uint64_t feed_bytes(const struct agent *agent)
{
    uint64_t bytes = 0;
    for (const struct agent_heap *shown = agent->heaps; shown; shown = shown->next) {
        bytes += shown->counters.bytes + shown->ring.bytes + shown->next_counters.bytes + shown->next_ring.bytes;
        bytes += ring_lacks(shown) && !shown->next_ring.at ? feed_ring_bytes(shown->ring_wanted) : 0;
    }
    return bytes;
}

bool agent_growth_ask(struct agent *agent, struct agent_heap *shown, uint64_t words)
{
    bool power = words >= WIRE_RING_WORDS && words <= WIRE_RING_WORDS_MAX && (words & (words - 1)) == 0;
    uint64_t before = shown->ring_wanted;
    if (!power)
        return false;
    shown->ring_wanted = words;
    if (feed_bytes(agent) <= AGENT_FEED_BYTES || !ring_lacks(shown))
        return true;
    shown->ring_wanted = before;
    return false;
}

/* What a heap lacks. */
struct want {
    struct feed_shape shape;
    bool counters, ring;
    uint64_t words;
};

static bool want_of(const struct agent_heap *shown, struct want *want)
{
    want->shape = tally__feed_shape(shown->counters.at);
    want->counters = tally__feed_small(shown->counters.at, &want->shape);
    want->words = shown->ring_wanted;
    want->ring = ring_lacks(shown);
    return want->counters || want->ring;
}

static struct agent_heap *heap_that_lacks(struct agent *agent, uint64_t now_ns, struct want *want)
{
    for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
        if (atomic_load_explicit(&shown->growth, memory_order_acquire) == GROWTH_IDLE && now_ns >= shown->grow_ns &&
            want_of(shown, want))
            return shown;
    return NULL;
}

/* The heap may have been detached while the lock was free, and another stand at its address. */
static struct agent_heap *heap_again(struct agent *agent, const struct agent_heap *heap, uint32_t attachment)
{
    struct agent_heap *shown = agent->heaps;
    while (shown && (shown != heap || shown->attachment != attachment))
        shown = shown->next;
    return shown;
}

static int successors_make(const struct want *want, uint32_t number, uint32_t generation,
                           struct agent_memory *counters, struct agent_memory *ring)
{
    int error = want->counters ? agent_counters_make(counters, &want->shape, number, generation) : 0;
    return !error && want->ring ? agent_ring_make(ring, want->words, number, generation) : error;
}

bool agent_growth_start(struct agent *agent)
{
    struct want want;
    struct agent_memory counters = {.fd = -1}, ring = {.fd = -1};
    uint64_t now_ns = clock_mono_ns();
    struct agent_heap *shown = heap_that_lacks(agent, now_ns, &want);
    if (!shown)
        return false;
    shown->grow_ns = now_ns + AGAIN_NS;
    if (feed_bytes(agent) + (want.counters ? feed_counters_bytes(&want.shape) : 0) > AGENT_FEED_BYTES) {
        shown->ring_wanted = 0; /* others have attached since it was promised; for rows alone there may be room */
        return true;
    }
    uint32_t number = shown->number, attachment = shown->attachment, generation = ++agent->generation;
    pthread_mutex_unlock(&agent->lock);
    int error = successors_make(&want, number, generation, &counters, &ring);
    pthread_mutex_lock(&agent->lock);
    shown = error ? NULL : heap_again(agent, shown, attachment);
    if (!shown) {
        agent_memory_drop(&counters);
        agent_memory_drop(&ring);
        return true;
    }
    shown->grow_ns = 0;
    shown->next_counters = counters;
    shown->next_ring = ring;
    atomic_store_explicit(&shown->growth, GROWTH_READY, memory_order_release);
    agent_ring(shown);
    return true;
}

uint64_t agent_growth_next(struct agent *agent)
{
    struct want want;
    struct agent_heap *shown = heap_that_lacks(agent, UINT64_MAX, &want);
    return shown ? shown->grow_ns : UINT64_MAX;
}

void agent_growth_take(struct tally_heap *heap, struct agent_heap *shown)
{
    if (atomic_load_explicit(&shown->growth, memory_order_acquire) != GROWTH_READY)
        return;
    tally__heap_feed_succeed(heap, shown->next_counters.at, shown->next_ring.at);
    atomic_store_explicit(&shown->growth, GROWTH_TAKEN, memory_order_release);
}

/* A child that is forked in between knows too little and leaks the old mapping, but never takes away another one. */
static void succeed(struct agent_memory *memory, struct agent_memory *next, bool *sent)
{
    struct agent_memory old = *memory;
    if (!next->at)
        return;
    *memory = *next;
    *next = (struct agent_memory){.fd = -1};
    *sent = false;
    agent_memory_drop(&old);
}

/* tallyd reads what it has mapped of the predecessor to its end; where it has mapped nothing, that is lost, and the
 * successor's first sequence says how much. */
void agent_growth_settle(struct agent_heap *shown)
{
    if (atomic_load_explicit(&shown->growth, memory_order_acquire) != GROWTH_TAKEN)
        return;
    succeed(&shown->counters, &shown->next_counters, &shown->counters_sent);
    succeed(&shown->ring, &shown->next_ring, &shown->ring_sent);
    atomic_store_explicit(&shown->growth, GROWTH_IDLE, memory_order_relaxed);
}
