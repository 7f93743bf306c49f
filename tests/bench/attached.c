/* What tallyd costs, and what its troubles cost a host: real programs that are children of ours. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "daemon.h"

/* ---- many processes */

static void attach_child(int told)
{
    struct tally_heap *own;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tally_heap_new(TALLY_ABI, NULL, &own) || tally_attach(own))
        _exit(1);
    tally_decref(wanted(tally_new(own, node_type)));
    while (!attached())
        rest_ms(5);
    if (write(told, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

pid_t *swarm_start(long count)
{
    pid_t *children = wanted(calloc((size_t)count, sizeof *children));
    int told[2];
    char byte;
    if (pipe(told))
        give_up("no pipe");
    for (long i = 0; i < count; i++) {
        children[i] = fork();
        if (!children[i])
            attach_child(told[1]);
        if (children[i] < 0)
            give_up("no more processes");
    }
    for (long i = 0; i < count; i++)
        if (read(told[0], &byte, 1) != 1)
            give_up("a process failed");
    close(told[0]);
    close(told[1]);
    return children;
}

void swarm_end(pid_t *children, long count)
{
    for (long i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    for (long i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
    free(children);
}

void workload_attach(long count)
{
    daemon_start();
    rest_ms(300);
    long before_kib = private_kib(daemon_pid);
    double before_ns = cpu_ns(daemon_pid), start = now_ns();
    pid_t *children = swarm_start(count);
    put("ATTACH all, wall time", bench_name, (now_ns() - start) / 1e6, "ms");
    put("ATTACH all, tallyd's CPU", bench_name, (cpu_ns(daemon_pid) - before_ns) / 1e6, "ms");
    rest_ms(2000);
    before_ns = cpu_ns(daemon_pid);
    start = now_ns();
    rest_ms(10000);
    put("ATTACH idle, tallyd's CPU", bench_name, (cpu_ns(daemon_pid) - before_ns) / (now_ns() - start) * 100, "%");
    put("ATTACH private memory a process", bench_name, (double)(private_kib(daemon_pid) - before_kib) / (double)count,
        "KiB");
    swarm_end(children, count);
}

/* ---- one process */

void produce(double events, double seconds)
{
    static void *live[1024];
    double start = now_ns(), end = start + seconds * 1e9;
    for (uint64_t done = 0; now_ns() < end;) {
        for (int i = 0; i < 500; i++, done += 2) {
            void **at = &live[random_next() & 1023];
            if (*at)
                tally_decref(*at);
            *at = wanted(tally_new(heap, node_type));
        }
        double due = start + (double)done / events * 1e9;
        while (now_ns() < due)
            rest_ms(due - now_ns() > 1.5e6 ? 1 : 0);
    }
}

static void paced(double events, const char *what)
{
    char figure[80];
    produce(events, 2);
    rest_ms(300);
    double lost = stats_number(getpid(), "\"lost\":"), before_ns = cpu_ns(daemon_pid), start = now_ns();
    produce(events, 5);
    double share = (cpu_ns(daemon_pid) - before_ns) / (now_ns() - start) * 100;
    rest_ms(300);
    snprintf(figure, sizeof figure, "DAEMON CPU at %s events/s", what);
    put(figure, bench_name, share, "%");
    snprintf(figure, sizeof figure, "DAEMON lost at %s events/s, from 2 s on", what);
    put(figure, bench_name, stats_number(getpid(), "\"lost\":") - lost, "events");
}

/* Pairs as W1 has them, for a second; ns a pair. */
static double pairs(void)
{
    static void *live[1024];
    uint64_t count = 0;
    double start = now_ns(), passed;
    do {
        for (int i = 0; i < 100000; i++, count++) {
            void **at = &live[count & 1023];
            if (*at)
                tally_decref(*at);
            *at = wanted(tally_new(heap, node_type));
        }
        passed = now_ns() - start;
    } while (passed < 1e9);
    return passed / (double)count;
}

/* A daemon that reads, one that is stopped, and one that is dead, in turn; pairs of each. */
static void troubles(void)
{
    double reading = 0, stopped = 0, dead = 0;
    long grown_kib = 0; /* while nobody reads, at full rate */
    for (int i = 0; i < 5; i++) {
        while (!attached())
            rest_ms(10);
        rest_ms(500);
        reading += pairs();
        kill(daemon_pid, SIGSTOP);
        long before_kib = memory_kib("VmRSS:");
        stopped += pairs();
        kill(daemon_pid, SIGKILL);
        waitpid(daemon_pid, NULL, 0);
        dead += pairs();
        grown_kib += memory_kib("VmRSS:") - before_kib;
        daemon_start();
    }
    put("DAEMON pair, attached", bench_name, reading / 5, "ns");
    put("DAEMON memory grown by its troubles", bench_name, (double)grown_kib, "KiB");
    put("DAEMON pair, daemon stopped", bench_name, stopped / 5, "ns");
    put("DAEMON pair, daemon stopped", "with a daemon that reads", reading / 5, "ns");
    put("DAEMON pair, daemon dead", bench_name, dead / 5, "ns");
    put("DAEMON pair, daemon dead", "with a daemon that reads", reading / 5, "ns");
}

void workload_daemon(void)
{
    daemon_start();
    if (tally_attach(heap))
        give_up("cannot attach");
    for (int i = 0; i < 500 && !attached(); i++)
        rest_ms(10);
    paced(1e6, "1 M");
    paced(5e6, "5 M");
    troubles();
}
