/* The helper thread, from the first attach to the end of the process, and the memory that a fork takes away
 * from the child. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"

#define STACK_BYTES ((size_t)256 << 10) /* address space; a few pages are touched */
#define STACK_BYTES_MAX ((size_t)16 << 20)
#define EXIT_TRIES 8 /* of 1 ms: exit() is not held up for longer */

static _Atomic(struct agent *) root;

/* In ordinary memory, so that a child knows what it inherited. A note that the fork caught half-written names
 * no file, and closes none. */
static struct {
    bool noted;
    int fd;
    dev_t device;
    ino_t inode;
} notes[AGENT_FDS];

struct agent *agent_get(void)
{
    struct agent *agent = atomic_load_explicit(&root, memory_order_acquire);
    if (agent)
        return agent;
    size_t bytes = (sizeof *agent + 65535) & ~(size_t)65535;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (madvise(memory, bytes, MADV_WIPEONFORK) ||
        !atomic_compare_exchange_strong_explicit(&root, &agent, memory, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        munmap(memory, bytes);
        return agent;
    }
    return memory;
}

void agent_fd_note(enum agent_fd which, int fd)
{
    struct stat status;
    notes[which].noted = false;
    if (fd < 0 || fstat(fd, &status))
        return;
    notes[which].fd = fd;
    notes[which].device = status.st_dev;
    notes[which].inode = status.st_ino;
    notes[which].noted = true;
}

/* A parent's descriptors, as long as they are still what was noted: the child may have closed and reused
 * them. */
static void inherited_close(void)
{
    struct stat status;
    for (unsigned i = 0; i < AGENT_FDS; i++) {
        if (notes[i].noted && !fstat(notes[i].fd, &status) && status.st_dev == notes[i].device &&
            status.st_ino == notes[i].inode)
            close(notes[i].fd);
        notes[i].noted = false;
    }
    agent_capture_inherited();
}

void agent_wake(void)
{
    struct agent *agent = agent_get();
    int saved = errno;
    if (agent && atomic_load_explicit(&agent->started, memory_order_acquire)) {
        ssize_t ignored = write(agent->wake_write, "", 1); /* a full pipe wakes just as well */
        (void)ignored;
    }
    errno = saved;
}

static int timeout_ms(uint64_t until_ns)
{
    uint64_t now_ns = clock_mono_ns();
    if (until_ns == UINT64_MAX)
        return -1;
    if (until_ns <= now_ns)
        return 0;
    uint64_t ms = (until_ns - now_ns + 999999) / 1000000;
    return ms < 3600000 ? (int)ms : 3600000;
}

/* Sleeps until input, room that is wanted, news of a snapshot, a wake-up, or until_ns. */
static void sleep_until(int wake, struct pollfd link, struct pollfd snapshot, uint64_t until_ns)
{
    char wakes[64];
    struct pollfd polled[3] = {{.fd = wake, .events = POLLIN}, link, snapshot};
    poll(polled, 3, timeout_ms(until_ns));
    while (read(wake, wakes, sizeof wakes) == (ssize_t)sizeof wakes)
        continue;
}

/* connect() looks up paths that the environment names, and these may hang on a dead file system: it alone
 * runs without the lock. */
static void *helper(void *arg)
{
    struct agent *agent = arg;
    pthread_setname_np(pthread_self(), "tally-agent");
    pthread_mutex_lock(&agent->lock);
    while (!agent->stopping) {
        if (agent->link == LINK_DOWN && agent->heaps && clock_mono_ns() >= agent->retry_ns) {
            pthread_mutex_unlock(&agent->lock);
            struct link_result link = agent_link_open(agent);
            pthread_mutex_lock(&agent->lock);
            if (agent->stopping && link.socket >= 0)
                close(link.socket);
            if (agent->stopping)
                break;
            agent_session_open(agent, &link, clock_mono_ns());
        }
        if (agent_growth_start(agent))
            continue;
        uint64_t next = agent_session_turn(agent);
        if (agent->link == LINK_DOWN && !agent->heaps)
            next = UINT64_MAX;
        if (agent_growth_next(agent) < next)
            next = agent_growth_next(agent);
        bool reads = agent_session_reads(agent, clock_mono_ns()), writes = !agent->room;
        struct pollfd snapshot, link = {.fd = reads || writes ? agent->socket : -1,
                                        .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))};
        snapshot.fd = agent_capture_poll(agent, &snapshot.events);
        pthread_mutex_unlock(&agent->lock);
        sleep_until(agent->wake_read, link, snapshot, next);
        pthread_mutex_lock(&agent->lock);
    }
    pthread_mutex_unlock(&agent->lock);
    return NULL;
}

/* Says goodbye if that takes no waiting. The helper may be in the middle of something, or the exiting thread
 * in a callback that it runs: then the end of the connection has to do. */
static void at_exit(void)
{
    struct agent *agent = atomic_load_explicit(&root, memory_order_acquire);
    if (!agent || !atomic_load_explicit(&agent->started, memory_order_acquire))
        return;
    for (unsigned tries = 0; tries < EXIT_TRIES; tries++) {
        if (!pthread_mutex_trylock(&agent->lock)) {
            agent_session_bye(agent);
            agent_capture_exit(agent);
            agent->stopping = true;
            pthread_mutex_unlock(&agent->lock);
            agent_wake();
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Starts it with every signal blocked; the host's mask is what it was. A host with much thread-local storage
 * needs a larger stack than ours. */
static int thread_make(struct agent *agent)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t bytes = STACK_BYTES; bytes <= STACK_BYTES_MAX; bytes *= 2) {
        pthread_attr_setstacksize(&attributes, bytes);
        error = pthread_create(&thread, &attributes, helper, agent);
        if (error != EINVAL)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static int identity_make(struct agent *agent)
{
    ssize_t got;
    do
        got = getrandom(agent->id, sizeof agent->id, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof agent->id ? 0 : got < 0 ? errno : EIO;
}

int agent_start(struct agent *agent)
{
    static _Atomic bool exit_registered;
    int wake[2];
    if (agent->started)
        return 0;
    inherited_close();
    int error = identity_make(agent);
    if (!error && pipe2(wake, O_CLOEXEC | O_NONBLOCK))
        error = errno;
    if (error)
        return error;
    agent->wake_read = wake[0];
    agent->wake_write = wake[1];
    agent->socket = -1;
    agent->backoff_ns = AGENT_BACKOFF_MIN_NS;
    agent_directories(agent);
    error = thread_make(agent);
    if (error) {
        close(wake[0]);
        close(wake[1]);
        return error;
    }
    agent_fd_note(AGENT_FD_WAKE_READ, wake[0]);
    agent_fd_note(AGENT_FD_WAKE_WRITE, wake[1]);
    agent_profile_freeze();
    tally__types_watch(agent_wake);
    atomic_store_explicit(&agent->started, true, memory_order_release);
    if (!atomic_exchange(&exit_registered, true))
        atexit(at_exit);
    return 0;
}
