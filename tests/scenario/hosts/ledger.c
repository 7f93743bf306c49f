/* A program with a ledger of its own: it notes what it allocates, and in dispose what goes, without asking
 * libtally for any number. Objects that it puts into rings can only die by a collection, all others only by
 * their count.
 *
 * Obeys lines on stdin (see commands[]) and answers each with a line on stdout. While it waits it is woken by
 * its notify fd, as an event-driven host would be. Prints the ledger at its end too.
 *
 * $LEDGER_FILE names a file that the ledger is kept in, shared, so that it can be read after a kill. A call into
 * the library that may count something stands between begun++ and ended++; an allocation is noted when the call
 * has returned, a death in dispose, which the library calls for each of the dead in turn, just before it counts
 * it. So the library's counters and the ledger differ by one object at most, and by none where begun == ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"

enum kind { NODE, LEAF, TEXT, KINDS };

struct node {
    void *next, *leaf;
    uint64_t in_ring;
};
struct leaf {
    uint64_t number;
};
struct text {
    size_t length;
    char bytes[];
};

static const char *const names[KINDS] = {"node", "leaf", "text"};
static struct book { /* tests read it as 18 numbers of 64 bits */
    volatile uint64_t begun, ended; /* calls into the library */
    volatile uint64_t runs;         /* collections, by the hook */
    struct ledger {
        volatile uint64_t allocated, by_count, by_cycle;
        volatile uint64_t allocated_bytes, gone_bytes;
    } ledger[KINDS];
} own_book, *book = &own_book;
_Static_assert(sizeof(struct book) == 18 * 8, "the book's layout");

static const struct tally_type *types[KINDS];
static struct tally_heap *heap;
static void **held;
static size_t held_count;
static struct node *chain_head;
static volatile sig_atomic_t stop;

static uint64_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(uint64_t)7;
}

static void note_death(enum kind kind, bool by_cycle, uint64_t bytes)
{
    book->ledger[kind].by_cycle += by_cycle;
    book->ledger[kind].by_count += !by_cycle;
    book->ledger[kind].gone_bytes += bytes;
}

static void node_dispose(void *object)
{
    note_death(NODE, ((struct node *)object)->in_ring, sizeof(struct node));
}

static void leaf_dispose(void *object)
{
    (void)object;
    note_death(LEAF, false, sizeof(struct leaf));
}

static void text_dispose(void *object)
{
    note_death(TEXT, false, rounded(sizeof(struct text) + ((struct text *)object)->length));
}

static void *new(enum kind kind, size_t length, uint64_t bytes)
{
    book->begun++;
    void *object = kind == TEXT ? tally_new_array(heap, types[kind], length) : tally_new(heap, types[kind]);
    if (!object)
        abort();
    book->ledger[kind].allocated++;
    book->ledger[kind].allocated_bytes += bytes;
    book->ended++;
    return object;
}

static void *node_new(void)
{
    return new(NODE, 0, sizeof(struct node));
}

static void *leaf_new(void)
{
    return new(LEAF, 0, sizeof(struct leaf));
}

static void *text_new(size_t length)
{
    return new(TEXT, length, rounded(sizeof(struct text) + length));
}

static void drop(void *object)
{
    book->begun++;
    tally_decref(object);
    book->ended++;
}

static void safepoint(void)
{
    book->begun++;
    tally_safepoint(heap);
    book->ended++;
}

static void collection_note(struct tally_heap *of, const struct tally_collection *info, void *arg)
{
    (void)of, (void)arg;
    book->runs += info->stop;
}

static void print_ledger(const char *who)
{
    printf("%s {\"pid\":%d,\"runs\":%llu", who, (int)getpid(), (unsigned long long)book->runs);
    for (int kind = 0; kind < KINDS; kind++)
        printf(",\"%s\":{\"allocations\":%llu,\"refcount\":%llu,\"cycle\":%llu,\"live_bytes\":%llu}",
               names[kind], (unsigned long long)book->ledger[kind].allocated,
               (unsigned long long)book->ledger[kind].by_count, (unsigned long long)book->ledger[kind].by_cycle,
               (unsigned long long)(book->ledger[kind].allocated_bytes - book->ledger[kind].gone_bytes));
    printf("}\n");
}

