/* A tallyd of the bench's own, in folders of its own: see daemon.h. */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
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
pid_t daemon_pid;
int daemon_core = -1;

void rest_ms(long ms)
{
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) && errno == EINTR)
        continue;
}

void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core < 0)
        return;
    CPU_SET((size_t)core, &set);
    sched_setaffinity(0, sizeof set, &set); /* refused: then it runs where it may */
}

void path_in(char *out, size_t size, const char *name)
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
    pin(daemon_core);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    execl(program, program, "--http-listen", "127.0.0.1:0", "--runtime-dir", folder, "--state-dir", state,
          (char *)NULL);
    _exit(127);
}

void daemon_start(void)
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
double cpu_ns(pid_t pid)
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
long private_kib(pid_t pid)
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
double stats_number(pid_t pid, const char *member)
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

bool attached(void)
{
    char sentence[256];
    return tally_agent_status(sentence, sizeof sentence);
}

pid_t child(int core)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        give_up("no more processes");
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        pin(core);
    }
    return pid;
}

void child_end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
