/* A program with a ledger of its own: it notes what it allocates, and in dispose what goes, without asking
 * libtally for any number. Objects that it puts into rings can only die by a collection, all others only by
 * their count.
 *
 * Obeys lines on stdin (see commands[]) and answers each with a line on stdout. While it waits it is woken by
 * its notify fd, as an event-driven host would be. Prints the ledger at its end too.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

static struct ledger {
    const char *name;
    uint64_t allocated, by_count, by_cycle;
    uint64_t allocated_bytes, gone_bytes;
} ledger[KINDS] = {{.name = "node"}, {.name = "leaf"}, {.name = "text"}};

static const struct tally_type *types[KINDS];
static struct tally_heap *heap;
static void **held;
static size_t held_count;
static volatile sig_atomic_t stop;

static uint64_t rounded(size_t bytes)
{
    return (bytes + 7) & ~(uint64_t)7;
}

static void note_death(enum kind kind, bool by_cycle, uint64_t bytes)
{
    ledger[kind].by_cycle += by_cycle;
    ledger[kind].by_count += !by_cycle;
    ledger[kind].gone_bytes += bytes;
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

static void *noted(enum kind kind, void *object, uint64_t bytes)
{
    if (!object)
        abort();
    ledger[kind].allocated++;
    ledger[kind].allocated_bytes += bytes;
    return object;
}

static void *node_new(void)
{
    return noted(NODE, tally_new(heap, types[NODE]), sizeof(struct node));
}

static void *leaf_new(void)
{
    return noted(LEAF, tally_new(heap, types[LEAF]), sizeof(struct leaf));
}

static void *text_new(size_t length)
{
    return noted(TEXT, tally_new_array(heap, types[TEXT], length), rounded(sizeof(struct text) + length));
}

static void print_ledger(const char *who)
{
    printf("%s {\"pid\":%d", who, (int)getpid());
    for (int kind = 0; kind < KINDS; kind++)
        printf(",\"%s\":{\"allocations\":%llu,\"refcount\":%llu,\"cycle\":%llu,\"live_bytes\":%llu}",
               ledger[kind].name, (unsigned long long)ledger[kind].allocated,
               (unsigned long long)ledger[kind].by_count, (unsigned long long)ledger[kind].by_cycle,
               (unsigned long long)(ledger[kind].allocated_bytes - ledger[kind].gone_bytes));
    printf("}\n");
    fflush(stdout);
}

/* ---- the commands, each with one number */

static void make(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        struct node *node = node_new();
        tally_store_steal(node, &node->leaf, leaf_new());
        tally_decref(text_new(i % 700));
        tally_decref(node);
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
        tally_decref(second);
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
        tally_decref(held[--held_count]);
}

static void collect(unsigned long generation)
{
    printf("collected %lld\n", (long long)tally_collect(heap, (int)generation));
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
            tally_decref(leaf_new());
}

/* Is deaf: comes to no safepoint and allocates nothing. */
static void deaf(unsigned long ms)
{
    for (uint64_t end = now_ms() + ms; now_ms() < end && !stop;)
        usleep(2000);
}

static void status(unsigned long unused)
{
    char sentence[256];
    (void)unused;
    bool attached = tally_agent_status(sentence, sizeof sentence);
    printf("%s %s\n", attached ? "attached" : "apart", sentence);
}

static void show(unsigned long unused)
{
    (void)unused;
    print_ledger("ledger");
}

static void list_descriptors(unsigned long unused)
{
    (void)unused;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/ls", "ls", "-l", "/proc/self/fd", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* The child of a fork or a raw clone: its counters start from what lives. */
static void live_as_child(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int kind = 0; kind < KINDS; kind++) {
        ledger[kind].allocated -= ledger[kind].by_count + ledger[kind].by_cycle;
        ledger[kind].allocated_bytes -= ledger[kind].gone_bytes;
        ledger[kind].by_count = ledger[kind].by_cycle = ledger[kind].gone_bytes = 0;
    }
    make(11);
    ring(7);
    release(2);
    print_ledger("child");
    struct pollfd notify = {.fd = tally_notify_fd(heap), .events = POLLIN};
    while (!stop) {
        tally_safepoint(heap);
        poll(&notify, 1, 100);
    }
    print_ledger("child");
    _exit(0);
}

static void have_child(unsigned long raw)
{
    fflush(stdout);
    pid_t pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    if (pid == 0)
        live_as_child();
    printf("child-pid %d\n", (int)pid);
}

static void attach(unsigned long unused)
{
    (void)unused;
    printf("attach %d\n", tally_attach(heap));
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
                {"deaf", deaf},
                {"status", status},
                {"show", show},
                {"descriptors", list_descriptors},
                {"child", have_child},
                {"attach", attach}};

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
    fflush(stdout);
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
        tally_safepoint(heap);
    if (!fds[0].revents)
        return true;
    ssize_t got = read(STDIN_FILENO, line + used, sizeof line - 1 - used);
    if (got <= 0)
        return false;
    used += (size_t)got;
    line[used] = '\0';
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

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    register_types();
    if (tally_heap_new(TALLY_ABI, NULL, &heap))
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
    tally_heap_free(heap);
    print_ledger("final");
    return 0;
}