/* ---- the commands, each with one number */

static void make(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        struct node *node = node_new();
        tally_store_steal(node, &node->leaf, leaf_new());
        drop(text_new(i % 700));
        drop(node);
    }
}

/* Pairs of nodes that refer to each other, the first with a leaf: two objects for the collector, one for its
 * count. */
static void ring(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        struct node *first = node_new(), *second = node_new();
        first->in_ring = second->in_ring = 1;
        tally_store_steal(first, &first->leaf, leaf_new());
        tally_store(first, &first->next, second);
        tally_store_steal(second, &second->next, first);
        drop(second);
    }
}

static void hold(unsigned long count)
{
    held = realloc(held, (held_count + count) * sizeof *held);
    if (!held)
        abort();
    for (unsigned long i = 0; i < count; i++)
        held[held_count++] = text_new(100);
}

static void release(unsigned long count)
{
    while (count-- && held_count)
        drop(held[--held_count]);
}

static void collect(unsigned long generation)
{
    book->begun++;
    int64_t collected = tally_collect(heap, (int)generation);
    book->ended++;
    printf("collected %lld\n", (long long)collected);
}

static void automatic(unsigned long on)
{
    if (on)
        tally_enable(heap);
    else
        tally_disable(heap);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Allocates one object and frees it, over and over, and never calls tally_safepoint(). */
static void spin(unsigned long ms)
{
    for (uint64_t end = now_ms() + ms; now_ms() < end && !stop;)
        for (int i = 0; i < 100; i++)
            drop(leaf_new());
}

static volatile sig_atomic_t enough;

static void on_enough(int number)
{
    (void)number;
    enough = 1;
}

/* A little of everything, at random, until time is up or SIGUSR1. */
static void work(unsigned long ms, useconds_t pause_us)
{
    unsigned seed = (unsigned)getpid();
    struct sigaction action = {.sa_handler = on_enough};
    enough = 0;
    sigaction(SIGUSR1, &action, NULL);
    for (uint64_t end = now_ms() + ms; now_ms() < end && !stop && !enough;) {
        for (int i = 0; i < 50; i++) {
            seed = seed * 1664525u + 1013904223u;
            unsigned draw = seed >> 16;
            if (draw % 8 < 4)
                make(1);
            else if (draw % 8 < 6)
                ring(1 + draw / 8 % 3);
            else if (held_count < draw / 8 % 512)
                hold(1);
            else
                release(1);
        }
        if (pause_us)
            usleep(pause_us);
    }
}

/* Nothing but calls into the library: more events than any reader could follow. */
static void churn(unsigned long ms)
{
    work(ms, 0);
}

/* So few that none need be lost. */
static void stroll(unsigned long ms)
{
    work(ms, 5000);
}

static uint64_t own_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Says what so many objects, made and freed, took of this thread's CPU, and how often it had to wait. */
static void pace(unsigned long count)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t start = own_cpu_ns();
    for (unsigned long i = 0; i < count; i++)
        drop(leaf_new());
    uint64_t took = own_cpu_ns() - start;
    getrusage(RUSAGE_THREAD, &after);
    printf("pace %llu ns waits %ld\n", (unsigned long long)took, after.ru_nvcsw - before.ru_nvcsw);
}

/* Nodes that hold each other in a row, and stay: what a collection has to examine. */
static void chain(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        struct node *node = node_new();
        tally_store_steal(node, &node->next, chain_head);
        chain_head = node;
    }
}

