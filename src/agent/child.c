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
#include <sys/time.h>
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

/* Waits for room in the pipe, or only looks; nobody may be there any more to end it from outside. The parent may have
 * ended, or run another program: that one's children are none of ours. */
static void child_look(struct agent_capture *capture, uint64_t since_ns, bool waits)
{
    struct pollfd polled[2] = {{.fd = capture->lifeline}, {.fd = capture->pipe_write, .events = POLLOUT}};
    uint64_t now_ns = clock_mono_ns();
    if (now_ns - since_ns >= AGENT_CAPTURE_STALL_NS)
        child_exit(capture, CHILD_UNREAD);
    if (now_ns >= capture->limit_ns)
        child_exit(capture, CHILD_LATE);
    syscall(SYS_ppoll, polled, waits ? 2 : 1, &(struct timespec){.tv_nsec = waits ? 500000000 : 0}, NULL, KERNEL_SIGNALS);
    if (polled[0].revents || syscall(SYS_getppid) != capture->parent)
        child_exit(capture, CHILD_ORPHAN);
}

/* Ends it where it moves no more: a label or traverse callback may wait for a lock whose holder is not here. */
static void child_watch(void)
{
    const struct itimerval patience = {.it_value = {.tv_sec = AGENT_CAPTURE_STUCK_NS / 1000000000u}};
    syscall(SYS_setitimer, ITIMER_REAL, &patience, NULL);
}

/* The host's handlers stay blocked; SIGALRM becomes what it is for whoever has none. */
static void child_watch_begin(void)
{
    static const uint64_t by_default[8]; /* the kernel's struct sigaction, and more */
    uint64_t alarm = (uint64_t)1 << (SIGALRM - 1);
    syscall(SYS_rt_sigaction, SIGALRM, by_default, NULL, KERNEL_SIGNALS);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &alarm, NULL, KERNEL_SIGNALS);
    child_watch();
}

static int child_flush(void *arg, const void *bytes, size_t count)
{
    struct agent_capture *capture = arg;
    const char *at = bytes;
    uint64_t since_ns = clock_mono_ns();
    child_watch();
    child_look(capture, since_ns, false);
    while (count) {
        long wrote = syscall(SYS_write, capture->pipe_write, at, count);
        if (wrote > 0) {
            at += wrote;
            count -= (size_t)wrote;
            atomic_fetch_add_explicit(&capture->shared->bytes, (uint64_t)wrote, memory_order_relaxed);
            since_ns = clock_mono_ns();
        } else if (wrote < 0 && errno == EAGAIN) {
            child_look(capture, since_ns, true);
        } else if (wrote < 0 && errno != EINTR) {
            child_exit(capture, CHILD_UNREAD);
        }
    }
    atomic_store_explicit(&capture->shared->objects, capture->snapshot.writer.objects, memory_order_relaxed);
    return 0;
}

/* Linux before 5.9 has no close_range(2), and a filter may not know it. */
static void files_close(unsigned first, unsigned last)
{
    struct rlimit limit = {.rlim_cur = 0};
    if (!syscall(SYS_close_range, first, last, 0))
        return;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
        syscall(SYS_close, fd);
}

/* Nobody may wait for its parent's sockets, pipes and file locks because of it. */
static void child_files(const struct agent_capture *capture)
{
    unsigned low = (unsigned)capture->pipe_write, high = (unsigned)capture->lifeline;
    if (low > high) {
        unsigned swap = low;
        low = high;
        high = swap;
    }
    if (low)
        files_close(0, low - 1);
    if (high > low + 1)
        files_close(low + 1, high - 1);
    files_close(high + 1, ~0u);
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
    long policy = syscall(SYS_sched_getscheduler, 0) & ~(long)SCHED_RESET_ON_FORK;
    if (policy == SCHED_FIFO || policy == SCHED_RR) /* an idle host's stays idle */
        syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &plain);
    if (syscall(SYS_getpriority, PRIO_PROCESS, 0) > 20 - NICE) /* of the raw call: 20 less the nice value */
        syscall(SYS_setpriority, PRIO_PROCESS, 0, NICE);
}

static _Noreturn void child_main(struct agent_capture *capture)
{
    child_watch_begin();
    child_files(capture); /* first of all: it may be long until it has the processor again */
    child_manners();
    while (tally__snapshot_step(&capture->snapshot) == SNAPSHOT_STEP_MORE)
        continue;
    uint64_t pause_ns = atomic_load_explicit(&capture->shared->pause_ns, memory_order_relaxed);
    snapshot_write_end(&capture->snapshot.writer, SNAPSHOT_WHOLE, pause_ns);
    child_exit(capture, CHILD_WHOLE);
}

/* ---- in the parent */

/* No exit signal: the host's handlers and waits do not see it. Its signals are blocked from the first instant on, since the
 * host's handlers are there, too; those that a fault raises end it all the same, and SIGALRM once it moves no more. */
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
