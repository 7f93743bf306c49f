/* What the system says of this process, read without malloc. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/capture.h"

#define THREADS_MAX 256u /* that are looked at; the others are taken to be like these */

struct entry { /* of getdents64(2) */
    uint64_t inode, offset;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

#define UNTOLD UINT64_MAX /* the file is longer than what is read of it */

/* The number behind a line's name in a file of /proc; 0: none. */
static uint64_t number_read(int folder, const char *path, const char *name)
{
    char text[8192];
    int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr(text, name);
    if (!line)
        return got == (ssize_t)sizeof text - 1 ? UNTOLD : 0;
    return strtoull(line + strlen(name), NULL, 10);
}

uint64_t agent_process_resident(void)
{
    uint64_t kib = number_read(AT_FDCWD, "/proc/self/status", "\nRssAnon:");
    return kib == UNTOLD ? 0 : kib * 1024;
}

bool agent_process_traced(void)
{
    return number_read(AT_FDCWD, "/proc/self/status", "\nTracerPid:");
}

static bool links_differ(const char *one, const char *two)
{
    char first[64], second[64];
    ssize_t length = readlink(one, first, sizeof first);
    return length > 0 && (readlink(two, second, sizeof second) != length || memcmp(first, second, (size_t)length) != 0);
}

bool agent_thread_unshared(void)
{
    return links_differ("/proc/thread-self/ns/pid", "/proc/thread-self/ns/pid_for_children") ||
           links_differ("/proc/thread-self/ns/time", "/proc/thread-self/ns/time_for_children");
}

/* Those of a thread's status; a thread that ends meanwhile has none. */
static bool thread_filtered(int tasks, const char *thread)
{
    char path[300];
    snprintf(path, sizeof path, "%.255s/status", thread);
    return thread[0] != '.' && number_read(tasks, path, "\nSeccomp:");
}

bool agent_process_filtered(void)
{
    _Alignas(8) char entries[2048];
    bool filtered = false;
    int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got = 0;
    for (unsigned threads = 0; tasks >= 0 && !filtered && threads < THREADS_MAX;) {
        got = syscall(SYS_getdents64, tasks, entries, sizeof entries);
        if (got <= 0)
            break;
        for (long at = 0; at < got && !filtered; threads++) {
            const struct entry *entry = (const void *)(entries + at);
            filtered = thread_filtered(tasks, entry->name);
            at += entry->bytes;
        }
    }
    if (tasks >= 0)
        close(tasks);
    return filtered;
}
