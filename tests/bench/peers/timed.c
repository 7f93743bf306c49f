/* timed FILE PROGRAM [ARGUMENT]...: runs the program, and writes into FILE the seconds it took from start to end
 * and its peak memory in KiB. Started from here and not from bench.py, since a process begins with the peak of
 * the one that it was forked from. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 3)
        return 2;
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child)
        return 1;
    double seconds = now() - start;
    FILE *file = fopen(argv[1], "w");
    if (!file || fprintf(file, "%.6f %ld\n", seconds, used.ru_maxrss) < 0 || fclose(file))
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
