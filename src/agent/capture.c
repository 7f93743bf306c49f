/* The one snapshot of a process, from the agent's side and from its holder's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/capture.h"
#include "base/clock.h"

#define MIB ((uint64_t)1 << 20)
#define MEASURED_MIB 16u /* less private memory tells little of what more would take */

static struct agent_capture *made; /* in ordinary memory: a forked child finds its parent's, and gives it back */

void agent_capture_inherited(void)
{
    struct agent_capture *parents = made;
    made = NULL;
    if (!parents)
        return;
    munmap(parents->shared, sizeof *parents->shared);
    munmap(parents, sizeof *parents);
}

static void end_close(int *fd, enum agent_fd note)
{
    if (*fd < 0)
        return;
    agent_fd_note(note, -1);
    close(*fd);
    *fd = -1;
}

static void capture_free(struct agent *agent)
{
    struct agent_capture *capture = agent->capture;
    end_close(&capture->pipe_read, AGENT_FD_PIPE_READ);
    end_close(&capture->pipe_write, AGENT_FD_PIPE_WRITE);
    made = agent->capture = NULL;
    munmap(capture->shared, sizeof *capture->shared);
    munmap(capture, sizeof *capture);
}

/* NULL: out of memory. What is not used is not there: neither buffers of a clone in slices, nor the ring of one that is
 * cloned. */
static struct agent_capture *capture_map(void)
{
    int private = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    struct agent_capture *capture = mmap(NULL, sizeof *capture, PROT_READ | PROT_WRITE, private, -1, 0);
    if (capture == MAP_FAILED)
        return NULL;
    capture->shared =
        mmap(NULL, sizeof *capture->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (capture->shared != MAP_FAILED)
        return capture;
    munmap(capture, sizeof *capture);
    return NULL;
}

static uint64_t clone_predict(const struct agent *agent, uint64_t resident_bytes)
{
    uint64_t a_mib = agent->clone_ns_a_mib ? agent->clone_ns_a_mib : SNAPSHOT_CLONE_NS_A_MIB;
    return SNAPSHOT_CLONE_BASE_NS + resident_bytes / MIB * a_mib;
}

/* The pipe is made as large as its user may have it, so that neither end waits for each 64 KiB. */
static int pipe_make(struct agent_capture *capture)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return errno;
    fcntl(ends[1], F_SETPIPE_SZ, (int)AGENT_CAPTURE_RING);
    capture->pipe_read = ends[0];
    capture->pipe_write = ends[1];
    agent_fd_note(AGENT_FD_PIPE_READ, ends[0]);
    agent_fd_note(AGENT_FD_PIPE_WRITE, ends[1]);
    return 0;
}

int agent_capture_make(struct agent *agent, struct agent_slot *slot)
{
    struct agent_capture *capture = capture_map();
    slot->result.reason = WIRE_SNAPSHOT_MEMORY;
    if (!capture)
        return TALLY_ENOMEM;
    made = agent->capture = capture;
    capture->pidfd = capture->pipe_read = capture->pipe_write = -1;
    if (pipe_make(capture)) {
        capture_free(agent);
        return TALLY_ESYS;
    }
    slot->result.reason = WIRE_SNAPSHOT_FINE;
    slot->capture = capture;
    capture->slot = slot;
    capture->connection = slot->connection;
    capture->heap_number = slot->command.heap_number;
    capture->command = slot->command;
    capture->limit_ns = UINT64_MAX;
    capture->resident_bytes = agent_process_resident();
    capture->predicted_ns = clone_predict(agent, capture->resident_bytes);
    capture->filtered = agent_process_filtered();
    capture->traced = agent_process_traced();
    capture->lifeline = agent->wake_read;
    capture->parent = getpid();
    return 0;
}

static enum wire_snapshot_mode mode_of(const struct agent_capture *capture)
{
    return (enum wire_snapshot_mode)atomic_load_explicit(&capture->mode, memory_order_acquire);
}

static void mode_set(struct agent_capture *capture, enum wire_snapshot_mode mode)
{
    atomic_store_explicit(&capture->mode, mode, memory_order_release);
}

/* ---- the holder's side */

