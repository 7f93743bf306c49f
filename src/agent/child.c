/* The cloned child, and its parent's hold on it. What runs in the child is marked so: raw system calls, no lock, no
 * memory but what was there, no way back. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/capture.h"
#include "base/clock.h"

#define NICE 5
#define KERNEL_SIGNALS 8 /* bytes of the kernel's set of them */

/* ---- in the child */

static _Noreturn void child_exit(struct agent_capture *capture, enum child_end end)
{
    atomic_store_explicit(&capture->shared->end, end, memory_order_release);
    for (;;)
        syscall(SYS_exit_group, end == CHILD_WHOLE ? 0 : 1);
}

/* Its parent has ended, or runs another program: that one's children are none of ours. */
static bool child_orphaned(const struct agent_capture *capture)
{
    return syscall(SYS_getppid) != capture->parent;
}

/* Waits for room in the pipe. */
static void child_wait(struct agent_capture *capture, uint64_t since_ns)
{
    struct pollfd polled[2] = {{.fd = capture->pipe_write, .events = POLLOUT}, {.fd = capture->lifeline}};
    uint64_t now_ns = clock_mono_ns();
    if (now_ns - since_ns >= AGENT_CAPTURE_STALL_NS)
        child_exit(capture, CHILD_UNREAD);
    if (now_ns >= capture->limit_ns)
        child_exit(capture, CHILD_LATE);
    syscall(SYS_ppoll, polled, 2, &(struct timespec){.tv_nsec = 500000000}, NULL, KERNEL_SIGNALS);
    if (polled[1].revents || child_orphaned(capture))
        child_exit(capture, CHILD_ORPHAN);
}

static int child_flush(void *arg, const void *bytes, size_t count)
{
    struct agent_capture *capture = arg;
    const char *at = bytes;
    uint64_t since_ns = clock_mono_ns();
    if (child_orphaned(capture))
        child_exit(capture, CHILD_ORPHAN);
    while (count) {
        long wrote = syscall(SYS_write, capture->pipe_write, at, count);
        if (wrote > 0) {
            at += wrote;
            count -= (size_t)wrote;
            atomic_fetch_add_explicit(&capture->shared->bytes, (uint64_t)wrote, memory_order_relaxed);
            since_ns = clock_mono_ns();
        } else if (wrote < 0 && errno == EAGAIN) {
            child_wait(capture, since_ns);
        } else if (wrote < 0 && errno != EINTR) {
            child_exit(capture, CHILD_UNREAD);
        }
    }
    atomic_store_explicit(&capture->shared->objects, capture->snapshot.writer.objects, memory_order_relaxed);
    return 0;
}

/* Nobody may wait for its parent's sockets and pipes because of it. */
static void child_files(const struct agent_capture *capture)
{
    unsigned low = (unsigned)capture->pipe_write, high = (unsigned)capture->lifeline;
    if (low > high) {
        unsigned swap = low;
        low = high;
        high = swap;
    }
    if (low)
        syscall(SYS_close_range, 0, low - 1, 0);
    if (high > low + 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0u, 0);
}

/* Others go first: at the processor, and where memory is short it goes in their place. It leaves no core file. */
static void child_manners(void)
{
    static const char most[] = "1000";
    const struct sched_param plain = {.sched_priority = 0};
    long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        syscall(SYS_write, fd, most, sizeof most - 1);
        syscall(SYS_close, fd);
    }
    syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0); /* from here on /proc/self is root's */
    syscall(SYS_prctl, PR_SET_NAME, "tally-snapshot", 0, 0, 0);
    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &plain);
    syscall(SYS_setpriority, PRIO_PROCESS, 0, NICE);
}

static _Noreturn void child_main(struct agent_capture *capture)
{
    child_manners();
    child_files(capture);
    while (tally__snapshot_step(&capture->snapshot) == SNAPSHOT_STEP_MORE)
        continue;
    uint64_t pause_ns = atomic_load_explicit(&capture->shared->pause_ns, memory_order_relaxed);
    snapshot_write_end(&capture->snapshot.writer, SNAPSHOT_WHOLE, pause_ns);
    child_exit(capture, CHILD_WHOLE);
}

/* ---- in the parent */

/* No exit signal: the host's handlers and waits do not see it. Its signals are blocked from the first instant on, since the
 * host's handlers are there, too; those that a fault raises end it all the same. */
int agent_child_clone(struct agent_capture *capture)
{
    uint64_t all = ~(uint64_t)0, before = 0;
    int pidfd = -1, error = 0;
    capture->snapshot.instant = true;
    tally__snapshot_begin(&capture->snapshot, capture->buffer, sizeof capture->buffer, child_flush);
    capture->last_began_ns = clock_mono_ns();
    uint64_t cpu_ns = clock_thread_ns();
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGNALS);
    long child = syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
    if (!child)
        child_main(capture);
    if (child < 0)
        error = errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGNALS);
    if (error)
        return error;
    capture->clone_cpu_ns = clock_thread_ns() - cpu_ns;
    capture->last_took_ns = capture->longest_ns = clock_mono_ns() - capture->last_began_ns;
    atomic_store_explicit(&capture->shared->pause_ns, capture->longest_ns, memory_order_relaxed);
    capture->pidfd = pidfd;
    return 0;
}

/* A host that waits for clones, too, may have been first. */
bool agent_child_reap(struct agent_capture *capture)
{
    siginfo_t info = {.si_pid = 0};
    if (capture->pidfd < 0)
        return true;
    int result = waitid(P_PIDFD, (id_t)capture->pidfd, &info, WEXITED | WNOHANG | __WALL);
    if (!result && !info.si_pid)
        return false;
    close(capture->pidfd);
    capture->pidfd = -1;
    return true;
}

void agent_child_kill(struct agent_capture *capture)
{
    if (capture->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, capture->pidfd, SIGKILL, NULL, 0);
}
