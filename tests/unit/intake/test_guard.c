/* The net under memory that faults though it should not. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "intake/private.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* Two pages of a file that then loses its second one. */
static volatile const char *shrunk_map(void)
{
    char path[] = "/tmp/tally-guard-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    assert_int_equal(pwrite(fd, "ab", 2, PAGE - 1), 2);
    void *memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    close(fd);
    return memory;
}

static void test_a_lost_page_reads_as_zeroes(void **state)
{
    (void)state;
    volatile const char *memory = shrunk_map();
    intake_guard_install();
    intake_guard_watch(NULL, 0, (const void *)(uintptr_t)memory, 2 * PAGE);
    assert_int_equal(memory[PAGE], 0);
    assert_int_equal(memory[PAGE - 1], 'a');
    intake_guard_watch(NULL, 0, NULL, 0);
    munmap((void *)(uintptr_t)memory, 2 * PAGE);
}

static void test_other_faults_end_the_process(void **state)
{
    int status;
    (void)state;
    volatile const char *memory = shrunk_map();
    pid_t child = fork();
    if (!child) {
        intake_guard_install();
        intake_guard_watch((const void *)(uintptr_t)memory, PAGE, NULL, 0);
        _exit(memory[PAGE]);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    munmap((void *)(uintptr_t)memory, 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_page_reads_as_zeroes),
        cmocka_unit_test(test_other_faults_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
