/* What the agent does to its process: fork and raw clone, exit, descriptors, threads, failures, and the
 * sentences that say why it is not attached. */
#include "fake_daemon.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const struct tally_type *leaf_type;

/* A child is allowed to have threads of its own here. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

struct world {
    int listener, connection;
    struct tally_heap *heap;
    struct fake_heap shown;
    struct wire_hello_view hello;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->listener = fake_listen();
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &world->heap), 0);
    assert_int_equal(tally_attach(world->heap), 0);
    world->connection = fake_accept(world->listener, SECONDS(30));
    fake_hello(world->connection, &world->hello);
    fake_welcome(world->connection);
    world->shown = fake_heap_receive(world->connection);
    fake_status_wait(true);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    fake_heap_drop(&world->shown);
    tally_heap_free(world->heap);
    close(world->connection);
    close(world->listener);
    fake_status_wait(false);
    free(world);
    return 0;
}

static uint64_t shown_allocated(const struct fake_heap *shown)
{
    const struct wire_row *rows =
        (const struct wire_row *)((const char *)shown->counters + WIRE_HEADER_BYTES);
    uint64_t sum = 0;
    for (unsigned i = 0; i < WIRE_ROW_COUNT; i++)
        sum += atomic_load(&rows[i].allocated);
    return sum;
}

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* The child allocates 1,000 times, stays until the other end of `gate` closes, and leaves by exit() if it
 * may. */
static void child_run(struct tally_heap *heap, int gate, bool orderly)
{
    char byte;
    for (int i = 0; i < 1000; i++)
        tally_decref(tally_new(heap, leaf_type));
    if (read(gate, &byte, 1) < 0)
        _exit(2);
    if (!orderly)
        _exit(0);
    tally_heap_free(heap);
    exit(0);
}

static void reap(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void child_shows_up_as_itself(struct world *world, pid_t (*make)(void), bool orderly)
{
    int gate[2];
    struct wire_hello_view hello;
    union fake_message message;
    void *kept[3];
    for (int i = 0; i < 3; i++)
        kept[i] = tally_new(world->heap, leaf_type);
    uint64_t allocated = shown_allocated(&world->shown), head = atomic_load(&world->shown.ring->head);
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t child = make();
    assert_true(child >= 0);
    if (child == 0) {
        close(gate[1]);
        child_run(world->heap, gate[0], orderly);
    }
    close(gate[0]);
    int connection = fake_accept(world->listener, SECONDS(30));
    fake_hello(connection, &hello);
    assert_memory_not_equal(hello.id, world->hello.id, sizeof hello.id);
    fake_welcome(connection);
    struct fake_heap shown = fake_heap_receive(connection);
    close(gate[1]);
    if (orderly) {
        assert_true(fake_receive(connection, &message, NULL) > 0);
        assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
        assert_true(fake_receive(connection, &message, NULL) > 0);
        assert_int_equal(message.head.kind, WIRE_BYE);
    }
    assert_int_equal(fake_receive(connection, &message, NULL), 0);
    reap(child);
    assert_int_equal(shown_allocated(&shown), 1003); /* live ones, and its own */
    assert_int_equal(shown_allocated(&world->shown), allocated);
    assert_int_equal(atomic_load(&world->shown.ring->head), head);
    fake_heap_drop(&shown);
    close(connection);
    assert_false(fake_readable(world->connection, 20));
    for (int i = 0; i < 3; i++)
        tally_decref(kept[i]);
}

static void test_fork_gives_the_child_an_identity_of_its_own(void **state)
{
    child_shows_up_as_itself(*state, fork, false);
}

/* The first that a child does with a heap may be to give it up: its parent must not notice. */
static void test_a_child_gives_up_its_heap_only(void **state)
{
    struct world *world = *state;
    void *kept = tally_new(world->heap, leaf_type);
    uint64_t head = atomic_load(&world->shown.ring->head);
    for (int way = 0; way < 3; way++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            if (way == 0)
                tally_heap_free(world->heap);
            else if (way == 1)
                tally_detach(world->heap);
            else
                tally_attach(world->heap);
            _exit(0);
        }
        reap(child);
        assert_int_equal(atomic_load(&world->shown.counters->state), WIRE_STATE_RUNNING);
        assert_int_equal(shown_allocated(&world->shown), 1);
        assert_int_equal(atomic_load(&world->shown.ring->head), head);
    }
    tally_decref(kept);
}

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

