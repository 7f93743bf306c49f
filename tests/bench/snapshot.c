/* What a snapshot costs: the pause of a clone beside fork()'s, turn by turn on the same heap; what the child takes for an
 * object; and the worst slice, where it is taken in slices. The library's own code, without a tallyd: the stream goes to
 * /dev/null. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/capture.h"
#include "bench.h"

#define ROUNDS 7
#define OBJECT_BYTES 40u /* of a node, with its header */
#define MB 1e6

static int lifeline[2];
static struct agent_slot slot;

static struct agent_capture *capture_new(enum wire_snapshot_mode mode)
{
    int flags = MAP_ANONYMOUS | MAP_NORESERVE;
    struct agent_capture *capture = mmap(NULL, sizeof *capture, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, -1, 0);
    struct capture_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | flags, -1, 0);
    if (capture == MAP_FAILED || shared == MAP_FAILED)
        give_up("out of memory");
    capture->shared = shared;
    capture->command = (struct wire_command){.kind = WIRE_COMMAND_SNAPSHOT, .mode = mode, .force = 1};
    capture->pipe_write = open("/dev/null", O_WRONLY | O_CLOEXEC);
    capture->pidfd = capture->pipe_read = -1;
    capture->lifeline = lifeline[0];
    capture->parent = getpid();
    slot = (struct agent_slot){.capture = capture};
    return capture;
}

static void capture_free(struct agent_capture *capture)
{
    close(capture->pipe_write);
    munmap(capture->shared, sizeof *capture->shared);
    munmap(capture, sizeof *capture);
}

/* A list through all of it, each also referring to one at random. */
static struct array *heap_fill(uint32_t count)
{
    struct array *array = wanted(tally_new_array(heap, array_type, count));
    for (uint32_t i = 0; i < count; i++) {
        struct node *node = wanted(tally_new(heap, node_type));
        tally_store_steal(array, &array->slots[i], node);
        tally_store(node, &node->a, array->slots[i ? i - 1 : 0]);
        tally_store(node, &node->b, array->slots[random_next() % (i + 1)]);
    }
    return array;
}

/* A program at work: what was shared with the child before is its own again. */
static void pages_touch(const struct array *array)
{
    for (size_t i = 0; i < array->length; i += 4096 / OBJECT_BYTES)
        ((struct node *)array->slots[i])->x++;
}

static double fork_ns(void)
{
    uint64_t begun = now_ticks();
    pid_t child = fork();
    if (!child)
        _exit(0);
    double took = (double)(now_ticks() - begun);
    if (child < 0 || waitpid(child, NULL, 0) != child)
        give_up("no child");
    return took;
}

struct walk { /* of one round */
    double pause_ns, child_ns, bytes, objects;
};

static struct walk clone_walk(void)
{
    struct agent_capture *capture = capture_new(WIRE_SNAPSHOT_CLONE);
    uint64_t begun = now_ticks();
    int error = agent_capture_run(heap, &slot, false);
    if (error)
        give_up("a clone: %s", tally_strerror(error));
    struct walk walk = {.pause_ns = (double)slot.result.pause_ns};
    while (!agent_child_reap(capture))
        usleep(200);
    walk.child_ns = (double)(now_ticks() - begun);
    walk.bytes = (double)capture->shared->bytes;
    walk.objects = (double)capture->shared->objects;
    if (capture->shared->end != CHILD_WHOLE)
        give_up("the child did not write all");
    capture_free(capture);
    return walk;
}

/* The ring is emptied between slices, as the agent would. Returns the worst one; wall: that by the wall's clock. */
static double slices_worst(double *wall, double *count)
{
    struct agent_capture *capture = capture_new(WIRE_SNAPSHOT_SLICES);
    int state;
    do {
        uint64_t begun = now_ticks();
        state = agent_capture_run(heap, &slot, false);
        double took = (double)(now_ticks() - begun);
        *wall = took > *wall ? took : *wall;
        capture->taken = capture->written;
    } while (state == CAPTURE_MORE);
    if (state)
        give_up("slices: %s", tally_strerror(state));
    double worst = (double)capture->longest_ns;
    *count = capture->slices;
    capture_free(capture);
    return worst;
}

static int by_value(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static void median_put(const char *figure, const char *name, double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    put(figure, name, values[ROUNDS / 2] / 1e6, "ms");
}

void workload_snapshot(double megabytes)
{
    double pauses[ROUNDS], forks[ROUNDS], wall = 0, count = 0;
    char figure[96];
    struct walk walk = {.objects = 1};
    if (pipe(lifeline))
        give_up("no pipe");
    struct array *array = heap_fill((uint32_t)(megabytes * MB / OBJECT_BYTES));
    for (int i = 0; i < ROUNDS; i++) {
        pages_touch(array);
        forks[i] = fork_ns();
        pages_touch(array);
        walk = clone_walk();
        pauses[i] = walk.pause_ns;
    }
    double worst = slices_worst(&wall, &count);
    snprintf(figure, sizeof figure, "SNAPSHOT %.6g MB pause", megabytes);
    median_put(figure, bench_name, pauses);
    median_put(figure, "fork", forks);
    snprintf(figure, sizeof figure, "SNAPSHOT %.6g MB child", megabytes);
    put(figure, bench_name, walk.child_ns / walk.objects, "ns/object");
    snprintf(figure, sizeof figure, "SNAPSHOT %.6g MB stream", megabytes);
    put(figure, bench_name, walk.bytes / walk.objects, "B/object");
    snprintf(figure, sizeof figure, "SNAPSHOT %.6g MB worst slice", megabytes);
    put(figure, bench_name, worst / 1e6, "ms CPU");
    put(figure, "by the wall", wall / 1e6, "ms");
    snprintf(figure, sizeof figure, "SNAPSHOT %.6g MB slices", megabytes);
    put(figure, bench_name, count, "");
    tally_decref(array);
}