static int ring_put(void *arg, const void *bytes, size_t count)
{
    struct agent_capture *capture = arg;
    uint64_t at = atomic_load_explicit(&capture->written, memory_order_relaxed);
    size_t first = AGENT_CAPTURE_RING - at % AGENT_CAPTURE_RING;
    first = first < count ? first : count;
    memcpy(capture->ring + at % AGENT_CAPTURE_RING, bytes, first);
    memcpy(capture->ring, (const char *)bytes + first, count - first);
    atomic_store_explicit(&capture->written, at + count, memory_order_release);
    return 0; /* the room was asked for */
}

static size_t ring_room(void *arg)
{
    struct agent_capture *capture = arg;
    uint64_t waiting = atomic_load_explicit(&capture->written, memory_order_relaxed) -
                       atomic_load_explicit(&capture->taken, memory_order_acquire);
    return AGENT_CAPTURE_RING - (size_t)waiting;
}

static bool goes_on(void *arg)
{
    struct agent_capture *capture = arg;
    bool wanted = capture->guest && tally__heap_wanted(capture->snapshot.heap);
    return !wanted && clock_mono_ns() < capture->until_ns;
}

static void result_fill(const struct agent_capture *capture, struct wire_ack *result)
{
    result->mode = mode_of(capture);
    result->reason = capture->reason;
    result->resident_bytes = capture->resident_bytes;
    result->predicted_pause_ns = capture->predicted_ns;
    result->pause_ns = capture->longest_ns;
    result->slices = capture->slices;
}

static uint64_t slice_budget(const struct tally_heap *heap)
{
    uint64_t most_ns = tally_get_max_pause(heap) * 1000;
    return most_ns ? most_ns : SNAPSHOT_SLICE_NS;
}

/* Why the process is not cloned. Force is stronger than what is only dear or dangerous, and not than what would be
 * wrong. */
static enum wire_snapshot_reason clone_objection(const struct tally_heap *heap, const struct agent_capture *capture)
{
    uint64_t most_ns = tally_get_max_pause(heap) * 1000;
    if (!tally__heap_is_private(heap))
        return WIRE_SNAPSHOT_HOOKS;
    if (agent_thread_unshared())
        return WIRE_SNAPSHOT_NAMESPACE;
    if (capture->command.force)
        return WIRE_SNAPSHOT_FINE;
    if (capture->filtered)
        return WIRE_SNAPSHOT_FILTER;
    if (capture->traced)
        return WIRE_SNAPSHOT_TRACED;
    return most_ns && capture->predicted_ns > most_ns ? WIRE_SNAPSHOT_PAUSE : WIRE_SNAPSHOT_FINE;
}

static void snapshot_prepare(struct tally_heap *heap, struct agent_capture *capture)
{
    struct tally__snapshot *snapshot = &capture->snapshot;
    snapshot->heap = heap;
    snapshot->arg = capture;
    map_init_fixed(&snapshot->declared, capture->declared, AGENT_CAPTURE_DECLARED);
}

/* In slices from here on, for the reason that there is. */
static void slices_begin(struct tally_heap *heap, struct agent_capture *capture)
{
    struct tally__snapshot *snapshot = &capture->snapshot;
    capture->predicted_ns = slice_budget(heap);
    snapshot->instant = false;
    snapshot->room = ring_room;
    snapshot->room_most = AGENT_CAPTURE_RING;
    snapshot->go_on = goes_on;
    tally__snapshot_begin(snapshot, capture->buffer, sizeof capture->buffer, ring_put);
    mode_set(capture, WIRE_SNAPSHOT_SLICES);
}

static int clone_begin(struct tally_heap *heap, struct agent_capture *capture)
{
    snapshot_prepare(heap, capture);
    if (!agent_child_clone(capture)) {
        mode_set(capture, WIRE_SNAPSHOT_CLONE);
        return 0;
    }
    capture->reason = WIRE_SNAPSHOT_SYSTEM;
    if (capture->command.mode == WIRE_SNAPSHOT_CLONE)
        return TALLY_ESYS;
    slices_begin(heap, capture);
    return 0;
}