/* Comes to no safepoint and allocates nothing until the next line comes. */
static void deaf(unsigned long unused)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    (void)unused;
    puts("hears nothing");
    while (!stop && !poll(&in, 1, 2))
        ;
}

/* Waits parked, for good: the helper thread may collect, since no hook of ours has to run. */
static void park(unsigned long ms)
{
    tally_remove_collection_hook(heap, collection_note, NULL);
    for (uint64_t end = now_ms() + ms; now_ms() < end && !stop; tally_unpark(heap)) {
        tally_park(heap);
        usleep(100000);
    }
}

/* What the daemon may do: 0 control, 1 observe, 2 nothing. */
static void access_set(unsigned long number)
{
    printf("access %d\n", tally_set_access(heap, (enum tally_access)number));
}

static void status(unsigned long unused)
{
    char sentence[256];
    (void)unused;
    bool attached = tally_agent_status(sentence, sizeof sentence);
    printf("%s %s\n", attached ? "attached" : "apart", sentence);
}

static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
    (void)number;
    ticks = ticks + 1;
}

/* A signal so many times a second that interrupts every system call; 0: no more, and says how many there were. */
static void timer(unsigned long hertz)
{
    struct sigaction action = {.sa_handler = on_tick};
    suseconds_t us = hertz ? (suseconds_t)(1000000 / hertz) : 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, us}, {0, us}}, NULL);
    printf("ticks %d\n", (int)ticks);
}

static void show(unsigned long unused)
{
    (void)unused;
    print_ledger("ledger");
}

static void reap(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
}

static void list_descriptors(unsigned long unused)
{
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/ls", "ls", "-l", "/proc/self/fd", (char *)NULL);
        _exit(127);
    }
    reap(pid, NULL);
}

/* Becomes another program, this one again. */
static void become(unsigned long unused)
{
    (void)unused;
    print_ledger("before");
    execl("/proc/self/exe", "ledger", "second", (char *)NULL);
    abort();
}

static pid_t offspring(bool raw)
{
    fflush(stdout);
    return raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
}

/* In the child of a fork or a raw clone: its counters start from what lives, and its book is its own. */
static void book_of_child(void)
{
    own_book = *book;
    book = &own_book;
    for (int kind = 0; kind < KINDS; kind++) {
        book->ledger[kind].allocated -= book->ledger[kind].by_count + book->ledger[kind].by_cycle;
        book->ledger[kind].allocated_bytes -= book->ledger[kind].gone_bytes;
        book->ledger[kind].by_count = book->ledger[kind].by_cycle = book->ledger[kind].gone_bytes = 0;
    }
}

static void live_as_child(const char *who)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make(11);
    ring(7);
    release(2);
    print_ledger(who);
    struct pollfd notify = {.fd = tally_notify_fd(heap), .events = POLLIN};
    while (!stop) {
        safepoint();
        poll(&notify, 1, 100);
    }
    print_ledger(who);
    _exit(0);
}

/* Bit 0: by a raw clone, not fork(). Bit 1: the child has a child too, by the other way, before anything else. */
static void have_child(unsigned long how)
{
    pid_t pid = offspring(how & 1);
    if (pid == 0) {
        book_of_child();
        if (how & 2 && offspring(!(how & 1)) == 0) {
            book_of_child();
            live_as_child("grandchild");
        }
        live_as_child("child");
    }
    printf("child-pid %d\n", (int)pid);
}

/* So many children in turn, by both ways, each of which uses what it inherited. */
static void have_children(unsigned long count)
{
    unsigned long failed = 0;
    for (unsigned long i = 0; i < count; i++) {
        int status = 0;
        make(1);
        pid_t pid = offspring(i & 1);
        if (pid == 0) {
            book_of_child();
            ring(3);
            make(2);
            int64_t collected = tally_collect(heap, 2);
            _exit(collected < 6 || tally_verify(heap, NULL, 0) ? 1 : 0);
        }
        reap(pid, &status);
        failed += pid < 0 || status != 0;
    }
    printf("failed %lu\n", failed);
}

