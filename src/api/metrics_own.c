/* What the system knows of tallyd itself. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/metrics.h"

static uint64_t descriptors_count(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* without ".", ".." and the folder itself */
}

void metrics_own_read(struct metrics_own *own)
{
    struct timespec cpu = {.tv_sec = 0};
    struct rlimit limit;
    unsigned long long pages = 0, resident = 0;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%llu %llu", &pages, &resident) != 2)
        pages = resident = 0;
    if (statm)
        fclose(statm);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    own->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    own->virtual_bytes = pages * page_bytes;
    own->resident_bytes = resident * page_bytes;
    own->open_fds = descriptors_count();
    own->max_fds = getrlimit(RLIMIT_NOFILE, &limit) ? 0 : limit.rlim_cur;
}
