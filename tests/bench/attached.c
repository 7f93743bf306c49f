/* What tallyd costs, and what its troubles cost a host: with a real tallyd of the bench's own, in folders of its own,
 * and real programs that are children of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static char folder[64], state[80]; /* state lies in folder, the runtime folder of tallyd */
static pid_t daemon_pid;

static void rest_ms(long ms)
{
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) && errno == EINTR)
        continue;
}

static void path_in(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static int entry_remove(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void daemon_end(void)
{
    if (daemon_pid > 0) {
        kill(daemon_pid, SIGCONT);
        kill(daemon_pid, SIGTERM);
        waitpid(daemon_pid, NULL, 0);
    }
    daemon_pid = 0;
    nftw(folder, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static void daemon_exec(void)
{
    char program[512], own[480];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = '\0';
    snprintf(program, sizeof program, "%s/tallyd", own);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    execl(program, program, "--http-listen", "127.0.0.1:0", "--runtime-dir", folder, "--state-dir", state,
          (char *)NULL);
    _exit(127);
}

static void daemon_start(void)
{
    char path[128];
    struct stat status;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/tally-bench-XXXXXX");
        if (!mkdtemp(folder))
            give_up("no folder");
        snprintf(state, sizeof state, "%s/state", folder);
        mkdir(state, 0700);
        setenv("TALLY_RUNTIME_DIR", folder, 1);
        atexit(daemon_end);
    }
    path_in(path, sizeof path, "http.addr");
    unlink(path);
    daemon_pid = fork();
    if (!daemon_pid)
        daemon_exec();
    for (int i = 0; i < 500 && stat(path, &status); i++)
        rest_ms(10);
    if (daemon_pid < 0 || stat(path, &status))
        give_up("tallyd does not start");
}

/* CPU time of a process, ns: of 10 ms steps. */
static double cpu_ns(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char own[512];
        snprintf(own, sizeof own, "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(own, "r");
        if (file && fgets(text, sizeof text, file))
            sum += strtod(text, NULL);
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

/* Memory that is the process's alone, KiB. */
static long private_kib(pid_t pid)
{
    char path[64], line[256];
    long sum = 0, value;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Private_%*[A-Za-z]: %ld", &value) == 1)
            sum += value;
    if (file)
        fclose(file);
    return sum;
}

/* A number of a process's stats, asked of api.sock; -1: there is none. */
static double stats_number(pid_t pid, const char *member)
{
    static char text[65536];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t used = 0;
    path_in(address.sun_path, sizeof address.sun_path, "api.sock");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        give_up("tallyd does not answer");
    dprintf(fd, "GET /v1/processes/%d/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (int)pid);
    for (ssize_t got; used < sizeof text - 1 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)got;
    close(fd);
    text[used] = '\0';
    const char *found = strstr(text, member);
    return found ? strtod(found + strlen(member), NULL) : -1;
}

static bool attached(void)
{
    char sentence[256];
    return tally_agent_status(sentence, sizeof sentence);
}

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

void workload_attach(long count)
{
    pid_t *children = wanted(calloc((size_t)count, sizeof *children));
    int told[2];
    char byte;
    if (pipe(told))
        give_up("no pipe");
    daemon_start();
    rest_ms(300);
    long before_kib = private_kib(daemon_pid);
    double before_ns = cpu_ns(daemon_pid), start = now_ns();
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
    put("ATTACH all, wall time", bench_name, (now_ns() - start) / 1e6, "ms");
    put("ATTACH all, tallyd's CPU", bench_name, (cpu_ns(daemon_pid) - before_ns) / 1e6, "ms");
    rest_ms(2000);
    before_ns = cpu_ns(daemon_pid);
    start = now_ns();
    rest_ms(10000);
    put("ATTACH idle, tallyd's CPU", bench_name, (cpu_ns(daemon_pid) - before_ns) / (now_ns() - start) * 100, "%");
    put("ATTACH private memory a process", bench_name, (double)(private_kib(daemon_pid) - before_kib) / (double)count,
        "KiB");
    start = now_ns();
    for (long i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    for (long i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
    free(children);
}

/* ---- one process */

/* Allocates and frees at `events` a second for so long. */
static void produce(double events, double seconds)
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