static void test_raw_clone_gives_the_child_an_identity_of_its_own(void **state)
{
#ifdef THREAD_SANITIZER /* which takes the child's memory for its parent's, since it did not see the clone */
    skip();
#endif
    child_shows_up_as_itself(*state, raw_clone, false);
}

static void test_exit_says_goodbye(void **state)
{
    child_shows_up_as_itself(*state, fork, true);
}

/* Descriptors that are open, by a walk over /proc. */
static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static unsigned maps(void)
{
    unsigned lines = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    for (int c = getc(file); c != EOF; c = getc(file))
        lines += c == '\n';
    fclose(file);
    return lines;
}

static void test_attach_and_detach_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    unsigned fds = 0, mapped = 0, threads = 0;
    close(world->listener);
    close(world->connection);
    fake_status_wait(false);
    for (int i = 0; i < 1000; i++) {
        tally_detach(world->heap);
        assert_int_equal(tally_attach(world->heap), 0);
        if (i == 20) {
            fds = entries("/proc/self/fd");
            mapped = maps();
            threads = entries("/proc/self/task");
        }
    }
    assert_in_range(entries("/proc/self/fd"), fds - 1, fds + 1); /* an attempt to connect may be under way */
    assert_in_range(maps(), mapped - 4, mapped + 4);
    assert_int_equal(entries("/proc/self/task"), threads);
    world->listener = fake_listen();
    world->connection = fake_accept(world->listener, SECONDS(30));
    fake_hello(world->connection, &world->hello);
    fake_welcome(world->connection);
    struct fake_heap again = fake_heap_receive(world->connection);
    assert_int_equal(again.number, world->shown.number);
    fake_heap_drop(&again);
}

static void test_helper_blocks_every_signal(void **state)
{
    (void)state;
    char path[300], line[256];
    DIR *folder = opendir("/proc/self/task");
    bool found = false;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        bool ours = false;
        unsigned long long blocked = 0;
        while (file && fgets(line, sizeof line, file)) {
            ours |= !strcmp(line, "Name:\ttally-agent\n");
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1 && ours) {
                assert_true(blocked & 1ull << (SIGUSR1 - 1) && blocked & 1ull << (SIGTERM - 1) &&
                            blocked & 1ull << (SIGPIPE - 1));
                found = true;
            }
        }
        if (file)
            fclose(file);
    }
    closedir(folder);
    assert_true(found);
}

/* ---- commands from the daemon while the owner works: every one ends exactly once */

#define OPERATIONS 400u

struct sender {
    int connection;
    uint32_t heap_number;
    atomic_bool done;
    unsigned finals[OPERATIONS];
};

static void ack_count(struct sender *sender, unsigned *finished)
{
    union fake_message message;
    struct wire_ack ack;
    ssize_t got = recv(sender->connection, &message, sizeof message, 0);
    if (got <= 0 || wire_ack_check(&message, (size_t)got, &ack) || ack.operation >= OPERATIONS)
        return;
    if (ack.state != WIRE_ACK_WAITING && ack.state != WIRE_ACK_RUNNING) {
        sender->finals[ack.operation]++;
        ++*finished;
    }
}

static void *sender_run(void *arg)
{
    struct sender *sender = arg;
    unsigned finished = 0;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        struct wire_command command = {.head = wire_head_make(WIRE_COMMAND, sizeof command), .operation = i,
                                       .heap_number = sender->heap_number, .kind = WIRE_COMMAND_COLLECT,
                                       .generation = (int32_t)(i % 3),
                                       .deadline_ns = clock_mono_ns() + 200000 * (i % 7)};
        if (i % 5 == 0) {
            command.kind = WIRE_COMMAND_CONFIG;
            command.mask = WIRE_CONFIG_LEVEL;
            command.level = i / 5 % 2;
            command.deadline_ns += 1000000000;
        }
        send(sender->connection, &command, sizeof command, MSG_NOSIGNAL);
        if (i % 11 == 0) {
            command.kind = WIRE_COMMAND_CANCEL;
            send(sender->connection, &command, sizeof command, MSG_NOSIGNAL);
        }
        while (fake_readable(sender->connection, 1))
            ack_count(sender, &finished);
    }
    for (unsigned tries = 0; finished < OPERATIONS && tries < 3000; tries++) {
        if (fake_readable(sender->connection, 1))
            ack_count(sender, &finished);
    }
    atomic_store(&sender->done, true);
    return NULL;
}

