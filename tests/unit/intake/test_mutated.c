/* Feeds whose contents were changed at random, read one after the other beside an honest one. The intake's own
 * functions, without its thread: 100,000 of them take seconds. TALLY_TEST_STREAMS asks for more. */
#include "forged_host.h"

#include "intake/private.h"

#define STREAMS 100000u
#define EVENTS 1500u /* of which the ring holds all */
#define HONEST_EVERY 64u

struct outcome {
    unsigned dropped, inconsistent, incomplete, unnoticed, harmless;
};

struct house {
    struct intake intake;
    struct stats *stats;
    struct user users[2];
    struct client honest, liar;
    struct forged_heap honest_heap, liar_heap;
    char *counters, *ring; /* the liar's, before the lies */
    uint64_t random;
    uint64_t honest_written;
    const char *reason; /* of the last refusal */
};

static uint64_t random_next(struct house *house)
{
    uint64_t x = house->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return house->random = x;
}

static void hand_over(struct client *client, enum wire_kind kind, uint64_t bytes, int fd,
                      const char **reason)
{
    struct wire_heap message = {.head = wire_head_make(kind, sizeof message), .heap_number = 1,
                                .feed_generation = 1, .bytes = bytes};
    if (!*reason)
        *reason = intake_feed_open(client, &message, fd);
}

/* As intake_client_sweep() has it. */
static const char *client_read(struct house *house, struct client *client)
{
    const char *reason = NULL;
    uint64_t again_ns = POLL_ACTIVE_NS;
    if (client->heaps)
        intake_heap_sample(client, client->heaps, UINT64_MAX, false, &again_ns, &reason);
    house->intake.sink.swept(house->stats, true);
    return reason;
}

static void client_attach(struct house *house, struct client *client, unsigned number)
{
    static struct wire_hello_view hello = {.name = "mutated", .library = "0"};
    struct intake_process process = {.pid = getpid(), .hello = &hello};
    memset(client, 0, sizeof *client);
    snprintf(process.id, sizeof process.id, "%032x", number);
    memcpy(client->id, process.id, sizeof client->id);
    client->intake = &house->intake;
    client->user = &house->users[number != 1]; /* the honest one is number 1 */
    client->fd = client->pidfd = -1;
    client->handle = house->intake.sink.attached(house->stats, &process);
    assert_non_null(client->handle);
}

static const char *client_open(struct client *client, const struct forged_heap *heap)
{
    const char *reason = NULL;
    hand_over(client, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, heap->counters_fd, &reason);
    hand_over(client, WIRE_HEAP_RING, WIRE_RING_BYTES, heap->ring_fd, &reason);
    return reason;
}

static void client_leave(struct house *house, struct client *client)
{
    while (client->heaps)
        intake_feed_free(client, client->heaps);
    assert_int_equal(client->user->mapped_bytes, 0);
    house->intake.sink.gone(house->stats, client->handle, "closed");
    house->intake.sink.released(house->stats, client->handle);
}

static struct house *house_new(void)
{
    struct house *house = calloc(1, sizeof *house);
    assert_non_null(house);
    house->random = 88172645463325252u;
    house->stats = stats_new();
    assert_non_null(house->stats);
    stats_sink_init(house->stats, &house->intake.sink);
    heap_make(&house->honest_heap, 1, ALL_SEALS);
    heap_make(&house->liar_heap, 1, ALL_SEALS);
    for (unsigned i = 0; i < EVENTS; i++)
        heap_write(&house->liar_heap, i % 3 == 2 ? WIRE_EVENT_FREE_REFCOUNT : WIRE_EVENT_ALLOC, 1);
    feed_collection_stop(&house->liar_heap.pen, &(struct feed_record){.collected = 3}, 5);
    house->counters = copy_of(house->liar_heap.counters, WIRE_COUNTERS_BYTES);
    house->ring = copy_of(house->liar_heap.ring, WIRE_RING_BYTES);
    client_attach(house, &house->honest, 1);
    assert_null(client_open(&house->honest, &house->honest_heap));
    return house;
}

static void house_free(struct house *house)
{
    client_leave(house, &house->honest);
    stats_free(house->stats);
    heap_free(&house->honest_heap);
    heap_free(&house->liar_heap);
    free(house->counters);
    free(house->ring);
    free(house);
}

static void word_change(struct house *house, uint64_t *word)
{
    uint64_t how = random_next(house);
    if (how % 4)
        *word ^= (uint64_t)1 << (how >> 8 & 63);
    else
        *word = how % 8 ? random_next(house) : *word + (how >> 32 & 0xfff);
}

