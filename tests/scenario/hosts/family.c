/* A host that has a SIGCHLD handler and waits for children of its own, whom nobody else's child may disturb. Holds OBJECTS
 * pairs in one list. Obeys lines on stdin: what it does while it waits for the next one is its first argument:
 *   works   allocates and frees      parks   is parked      sleeps   waits for its notify fd
 * Commands: "pause US", "detach", "attach", "free", "fork", "hold" (a child without libc's knowledge, which has all descriptors
 * and waits to be killed), "mode WORD", "stick" (labels never end in a child), "seen" (children and signals seen, RSS in KiB,
 * objects), "end". A third argument: MiB of memory of its own, beside the heap. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"

struct pair {
    void *next, *other;
};

static volatile sig_atomic_t signals;
static unsigned waited;
static struct tally_heap *heap;
static const struct tally_type *type;
static struct pair *first;
static void *volatile ballast; /* memory that is not the heap's */
static uint64_t worst_ns;

static void on_child(int signal)
{
    (void)signal;
    signals++;
}

/* What it has worked: others have the processor, too. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool stuck; /* labels wait in a child, as for a lock that nobody there gives back */
static pid_t self;

static size_t pair_label(const void *object, char *text, size_t room)
{
    while (stuck && syscall(SYS_getpid) != self)
        usleep(1000000);
    return (size_t)snprintf(text, room, "pair %c", ((const struct pair *)object)->other ? 'o' : '-');
}

static void make(unsigned long count)
{
    static struct tally_ref refs[] = {{"next", offsetof(struct pair, next)}, {"other", offsetof(struct pair, other)}};
    const struct tally_type_info info = {.name = "pair", .size = sizeof(struct pair), .refs = refs, .ref_count = 2,
                                         .flags = TALLY_TYPE_LABEL, .label = pair_label};
    if (tally_heap_new(TALLY_ABI, NULL, &heap) || tally_type_register(&info, &type) || tally_attach(heap))
        exit(1);
    for (unsigned long i = 0; i < count; i++) {
        struct pair *pair = tally_new(heap, type);
        tally_store_steal(pair, &pair->next, first);
        first = pair;
    }
}

/* Children of its own are none, so that one that is found is somebody else's. */
static void children_wait(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        waited++;
}

static bool line_waits(int ms)
{
    struct pollfd polled[2] = {{.fd = 0, .events = POLLIN}, {.fd = heap ? tally_notify_fd(heap) : -1, .events = POLLIN}};
    return poll(polled, 2, ms) > 0 && polled[0].revents;
}

static void work(void)
{
    uint64_t begun_ns = now_ns();
    for (unsigned i = 0; i < 100; i++)
        tally_decref(tally_new(heap, type));
    tally_safepoint(heap);
    if (now_ns() - begun_ns > worst_ns)
        worst_ns = now_ns() - begun_ns;
}

static void wait_line(const char *mode)
{
    if (!strcmp(mode, "parks") && heap)
        tally_park(heap);
    while (!line_waits(!strcmp(mode, "works") ? 0 : 1000)) {
        if (!strcmp(mode, "works") && heap)
            work();
        else if (!strcmp(mode, "sleeps") && heap)
            tally_safepoint(heap);
        children_wait();
    }
    if (!strcmp(mode, "parks") && heap)
        tally_unpark(heap);
}

static unsigned long rss_kib(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        exit(1);
    fclose(file);
    return pages * 4;
}

static void show(void)
{
    struct tally_stats stats = {.live_objects = 0};
    char message[128] = "";
    if (heap) {
        tally_get_stats(heap, &stats, sizeof stats);
        if (tally_verify(heap, message, sizeof message))
            printf("broken: %s\n", message);
    }
    printf("seen {\"signals\": %d, \"waited\": %u, \"rss_kib\": %lu, \"objects\": %llu, \"worst_ns\": %llu}\n", (int)signals, waited,
           rss_kib(), (unsigned long long)stats.live_objects, (unsigned long long)worst_ns);
    worst_ns = 0;
}

/* Forks a child that looks after itself, and waits for it. */
static void fork_one(void)
{
    int status = -1, before = signals;
    pid_t child = fork();
    if (!child) {
        tally_safepoint(heap);
        _exit(tally_verify(heap, NULL, 0) ? 1 : 0);
    }
    waitpid(child, &status, 0);
    printf("forked %d\n", status);
    while (signals == before)
        usleep(1000);
    signals = before;
}

/* No handler of fork()'s runs: the child has whatever was open. It ends by itself in the end. */
static void hold(void)
{
    long child = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (!child) {
        signal(SIGALRM, SIG_DFL);
        alarm(120);
        for (;;)
            pause();
    }
    printf("held %ld\n", child);
}

static bool obey(const char *line, char *mode)
{
    unsigned long us;
    if (sscanf(line, "pause %lu", &us) == 1)
        tally_set_max_pause(heap, us);
    else if (sscanf(line, "mode %15s", mode) == 1)
        return true;
    else if (!strcmp(line, "detach"))
        tally_detach(heap);
    else if (!strcmp(line, "attach"))
        tally_attach(heap);
    else if (!strcmp(line, "fork"))
        fork_one();
    else if (!strcmp(line, "hold"))
        hold();
    else if (!strcmp(line, "stick"))
        stuck = true;
    else if (!strcmp(line, "seen"))
        show();
    else if (!strcmp(line, "free")) {
        tally_decref(first);
        tally_heap_free(heap);
        heap = NULL;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char line[64], mode[16] = "";
    struct sigaction action = {.sa_handler = on_child};
    if (argc < 3 || argc > 4)
        return 2;
    size_t ballast_bytes = argc == 4 ? (size_t)strtoul(argv[3], NULL, 10) << 20 : 0;
    if (ballast_bytes)
        ballast = memset(malloc(ballast_bytes), 1, ballast_bytes);
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGCHLD, &action, NULL);
    self = getpid();
    snprintf(mode, sizeof mode, "%s", argv[1]);
    make(strtoul(argv[2], NULL, 10));
    for (;;) {
        wait_line(mode);
        ssize_t got = read(0, line, sizeof line - 1); /* one line a write */
        if (got <= 0) {
            tally_heap_free(heap);
            return 0;
        }
        line[got] = '\0';
        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(line, "end") || !obey(line, mode))
            break;
        printf("ok %.*s\n", (int)strcspn(line, " "), line);
    }
    return 0;
}