/* Decides how, and begins: 0, or why not at all. */
static int capture_begin(struct tally_heap *heap, struct agent_capture *capture, bool guest)
{
    enum wire_snapshot_mode asked = capture->command.mode;
    capture->reason = asked == WIRE_SNAPSHOT_SLICES ? WIRE_SNAPSHOT_FINE : clone_objection(heap, capture);
    capture->started_ns = clock_mono_ns();
    capture->limit_ns = capture->started_ns + AGENT_CAPTURE_LIMIT_NS;
    if (capture->reason && asked == WIRE_SNAPSHOT_CLONE)
        return TALLY_EUNSUPPORTED;
    if (asked != WIRE_SNAPSHOT_SLICES && !capture->reason)
        return clone_begin(heap, capture);
    if (guest && tally__types_traverse())
        return TALLY_EBUSY;
    snapshot_prepare(heap, capture);
    slices_begin(heap, capture);
    return 0;
}

static int slice(struct tally_heap *heap, struct agent_capture *capture, bool guest)
{
    struct tally__snapshot *snapshot = &capture->snapshot;
    if (guest && tally__types_traverse())
        return TALLY_EBUSY;
    capture->guest = guest;
    uint64_t cpu_ns = clock_thread_ns();
    capture->last_began_ns = clock_mono_ns();
    capture->until_ns = capture->last_began_ns + (guest ? AGENT_LIST_PARKED_NS : slice_budget(heap));
    enum tally__snapshot_step step = tally__snapshot_step(snapshot);
    bool ends = step == SNAPSHOT_STEP_DONE && ring_room(capture) >= snapshot->writer.used + SNAPSHOT_ITEM_MAX;
    if (ends)
        snapshot_write_end(&snapshot->writer, SNAPSHOT_WHOLE, capture->longest_ns);
    capture->objects = snapshot->writer.objects;
    capture->slices++;
    capture->last_took_ns = guest ? 0 : clock_thread_ns() - cpu_ns; /* a slice's pause, as of collections */
    if (capture->last_took_ns > capture->longest_ns)
        capture->longest_ns = capture->last_took_ns;
    if (step != SNAPSHOT_STEP_FAILED)
        return ends ? 0 : CAPTURE_MORE;
    capture->reason = WIRE_SNAPSHOT_OBJECT;
    return TALLY_ELIMIT;
}

int agent_capture_run(struct tally_heap *heap, struct agent_slot *slot, bool guest)
{
    struct agent_capture *capture = slot->capture;
    int error = mode_of(capture) ? 0 : capture_begin(heap, capture, guest);
    if (!error && mode_of(capture) == WIRE_SNAPSHOT_SLICES)
        error = slice(heap, capture, guest);
    result_fill(capture, &slot->result);
    return error;
}

/* ---- the agent's side */

static void give_up(struct agent_capture *capture, enum wire_snapshot_reason why)
{
    if (capture->failed || capture->cancelled)
        return;
    capture->failed = true;
    capture->why = why;
}


void agent_capture_drop(struct agent *agent)
{
    struct agent_capture *capture = agent->capture;
    capture->slot->capture = NULL;
    capture->slot = NULL;
    capture->connection = 0; /* nobody is told */
    give_up(capture, WIRE_SNAPSHOT_STALLED);
    agent_child_kill(capture);
    if (capture->pidfd < 0)
        capture_free(agent);
}

bool agent_capture_over(const struct agent_slot *slot)
{
    return slot->capture && (slot->capture->cancelled || slot->capture->failed);
}

struct wire_ack agent_capture_answer(const struct agent_slot *slot)
{
    struct wire_ack answer = slot->result;
    bool cancelled = slot->capture->cancelled;
    answer.state = cancelled ? WIRE_ACK_CANCELLED : WIRE_ACK_FAILED;
    answer.error = cancelled ? 0 : TALLY_ESYS;
    answer.reason = cancelled ? WIRE_SNAPSHOT_FINE : slot->capture->why;
    return answer;
}

/* What the next one will take is foreseen by what this one took. */
static void clone_learn(struct agent *agent, const struct agent_capture *capture)
{
    uint64_t mib = capture->resident_bytes / MIB, ns = capture->clone_cpu_ns;
    if (mode_of(capture) != WIRE_SNAPSHOT_CLONE || mib < MEASURED_MIB || ns <= SNAPSHOT_CLONE_BASE_NS)
        return;
    uint64_t a_mib = (ns - SNAPSHOT_CLONE_BASE_NS) / mib + 1;
    agent->clone_ns_a_mib = agent->clone_ns_a_mib ? (agent->clone_ns_a_mib + a_mib) / 2 : a_mib;
}