/* Places that mean something oftener than their size would have it. */
static void lie(struct house *house)
{
    char *counters = house->liar_heap.counters, *ring = house->liar_heap.ring;
    uint64_t where = random_next(house);
    uint64_t *words = (uint64_t *)(void *)(ring + WIRE_RING_HEADER_BYTES);
    switch (where % 8) {
    case 0:
        word_change(house, (uint64_t *)(void *)(counters + (where >> 8) % (WIRE_COUNTERS_BYTES / 8) * 8));
        break;
    case 1:
        word_change(house, (uint64_t *)(void *)(counters + (where >> 8) % 48 * 8));
        break;
    case 2:
        word_change(house, (uint64_t *)(void *)(counters + WIRE_HEADER_BYTES + (where >> 8) % 16 * 8));
        break;
    case 3:
        word_change(house, (uint64_t *)(void *)(ring + (where >> 8) % 10 * 8));
        break;
    case 4:
        word_change(house, &words[(where >> 8) % 4 * WIRE_BLOCK_SIZE + (where >> 16) % WIRE_BLOCK_WORDS]);
        break;
    default:
        word_change(house, &words[(where >> 8) % (EVENTS + 16)]);
    }
}

static const struct stats_process_view *view_find(const struct stats_view *view, const char *id)
{
    bool ambiguous;
    const struct stats_process_view *process = stats_find(view, id, &ambiguous);
    assert_non_null(process);
    return process;
}

static void honest_check(struct house *house)
{
    heap_write(&house->honest_heap, WIRE_EVENT_ALLOC, 1);
    house->honest_written++;
    assert_null(client_read(house, &house->honest));
    const struct stats_view *view = stats_view_get_new(house->stats);
    const struct stats_process_view *process = view_find(view, house->honest.id);
    assert_true(process->complete && !process->heaps[0].inconsistent);
    assert_int_equal(process->figures.allocations, house->honest_written);
    assert_int_equal(process->figures.events_seen, house->honest_written);
    assert_int_equal(process->figures.live_objects, house->honest_written);
    stats_view_unref(view);
}

/* What the view makes of the liar. Unnoticed is what it calls complete though its events and counters, both of
 * which it shows, differ. */
static void judge(struct house *house, struct outcome *outcome)
{
    const struct stats_view *view = stats_view_get_new(house->stats);
    const struct stats_process_view *process = view_find(view, house->liar.id);
    bool differ = false;
    for (size_t i = 0; i < process->type_count; i++) {
        const struct stats_type_view *type = &process->types[i];
        differ |= type->event_allocations != type->allocations ||
                  type->event_frees_refcount != type->frees_refcount ||
                  type->event_frees_cycle != type->frees_cycle;
    }
    if (process->heap_count && process->heaps[0].inconsistent)
        outcome->inconsistent++;
    else if (!process->complete)
        outcome->incomplete++;
    else if (differ)
        outcome->unnoticed++;
    else
        outcome->harmless++;
    stats_view_unref(view);
}

static void liar_run(struct house *house, unsigned number, struct outcome *outcome)
{
    memcpy(house->liar_heap.counters, house->counters, WIRE_COUNTERS_BYTES);
    memcpy(house->liar_heap.ring, house->ring, WIRE_RING_BYTES);
    uint64_t lies = random_next(house);
    for (uint64_t i = 0; i <= lies % 3; i++)
        lie(house);
    client_attach(house, &house->liar, number);
    house->honest.next = &house->liar;
    house->intake.clients = &house->honest;
    const char *reason = client_open(&house->liar, &house->liar_heap);
    for (unsigned i = 0; i < 2 && !reason; i++) { /* the second time some lies have moved on */
        reason = client_read(house, &house->liar);
        if (!reason && !i)
            lie(house);
    }
    if (reason)
        outcome->dropped++;
    else
        judge(house, outcome);
    house->honest.next = NULL;
    client_leave(house, &house->liar);
}

static void test_mutated_streams_cost_their_own_process(void **state)
{
    (void)state;
    const char *more = getenv("TALLY_TEST_STREAMS");
    unsigned streams = more ? (unsigned)atoi(more) : STREAMS;
    struct house *house = house_new();
    struct outcome outcome = {.dropped = 0};
    for (unsigned i = 0; i < streams; i++) {
        liar_run(house, i + 2, &outcome);
        if (i % HONEST_EVERY == 0)
            honest_check(house);
    }
    honest_check(house);
    print_message("%u dropped, %u inconsistent, %u incomplete, %u unnoticed, %u harmless\n", outcome.dropped,
                  outcome.inconsistent, outcome.incomplete, outcome.unnoticed, outcome.harmless);
    assert_true(outcome.dropped > 0 && outcome.inconsistent > 0 && outcome.incomplete > 0);
    house_free(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutated_streams_cost_their_own_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
