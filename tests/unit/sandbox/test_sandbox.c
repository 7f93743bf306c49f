/* What the sandbox forbids and what it leaves, each in a child of its own that has entered it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

static char root[] = "/tmp/tally-sandbox-XXXXXX", run[64], state[64], config[64], outside[64];

static int start(void **unused)
{
    (void)unused;
    if (!mkdtemp(root))
        return -1;
    snprintf(run, sizeof run, "%s/run", root);
    snprintf(state, sizeof state, "%s/state", root);
    snprintf(config, sizeof config, "%s/etc/tallyd.conf", root);
    snprintf(outside, sizeof outside, "%s/outside", root);
    char etc[64];
    snprintf(etc, sizeof etc, "%s/etc", root);
    if (mkdir(run, 0700) || mkdir(state, 0700) || mkdir(etc, 0700))
        return -1;
    int fds[] = {open(config, O_CREAT | O_WRONLY, 0600), open(outside, O_CREAT | O_WRONLY, 0600)};
    return fds[0] < 0 || fds[1] < 0 || close(fds[0]) || close(fds[1]);
}

static int stop(void **unused)
{
    static const char *const names[] = {"etc/tallyd.conf", "etc", "outside", "run", "state", ""};
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        remove(path);
    }
    return access(root, F_OK) == 0;
}

/* What `look` returns, 0 to 127, of a child in the sandbox. 255: it has ended otherwise. */
static int inside(int (*look)(const struct sandbox *sandbox))
{
    pid_t pid = fork();
    if (!pid) {
        struct sandbox sandbox;
        sandbox_enter(&sandbox, run, state, config);
        _exit(look(&sandbox));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

#define SKIP_UNLESS(member)                                                                                            \
    do {                                                                                                               \
        if (!inside(has_##member))                                                                                     \
            skip(); /* this kernel or this build has it not */                                                         \
    } while (0)
static int has_syscalls(const struct sandbox *sandbox) { return sandbox->syscalls; }
static int has_landlock(const struct sandbox *sandbox) { return sandbox->landlock > 0; }

/* The number of the first call that is not refused with EPERM. */
#define REFUSED(number, call)                                                                                          \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        if ((call) != -1 || errno != EPERM)                                                                            \
            return number;                                                                                             \
    } while (0)

static int calls_refused(const struct sandbox *sandbox)
{
    char *const arguments[] = {(char *)(uintptr_t)"true", NULL};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)sandbox;
    REFUSED(1, execve("/bin/true", arguments, environ));
    REFUSED(2, syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, environ, 0));
    REFUSED(3, ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
    REFUSED(4, socket(AF_PACKET, SOCK_RAW, 0));
    REFUSED(5, socket(AF_NETLINK, SOCK_RAW, 0));
    REFUSED(6, socket(AF_VSOCK, SOCK_STREAM, 0));
    REFUSED(7, fork());
    REFUSED(8, kill(getppid(), 0));
    REFUSED(9, unshare(CLONE_NEWUSER));
    REFUSED(10, mount("none", "/mnt", "tmpfs", 0, NULL));
    REFUSED(11, syscall(SYS_bpf, 0, NULL, 0));
    REFUSED(12, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    REFUSED(13, syscall(SYS_userfaultfd, 0));
    REFUSED(14, syscall(SYS_io_uring_setup, 1, NULL));
    REFUSED(15, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
    REFUSED(16, syscall(SYS_pidfd_getfd, 0, 0, 0));
    REFUSED(17, setuid(0));
    REFUSED(18, chroot("/"));
    REFUSED(19, mprotect(page, 4096, PROT_READ | PROT_EXEC));
    REFUSED(20, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    REFUSED(21, syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    return 0;
}

static void *nothing(void *arg) { return arg; }

/* What tallyd does all day still goes. */
static int calls_left(const struct sandbox *sandbox)
{
    pthread_t thread;
    char name[96];
    (void)sandbox;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        return 1;
    int pidfd = (int)syscall(SYS_pidfd_open, getppid(), 0);
    if (pidfd < 0)
        return 2;
    int families[] = {AF_UNIX, AF_INET, AF_INET6};
    for (int i = 0; i < 3; i++)
        if (socket(families[i], SOCK_STREAM, 0) < 0 && errno != EAFNOSUPPORT)
            return 3;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/agent.sock", run);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1))
        return 4;
    if (chmod(address.sun_path, 0600) || unlink(address.sun_path))
        return 5;
    snprintf(name, sizeof name, "%s/new", state);
    fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) || fsync(fd) || ftruncate(fd, 4096))
        return 6;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        return 7;
    char other[96];
    snprintf(other, sizeof other, "%s/other", state);
    if (rename(name, other) || unlink(other))
        return 8;
    if (open(config, O_RDONLY) < 0 || open("/proc/self/statm", O_RDONLY) < 0 || open("/dev/null", O_RDONLY) < 0)
        return 9;
    if (signal(SIGBUS, SIG_DFL) == SIG_ERR || raise(0))
        return 10;
    return 0;
}

static int files_refused(const struct sandbox *sandbox)
{
    (void)sandbox;
    static const char *const reads[] = {"/etc/passwd", "/proc/1/status", "/proc/version", outside};
    for (int i = 0; i < 4; i++)
        if (open(reads[i], O_RDONLY) >= 0 || errno != EACCES)
            return 1 + i;
    if (open(outside, O_WRONLY) >= 0 || errno != EACCES)
        return 10;
    if (open(config, O_WRONLY) >= 0 || errno != EACCES)
        return 11;
    if (!unlink(outside) || errno != EACCES)
        return 12;
    if (sandbox->landlock >= 3 && (!truncate(outside, 0) || errno != EACCES))
        return 13;
    char made[96];
    snprintf(made, sizeof made, "%s/made", root);
    if (!mkdir(made, 0700) || errno != EACCES)
        return 14;
    return 0;
}

static int privileges(const struct sandbox *sandbox)
{
    if (!sandbox->no_new_privs || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    if (!sandbox->undumpable || prctl(PR_GET_DUMPABLE) != 0)
        return 2;
    if ((!sandbox->syscalls || !sandbox->landlock) != (*sandbox->detail != '\0'))
        return 3;
    return 0;
}

static void test_calls_are_refused(void **unused)
{
    (void)unused;
    SKIP_UNLESS(syscalls);
    assert_int_equal(inside(calls_refused), 0);
}

static void test_what_is_needed_is_left(void **unused)
{
    (void)unused;
    assert_int_equal(inside(calls_left), 0);
}

static void test_files_are_refused(void **unused)
{
    (void)unused;
    SKIP_UNLESS(landlock);
    assert_int_equal(inside(files_refused), 0);
}

static void test_privileges_and_what_is_said(void **unused)
{
    (void)unused;
    assert_int_equal(inside(privileges), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_refused), cmocka_unit_test(test_what_is_needed_is_left),
        cmocka_unit_test(test_files_are_refused), cmocka_unit_test(test_privileges_and_what_is_said)};
    return cmocka_run_group_tests(tests, start, stop);
}
