/* How long an answer to "collect" takes beyond the collection's own pause: of a heap that allocates, of one that is
 * parked, and of one whose host is told by its notify fd. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "daemon.h"

#define ASKED 100
#define PAUSE_MS 210 /* a host obeys one of these in a tenth of a second */

static void host_allocate(void)
{
    produce(1e6, 1e9);
}

static void host_park(void)
{
    tally_park(heap);
    for (;;)
        pause();
}

static void host_poll(void)
{
    struct pollfd told = {.fd = tally_notify_fd(heap), .events = POLLIN};
    for (;;) {
        poll(&told, 1, -1);
        tally_safepoint(heap);
    }
}

static pid_t host_start(void (*live)(void))
{
    pid_t pid = child(1);
    if (pid)
        return pid;
    if (tally_attach(heap))
        _exit(1);
    for (int i = 0; i < 20000; i++) /* something to look at */
        if (i % 2)
            tally_decref(wanted(tally_new(heap, node_type)));
        else
            wanted(tally_new(heap, node_type));
    live();
    _exit(0);
}

/* One collection of generation 2; how long beyond its pause, ns. */
static double asked_ns(int port, const char *request)
{
    double start = now_ns();
    char *answer = answer_new(port, request);
    double took = now_ns() - start;
    const char *pause = strstr(answer, "\"pause_ns\":");
    if (atoi(answer + 9) != 200 || !pause)
        give_up("collect: %.600s", answer);
    took -= strtod(pause + strlen("\"pause_ns\":"), NULL);
    free(answer);
    return took > 0 ? took : 0;
}

void workload_collect(void)
{
    static const struct { const char *name; void (*live)(void); } hosts[] = {
        {"allocating", host_allocate}, {"parked", host_park}, {"notified", host_poll}};
    static struct gaps beyond;
    char path[96], request[768], figure[64];
    daemon_core = 0;
    daemon_start();
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        pid_t pid = host_start(hosts[i].live);
        for (int n = 0; n < 300 && stats_number(pid, "\"allocations\":") < 20000; n++)
            rest_ms(10);
        snprintf(path, sizeof path, "/v1/processes/%d/collect?wait=5s", (int)pid);
        tallyd_request(request, sizeof request, "POST", path, "Content-Type: application/json\r\nContent-Length: 2\r\n");
        snprintf(request + strlen(request), sizeof request - strlen(request), "{}");
        memset(&beyond, 0, sizeof beyond);
        for (int n = 0; n < ASKED; n++) {
            gaps_add(&beyond, (uint64_t)asked_ns(tallyd_port(), request));
            rest_ms(PAUSE_MS);
        }
        snprintf(figure, sizeof figure, "COLLECT beyond its pause p99, %s", hosts[i].name);
        put(figure, bench_name, gap_of(&beyond, 100) / 1e6, "ms");
        snprintf(figure, sizeof figure, "COLLECT beyond its pause median, %s", hosts[i].name);
        put(figure, bench_name, gap_of(&beyond, 2) / 1e6, "ms");
        child_end(pid);
    }
}
