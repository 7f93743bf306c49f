/* What the system underneath the tests can do, found out while they run: an emulator of another machine's
 * system calls takes advice that it does not follow, and another machine asks for larger stacks. */
#ifndef TALLY_TEST_HEAP_SYSTEM_H
#define TALLY_TEST_HEAP_SYSTEM_H

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define SYSTEM_PAGE ((size_t)4096)

/* All mappings together, as this program sees them: statm would tell of an emulator's as well. */
static inline size_t system_address_space_bytes(void)
{
    char line[512];
    size_t bytes = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            bytes += (size_t)(to - from);
    }
    fclose(file);
    return bytes;
}

/* Whether a child finds zeroes where MADV_WIPEONFORK says so. qemu-user 7.2 takes the advice and forgets it. */
static inline bool system_wipes_on_fork(void)
{
    int status = 0;
    char *memory = mmap(NULL, SYSTEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memory[0] = 1;
    assert_int_equal(madvise(memory, SYSTEM_PAGE, MADV_WIPEONFORK), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(memory[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    munmap(memory, SYSTEM_PAGE);
    if (status)
        print_message("skipped: MADV_WIPEONFORK has no effect here\n");
    return !status;
}

/* Whether addresses that were given back are given out again, so that a heap that shrank and grew lies close
 * together. qemu-user goes on upwards instead. */
static inline bool system_gives_addresses_again(void)
{
    void *at[2];
    for (int i = 0; i < 2; i++) {
        at[i] = mmap(NULL, SYSTEM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(at[i], MAP_FAILED);
        munmap(at[i], SYSTEM_PAGE);
    }
    return at[0] == at[1];
}

/* 64 KiB, or the least that a thread may have here: 128 KiB on arm64, whose signal frames are large. */
static inline size_t system_stack_bytes(void)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    return least > 65536 ? (size_t)least : 65536;
}

#endif
