/* A host under a seccomp filter, which here lets no child be: a clone takes force, and then falls back or says why. And one
 * that has no descriptor or no memory left. In a program of its own, since nobody takes a filter off again. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/capture.h"
#include "attached.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif

static __attribute__((unused)) bool filter_install(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x10000 /* CLONE_THREAD */, 0, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)};
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The last answer; what is read meanwhile is thrown away. */
static struct wire_ack taken(struct world *world, uint64_t operation, enum wire_snapshot_mode mode, bool force)
{
    struct wire_ack ack = {.state = 0};
    char bytes[4096];
    int pipe = -1;
    fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 20000000000u,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = mode, .force = force});
    for (int tries = 0; tries < 5000 && ack.state < WIRE_ACK_SUCCEEDED; tries++) {
        union fake_message message;
        int fd = -1;
        tally_safepoint(world->heap);
        while (pipe >= 0 && fake_readable(pipe, 0) && read(pipe, bytes, sizeof bytes) > 0)
            continue;
        if (!fake_readable(world->connection, 1))
            continue;
        size_t count = fake_receive(world->connection, &message, &fd);
        if (message.head.kind == WIRE_SNAPSHOT)
            pipe = fd;
        else if (message.head.kind == WIRE_ACK)
            assert_int_equal(wire_ack_check(&message, count, &ack), 0);
    }
    if (pipe >= 0)
        close(pipe);
    return ack;
}

static void assert_ack(struct wire_ack ack, enum wire_ack_state state, enum wire_snapshot_mode mode,
                       enum wire_snapshot_reason reason)
{
    assert_int_equal(ack.state, state);
    assert_int_equal(ack.mode, mode);
    assert_int_equal(ack.reason, reason);
}

static void test_no_descriptor_and_no_memory(void **state)
{
    struct world *world = *state;
    struct rlimit before, tight;
    for (int i = 0; i < 2; i++) {
#ifdef SANITIZER
        if (i) /* a sanitizer's own address space is beyond any limit */
            return;
#endif
        getrlimit(i ? RLIMIT_AS : RLIMIT_NOFILE, &before);
        tight = before;
        tight.rlim_cur = i ? 1 << 20 : 3;
        setrlimit(i ? RLIMIT_AS : RLIMIT_NOFILE, &tight);
        struct wire_ack ack = taken(world, 800 + (uint64_t)i, WIRE_SNAPSHOT_AUTO, false);
        setrlimit(i ? RLIMIT_AS : RLIMIT_NOFILE, &before);
        assert_ack(ack, WIRE_ACK_FAILED, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_MEMORY);
        assert_int_equal(ack.error, i ? TALLY_ENOMEM : TALLY_ESYS);
        assert_ack(taken(world, 810 + (uint64_t)i, WIRE_SNAPSHOT_AUTO, false), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_CLONE,
                   WIRE_SNAPSHOT_FINE); /* nothing of the other is left */
    }
}

/* A tracer would stop the child, and a debugger's breakpoints are in it. */
static void test_a_traced_host_is_not_cloned(void **state)
{
    struct world *world = *state;
    pid_t host = getpid(), tracer = fork();
    if (!tracer) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(ptrace(PTRACE_SEIZE, host, NULL, NULL) ? 1 : pause());
    }
    for (int tries = 0; tries < 3000 && !agent_process_traced() && !waitpid(tracer, NULL, WNOHANG); tries++)
        usleep(1000);
    if (!agent_process_traced()) {
        print_message("skipped: nobody may be traced here\n");
        return;
    }
    assert_ack(taken(world, 840, WIRE_SNAPSHOT_AUTO, false), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_TRACED);
    assert_ack(taken(world, 841, WIRE_SNAPSHOT_CLONE, false), WIRE_ACK_FAILED, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_TRACED);
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
    assert_ack(taken(world, 842, WIRE_SNAPSHOT_CLONE, false), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_FINE);
}

/* The first child of a new namespace is its init: with its end the host could have no more. */
static void test_a_namespaces_first_child_is_the_hosts(void **state)
{
    struct world *world = *state;
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), status = -1;
    if (own < 0 || unshare(CLONE_NEWPID)) {
        print_message("skipped: no namespace may be made here\n");
        return;
    }
    struct wire_ack ack = taken(world, 850, WIRE_SNAPSHOT_AUTO, true);
    pid_t child = fork();
    if (!child)
        _exit(getpid() == 1 ? 7 : 8);
    pid_t waited = waitpid(child, &status, 0);
    assert_int_equal(setns(own, CLONE_NEWPID), 0);
    close(own);
    assert_ack(ack, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_NAMESPACE);
    assert_true(child > 0 && waited == child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_ack(taken(world, 851, WIRE_SNAPSHOT_CLONE, false), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_FINE);
}

/* Whose stream is more than the pipe takes. */
static struct node *chain_make(struct world *world)
{
    struct node *chain = NULL;
    for (unsigned i = 0; i < 200000; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, chain);
        chain = node;
    }
    return chain;
}