void agent_capture_release(struct agent *agent)
{
    struct agent_capture *capture = agent->capture;
    clone_learn(agent, capture);
    capture->result = capture->slot->result;
    capture->slot->capture = NULL;
    capture->slot = NULL;
}

bool agent_capture_cancel(struct agent *agent, const struct wire_command *command)
{
    struct agent_capture *capture = agent->capture;
    if (!capture || capture->command.operation != command->operation || capture->heap_number != command->heap_number)
        return false;
    capture->cancelled |= !capture->failed;
    return true;
}

/* Behind the RUNNING of its command. */
static void announce(struct agent *agent, struct agent_capture *capture)
{
    bool told = !capture->slot || capture->slot->running_told;
    if (capture->pipe_read < 0 || !told || capture->failed || capture->cancelled)
        return;
    const struct wire_snapshot message = {.head = wire_head_make(WIRE_SNAPSHOT, sizeof message),
                                          .operation = capture->command.operation,
                                          .heap_number = capture->heap_number,
                                          .mode = mode_of(capture),
                                          .started_ns = capture->started_ns};
    if (agent_session_send(agent, &message, sizeof message, capture->pipe_read))
        end_close(&capture->pipe_read, AGENT_FD_PIPE_READ);
}

/* From the ring into the pipe, as much as that takes. */
static void ring_empty(struct agent_capture *capture)
{
    uint64_t taken = atomic_load_explicit(&capture->taken, memory_order_relaxed);
    uint64_t written = atomic_load_explicit(&capture->written, memory_order_acquire);
    capture->blocked = false;
    while (taken < written && !capture->blocked) {
        size_t at = taken % AGENT_CAPTURE_RING, count = AGENT_CAPTURE_RING - at;
        count = written - taken < count ? (size_t)(written - taken) : count;
        ssize_t wrote = write(capture->pipe_write, capture->ring + at, count);
        if (wrote > 0) {
            taken += (uint64_t)wrote;
            atomic_store_explicit(&capture->taken, taken, memory_order_release);
        } else if (wrote < 0 && errno == EPIPE) {
            give_up(capture, WIRE_SNAPSHOT_STALLED);
            return;
        } else if (wrote == 0 || errno != EINTR) {
            capture->blocked = true;
        }
    }
}

static uint64_t moved(const struct agent_capture *capture)
{
    const struct capture_shared *shared = capture->shared;
    return atomic_load_explicit(&capture->taken, memory_order_relaxed) +
           atomic_load_explicit(&shared->bytes, memory_order_relaxed) +
           atomic_load_explicit(&shared->objects, memory_order_relaxed);
}

/* Gives up what does not move. Returns when to look again. */
static uint64_t stall_watch(struct agent_capture *capture, uint64_t now_ns)
{
    bool cloned = capture->pidfd >= 0, waits = cloned || capture->blocked || (capture->pipe_read >= 0 && !capture->slot);
    uint64_t patience_ns = cloned ? AGENT_CAPTURE_STUCK_NS : AGENT_CAPTURE_STALL_NS;
    if (moved(capture) != capture->moved || !capture->watched) {
        capture->moved = moved(capture);
        capture->moved_ns = now_ns;
    }
    capture->watched = waits;
    if (waits && now_ns - capture->moved_ns >= patience_ns)
        give_up(capture, cloned ? WIRE_SNAPSHOT_DIED : WIRE_SNAPSHOT_STALLED);
    else if (now_ns >= capture->limit_ns)
        give_up(capture, WIRE_SNAPSHOT_LATE);
    uint64_t next_ns = waits ? capture->moved_ns + patience_ns : UINT64_MAX;
    return next_ns < capture->limit_ns ? next_ns : capture->limit_ns;
}