static void attach(unsigned long unused)
{
    (void)unused;
    printf("attach %d\n", tally_attach(heap));
}

static void come_and_go(unsigned long count)
{
    unsigned long failed = 0;
    for (unsigned long i = 0; i < count; i++) {
        tally_detach(heap);
        failed += tally_attach(heap) != 0;
    }
    printf("failed %lu\n", failed);
}

static const struct {
    const char *word;
    void (*run)(unsigned long);
} commands[] = {{"make", make},
                {"ring", ring},
                {"hold", hold},
                {"release", release},
                {"collect", collect},
                {"automatic", automatic},
                {"spin", spin},
                {"churn", churn},
                {"stroll", stroll},
                {"pace", pace},
                {"chain", chain},
                {"timer", timer},
                {"deaf", deaf},
                {"status", status},
                {"access", access_set},
                {"park", park},
                {"show", show},
                {"descriptors", list_descriptors},
                {"child", have_child},
                {"children", have_children},
                {"become", become},
                {"attach", attach},
                {"come-and-go", come_and_go}};

static void obey(const char *line)
{
    char word[32];
    unsigned long number = 0;
    if (sscanf(line, "%31s %lu", word, &number) < 1)
        return;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].word, word) == 0)
            commands[i].run(number);
    printf("ok %s\n", word);
}

/* Waits for a line or a wake-up. False at the end of the input. */
static bool wait_for_work(void)
{
    static char line[256];
    static size_t used;
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = tally_notify_fd(heap), .events = POLLIN}};
    if (poll(fds, 2, -1) < 0)
        return errno == EINTR && !stop;
    if (fds[1].revents)
        safepoint();
    if (!fds[0].revents)
        return true;
    ssize_t got = read(STDIN_FILENO, line + used, sizeof line - 1 - used);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    line[used += (size_t)got] = '\0';
    for (char *end = strchr(line, '\n'); end; end = strchr(line, '\n')) {
        *end = '\0';
        obey(line);
        used -= (size_t)(end + 1 - line);
        memmove(line, end + 1, used + 1);
    }
    return true;
}

static void register_types(void)
{
    const struct tally_type_info infos[KINDS] = {
        [NODE] = {.name = "node",
                  .size = sizeof(struct node),
                  .ref_count = 2,
                  .dispose = node_dispose,
                  .refs = (struct tally_ref[]){{"next", offsetof(struct node, next)},
                                               {"leaf", offsetof(struct node, leaf)}}},
        [LEAF] = {.name = "leaf", .size = sizeof(struct leaf), .dispose = leaf_dispose},
        [TEXT] = {.name = "text",
                  .size = sizeof(struct text),
                  .trailing = TALLY_TRAILING_BYTES,
                  .trailing_element_bytes = 1,
                  .trailing_length_offset = offsetof(struct text, length),
                  .dispose = text_dispose},
    };
    for (int kind = 0; kind < KINDS; kind++)
        if (tally_type_register(&infos[kind], &types[kind]))
            abort();
}

/* $LEDGER_FILE, empty at first. */
static void book_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *book))
        abort();
    void *shared = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        abort();
    book = shared;
    close(fd);
}

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getenv("LEDGER_FILE"))
        book_open(getenv("LEDGER_FILE"));
    register_types();
    if (tally_heap_new(TALLY_ABI, NULL, &heap) || tally_add_collection_hook(heap, collection_note, NULL))
        return 1;
    tally_set_name(argc > 1 ? argv[1] : "ledger");
    if (argc <= 2 && tally_attach(heap))
        return 1;
    while (!stop && wait_for_work())
        continue;
    release(held_count);
    free(held);
    held = NULL;
    held_count = 0;
    if (chain_head)
        drop(chain_head);
    book->begun++;
    tally_heap_free(heap);
    book->ended++;
    print_ledger("final");
    return 0;
}