/* Returns the pipe of a child that has begun to write, and goes on until that is closed. */
static int clone_begin(struct world *world, uint64_t operation)
{
    int pipe = -1;
    fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 20000000000u,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = WIRE_SNAPSHOT_CLONE, .force = true});
    for (int tries = 0; tries < 5000 && pipe < 0; tries++) {
        union fake_message message;
        tally_safepoint(world->heap);
        if (fake_readable(world->connection, 1))
            fake_receive(world->connection, &message, &pipe);
    }
    assert_true(pipe >= 0 && fake_readable(pipe, SECONDS(30)));
    return pipe;
}

/* A host that is nicer than the child would be, and idle, has one that is so, too: root's could be anything. */
static void test_a_child_is_no_more_urgent_than_its_host(void **state)
{
    struct world *world = *state;
    if (geteuid()) /* who could not go back */
        return;
    const struct sched_param plain = {.sched_priority = 0};
    struct node *chain = chain_make(world);
    int pid = 0, before = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, 12);
    assert_int_equal(sched_setscheduler(0, SCHED_IDLE, &plain), 0);
    int pipe = clone_begin(world, 855);
    FILE *children = fopen("/proc/thread-self/children", "r");
    assert_true(children && fscanf(children, "%d", &pid) == 1);
    fclose(children);
    int nice_of = getpriority(PRIO_PROCESS, (id_t)pid), policy = sched_getscheduler(pid);
    sched_setscheduler(0, SCHED_OTHER, &plain);
    setpriority(PRIO_PROCESS, 0, before);
    assert_int_equal(nice_of, 12);
    assert_int_equal(policy, SCHED_IDLE);
    close(pipe);
    fake_ack(world->connection, 855, WIRE_ACK_FAILED); /* nobody read it */
    tally_decref(chain);
}

/* Where the system does not know close_range(2), files are closed one by one: what the host closes is closed. */
static void test_a_child_holds_no_files_of_the_host(void **state)
{
    struct world *world = *state;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        print_message("skipped: no filter may be installed here\n");
        return;
    }
    struct node *chain = chain_make(world);
    int ends[2], pipe_fd;
    char byte;
    assert_int_equal(pipe(ends), 0);
    pipe_fd = clone_begin(world, 860);
    close(ends[1]);
    assert_true(fake_readable(ends[0], SECONDS(30)));
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    close(pipe_fd);
    fake_ack(world->connection, 860, WIRE_ACK_FAILED); /* nobody read it */
    tally_decref(chain);
}

static void test_a_filter_takes_force(void **state)
{
    struct world *world = *state;
#ifdef SANITIZER /* whose search for leaks takes a child, too */
    bool filtered = false;
#else
    bool filtered = filter_install();
#endif
    if (!filtered) {
        print_message("skipped: no filter may be installed here\n");
        return;
    }
    assert_ack(taken(world, 820, WIRE_SNAPSHOT_AUTO, false), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_SLICES,
               WIRE_SNAPSHOT_FILTER);
    assert_ack(taken(world, 821, WIRE_SNAPSHOT_CLONE, false), WIRE_ACK_FAILED, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_FILTER);
    assert_ack(taken(world, 822, WIRE_SNAPSHOT_AUTO, true), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_SLICES,
               WIRE_SNAPSHOT_SYSTEM);
    assert_ack(taken(world, 823, WIRE_SNAPSHOT_CLONE, true), WIRE_ACK_FAILED, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_SYSTEM);
}

/* Pages of the host's own may be shared with a child: they are never looked at from one. */
static void *shared_map(size_t bytes, void *arg)
{
    (void)arg;
    char *at = mmap(NULL, bytes + 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : (void *)(((uintptr_t)at + 65535) & ~(uintptr_t)65535);
}
static void shared_unmap(void *memory, size_t bytes, void *arg)
{
    (void)memory, (void)bytes, (void)arg; /* the test's end */
}

static void test_pages_of_the_host_are_never_cloned(void **state)
{
    struct world *world = *state;
    struct tally_heap *own = world->heap;
    struct fake_heap shown = world->shown;
    struct tally_page_hooks hooks = {.map = shared_map, .unmap = shared_unmap};
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &world->heap), 0);
    assert_int_equal(tally_attach(world->heap), 0);
    world->shown = fake_heap_receive(world->connection);
    assert_ack(taken(world, 830, WIRE_SNAPSHOT_AUTO, true), WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_HOOKS);
    assert_ack(taken(world, 831, WIRE_SNAPSHOT_CLONE, true), WIRE_ACK_FAILED, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_HOOKS);
    tally_heap_free(world->heap);
    fake_heap_drop(&world->shown);
    world->heap = own;
    world->shown = shown;
}

int main(void)
{
    attached_prepare();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_no_descriptor_and_no_memory),
        TEST(test_pages_of_the_host_are_never_cloned),
        TEST(test_a_traced_host_is_not_cloned),
        TEST(test_a_namespaces_first_child_is_the_hosts),
        TEST(test_a_child_is_no_more_urgent_than_its_host),
        TEST(test_a_child_holds_no_files_of_the_host), /* with a filter, for good */
        TEST(test_a_filter_takes_force), /* another one */
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