static enum wire_snapshot_reason child_verdict(const struct agent_capture *capture)
{
    static const enum wire_snapshot_reason reasons[] = {[CHILD_RUNS] = WIRE_SNAPSHOT_DIED,
                                                        [CHILD_WHOLE] = WIRE_SNAPSHOT_FINE,
                                                        [CHILD_UNREAD] = WIRE_SNAPSHOT_STALLED,
                                                        [CHILD_LATE] = WIRE_SNAPSHOT_LATE,
                                                        [CHILD_ORPHAN] = WIRE_SNAPSHOT_DIED};
    uint32_t end = atomic_load_explicit(&capture->shared->end, memory_order_acquire);
    return end <= CHILD_ORPHAN ? reasons[end] : WIRE_SNAPSHOT_DIED;
}

/* Whether nothing more comes of it: the child has ended, or the ring is empty for good. */
static bool is_over(struct agent_capture *capture)
{
    if (!agent_child_reap(capture))
        return false;
    if (mode_of(capture) == WIRE_SNAPSHOT_CLONE && child_verdict(capture))
        give_up(capture, child_verdict(capture));
    if (capture->failed || capture->cancelled)
        return true;
    bool whole = mode_of(capture) == WIRE_SNAPSHOT_CLONE ||
                 atomic_load(&capture->taken) == atomic_load_explicit(&capture->written, memory_order_acquire);
    return whole && capture->pipe_read < 0;
}

static void result_end(struct agent_capture *capture)
{
    struct wire_ack *result = &capture->result;
    bool cloned = mode_of(capture) == WIRE_SNAPSHOT_CLONE;
    result->total = cloned ? atomic_load(&capture->shared->objects) : capture->objects;
    result->stream_bytes = cloned ? atomic_load(&capture->shared->bytes) : atomic_load(&capture->taken);
    result->state = capture->cancelled ? WIRE_ACK_CANCELLED : capture->failed ? WIRE_ACK_FAILED : WIRE_ACK_SUCCEEDED;
    if (capture->failed) {
        result->error = TALLY_ESYS;
        result->reason = capture->why;
    }
}

uint64_t agent_capture_turn(struct agent *agent, uint64_t now_ns)
{
    struct agent_capture *capture = agent->capture;
    if (!capture)
        return UINT64_MAX;
    bool lost = agent->link != LINK_UP || capture->connection != agent->connection, failed = capture->failed;
    if (lost)
        give_up(capture, WIRE_SNAPSHOT_STALLED);
    if (!mode_of(capture) && capture->slot)
        return UINT64_MAX; /* the holder wakes us when it has begun */
    announce(agent, capture);
    if (!capture->failed && mode_of(capture) == WIRE_SNAPSHOT_SLICES)
        ring_empty(capture);
    uint64_t next_ns = stall_watch(capture, now_ns);
    if (capture->failed || capture->cancelled)
        agent_child_kill(capture);
    if (capture->slot && capture->failed && !failed)
        return now_ns; /* its slot ends in the next turn, for which nothing else may wake us */
    if (capture->slot || !is_over(capture))
        return next_ns;
    end_close(&capture->pipe_write, AGENT_FD_PIPE_WRITE);
    if (!lost && !agent_session_room(agent, 1))
        return next_ns; /* the socket wakes us */
    result_end(capture);
    if (!lost)
        agent_send(agent, &(union agent_message){.ack = capture->result});
    capture_free(agent);
    return now_ns;
}

uint64_t agent_capture_let(const struct agent *agent, const struct agent_slot *slot, uint64_t now_ns)
{
    const struct agent_capture *capture = agent->capture;
    if (capture->slot != slot || capture->failed || capture->cancelled)
        return UINT64_MAX;
    uint64_t rest_ns = capture->last_took_ns * AGENT_REST;
    uint64_t next_ns = capture->last_began_ns + capture->last_took_ns + rest_ns;
    bool full = mode_of(capture) && ring_room((void *)(uintptr_t)capture) < AGENT_CAPTURE_RING / 2;
    return full ? UINT64_MAX : next_ns > now_ns ? next_ns : 0;
}

int agent_capture_poll(const struct agent *agent, short *events)
{
    const struct agent_capture *capture = agent->capture;
    *events = POLLIN;
    if (!capture || !mode_of(capture))
        return -1;
    if (capture->pidfd >= 0 && !capture->slot)
        return capture->pidfd;
    *events = POLLOUT;
    return capture->blocked ? capture->pipe_write : -1;
}

void agent_capture_exit(struct agent *agent)
{
    if (agent->capture && mode_of(agent->capture))
        agent_child_kill(agent->capture);
}