static void test_every_command_ends_once(void **state)
{
    struct world *world = *state;
    struct sender *sender = calloc(1, sizeof *sender);
    pthread_t thread;
    sender->connection = world->connection;
    sender->heap_number = world->shown.number;
    assert_int_equal(pthread_create(&thread, NULL, sender_run, sender), 0);
    while (!atomic_load(&sender->done)) {
        for (int i = 0; i < 100; i++)
            tally_decref(tally_new(world->heap, leaf_type));
        tally_safepoint(world->heap);
        sched_yield();
    }
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < OPERATIONS; i++)
        assert_int_equal(sender->finals[i], 1);
    free(sender);
}

#define FORKS 40

static void *flood_run(void *arg)
{
    struct sender *sender = arg;
    struct wire_command command = {.head = wire_head_make(WIRE_COMMAND, sizeof command),
                                   .heap_number = sender->heap_number, .kind = WIRE_COMMAND_COLLECT};
    char bytes[sizeof(struct wire_ack)];
    while (!atomic_load(&sender->done)) {
        command.deadline_ns = clock_mono_ns() + 1000000;
        send(sender->connection, &command, sizeof command, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (recv(sender->connection, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            continue;
        usleep(50);
    }
    return NULL;
}

/* The helper thread is at work, and may hold any of its locks, whenever the process forks. */
static void test_children_wait_for_no_lock_of_their_parents(void **state)
{
    struct world *world = *state;
    struct sender *sender = calloc(1, sizeof *sender);
    pthread_t thread;
    sender->connection = world->connection;
    sender->heap_number = world->shown.number;
    assert_int_equal(pthread_create(&thread, NULL, flood_run, sender), 0);
    for (int i = 0; i < FORKS; i++) {
        char sentence[256];
        tally_safepoint(world->heap);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(120);
            for (int n = 0; n < 100; n++)
                tally_decref(tally_new(world->heap, leaf_type));
            tally_agent_status(sentence, sizeof sentence);
            tally_heap_free(world->heap);
            _exit(0);
        }
        reap(child);
    }
    atomic_store(&sender->done, true);
    pthread_join(thread, NULL);
    assert_int_equal(shown_allocated(&world->shown), 0);
    free(sender);
}

/* ---- each in a process of its own */

static void in_child(void (*run)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(120);
        run();
        _exit(0);
    }
    reap(child);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

static bool status_has(const char *words)
{
    char sentence[256];
    for (int tries = 0; tries < 2000; tries++) {
        bool attached = tally_agent_status(sentence, sizeof sentence);
        if (!attached && strstr(sentence, words))
            return true;
        usleep(10000);
    }
    fprintf(stderr, "%s\n", sentence);
    return false;
}

static struct tally_heap *heap_make(void)
{
    struct tally_heap *heap = NULL;
    CHECK(tally_heap_new(TALLY_ABI, NULL, &heap) == 0);
    return heap;
}

static void disabled_child(void)
{
    unsigned threads = entries("/proc/self/task");
    setenv("TALLY_DISABLE", "1", 1);
    struct tally_heap *heap = heap_make();
    CHECK(tally_attach(heap) == TALLY_EDISABLED);
    CHECK(status_has("disabled by TALLY_DISABLE"));
    CHECK(tally_new(heap, leaf_type));
    CHECK(entries("/proc/self/task") == threads);
}

static void no_daemon_child(void)
{
    CHECK(status_has("no heap asked for it"));
    setenv("TALLY_RUNTIME_DIR", "/nonexistent/tally", 1);
    struct tally_heap *heap = heap_make();
    CHECK(tally_attach(heap) == 0);
    CHECK(status_has("no daemon at /nonexistent/tally/agent.sock (No such file or directory)"));
    tally_heap_free(heap);
}

static void refused_child(void)
{
    close(fake_listen());
    struct tally_heap *heap = heap_make();
    CHECK(tally_attach(heap) == 0);
    CHECK(status_has("agent.sock (Connection refused)"));
}

static void profile_child(void)
{
    char key[3] = "a";
    char longest[258];
    memset(longest, 'x', sizeof longest);
    longest[256] = '\0';
    CHECK(tally_set_name("") == TALLY_EINVAL && tally_set_name(NULL) == TALLY_EINVAL);
    CHECK(tally_set_name("a\nb") == TALLY_EINVAL && tally_set_name("\xff") == TALLY_EINVAL);
    CHECK(tally_set_name(longest) == TALLY_EINVAL);
    CHECK(tally_set_label("Upper", "x") == TALLY_EINVAL && tally_set_label("", "x") == TALLY_EINVAL);
    CHECK(tally_set_label("k", longest) == TALLY_EINVAL && tally_set_label("k", NULL) == TALLY_EINVAL);
    longest[255] = '\0';
    CHECK(tally_set_name(longest) == 0);
    for (key[0] = 'a'; key[0] <= 'p'; key[0]++)
        CHECK(tally_set_label(key, longest) == 0);
    CHECK(tally_set_label("q", "x") == TALLY_ELIMIT);
    CHECK(tally_set_label("a", "again") == 0);
    int listener = fake_listen();
    CHECK(tally_attach(heap_make()) == 0);
    CHECK(tally_set_name("late") == TALLY_ESTATE && tally_set_label("a", "late") == TALLY_ESTATE);
    struct wire_hello_view hello;
    int connection = fake_accept(listener, SECONDS(30));
    fake_hello(connection, &hello);
    CHECK(hello.label_count == 16 && strlen(hello.name) == 255 && !strcmp(hello.labels[0].value, "again"));
}

static void exhausted_child(void)
{
    struct tally_heap *heap = heap_make();
    struct rlimit before, limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    int first_free = dup(0);
    close(first_free);
    for (rlim_t room = 0; room < 4; room++) { /* pipe, counters, ring: four descriptors */
        limit.rlim_cur = (rlim_t)first_free + room;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK(tally_attach(heap) == TALLY_ESYS);
        CHECK(status_has("Too many open files"));
        CHECK(tally_new(heap, leaf_type));
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(tally_attach(heap) == 0);
    tally_heap_free(heap);
}

/* The socket is there, but somebody else listens on it. */
static void stranger_child(void)
{
    char path[108], word;
    int listens[2];
    chmod(fake_directory, 0777);
    CHECK(pipe(listens) == 0);
    pid_t stranger = fork();
    if (stranger == 0) {
        if (setresuid(12345, 12345, 12345) || fake_listen() < 0 || write(listens[1], "x", 1) != 1)
            _exit(1);
        alarm(120);
        pause();
        _exit(0);
    }
    CHECK(read(listens[0], &word, 1) == 1);
    fake_socket_path(path);
    chmod(path, 0777);
    CHECK(seteuid(54321) == 0);
    CHECK(tally_attach(heap_make()) == 0);
    CHECK(status_has("agent.sock belongs to uid 12345, not to us"));
    CHECK(seteuid(0) == 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    unlink(path);
    chmod(fake_directory, 0700);
}

static void test_disabled_by_the_environment(void **state)
{
    (void)state;
    in_child(disabled_child);
}

static void test_status_names_the_missing_socket(void **state)
{
    (void)state;
    in_child(no_daemon_child);
}

static void test_status_names_the_refusal(void **state)
{
    (void)state;
    in_child(refused_child);
}

static void test_profile_is_checked_and_fixed_by_the_first_attach(void **state)
{
    (void)state;
    in_child(profile_child);
}

static void test_attach_without_descriptors_leaves_the_heap_as_it_was(void **state)
{
    (void)state;
    in_child(exhausted_child);
}

static void test_a_strangers_socket_gets_nothing(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    in_child(stranger_child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disabled_by_the_environment),
        cmocka_unit_test(test_status_names_the_missing_socket),
        cmocka_unit_test(test_status_names_the_refusal),
        cmocka_unit_test(test_profile_is_checked_and_fixed_by_the_first_attach),
        cmocka_unit_test(test_attach_without_descriptors_leaves_the_heap_as_it_was),
        cmocka_unit_test(test_a_strangers_socket_gets_nothing),
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_helper_blocks_every_signal),
        ROW(test_every_command_ends_once),
        ROW(test_a_child_gives_up_its_heap_only),
        ROW(test_children_wait_for_no_lock_of_their_parents),
        ROW(test_fork_gives_the_child_an_identity_of_its_own),
        ROW(test_raw_clone_gives_the_child_an_identity_of_its_own),
        ROW(test_exit_says_goodbye),
        ROW(test_attach_and_detach_leave_nothing_behind),
#undef ROW
    };
    unsetenv("TALLY_DISABLE");
    fake_directory_make();
    if (tally_type_register(&(struct tally_type_info){.name = "leaf", .size = 16}, &leaf_type))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
