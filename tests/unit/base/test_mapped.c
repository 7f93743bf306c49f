/* A file that breaks off under its reader: zeroes for who reads, the end of it for who tries, and for anybody else what it always was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapped.h"

#define BYTES ((size_t)1 << 20)

/* A file without a name, of BYTES of 'x'. */
static int file_make(void)
{
    char text[4096];
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_true(fd >= 0);
    memset(text, 'x', sizeof text);
    for (size_t at = 0; at < BYTES; at += sizeof text)
        assert_int_equal(write(fd, text, sizeof text), sizeof text);
    return fd;
}

static size_t count(const struct mapped *mapped, char what)
{
    const volatile char *at = mapped->at;
    size_t found = 0;
    for (size_t i = 0; i < mapped->bytes; i += 512)
        found += at[i] == what;
    return found;
}

static void test_who_reads_gets_zeroes(void **state)
{
    (void)state;
    mapped_start(); /* again: cmocka has its own handler in each test */
    struct mapped cut, whole;
    int first = file_make(), second = file_make();
    assert_int_equal(mapped_open(&cut, first, BYTES, false), 0);
    assert_int_equal(mapped_open(&whole, second, BYTES, false), 0);
    assert_int_equal(count(&cut, 'x'), BYTES / 512);
    assert_int_equal(ftruncate(first, 4096), 0);
    assert_false(mapped_broken(&cut)); /* nobody has noticed */
    assert_int_equal(count(&cut, '\0'), BYTES / 512 - 8);
    assert_int_equal(count(&cut, '\0'), BYTES / 512); /* all of it, from then on */
    assert_true(mapped_broken(&cut));
    assert_false(mapped_broken(&whole));
    assert_int_equal(count(&whole, 'x'), BYTES / 512);
    mapped_close(&cut);
    assert_false(mapped_broken(&cut));
    assert_int_equal(mapped_open(&cut, second, BYTES, false), 0); /* in the place of the one that broke */
    assert_false(mapped_broken(&cut));
    mapped_close(&cut);
    mapped_close(&cut);
    mapped_close(&whole);
    close(first);
    close(second);
}

static int write_all(void *arg)
{
    const struct mapped *mapped = arg;
    for (size_t i = 0; i < mapped->bytes; i += 4096)
        ((volatile char *)mapped->at)[i] = 'y';
    return 7;
}

static void test_who_tries_ends(void **state)
{
    (void)state;
    mapped_start(); /* again: cmocka has its own handler in each test */
    struct mapped mapped;
    int fd = file_make();
    assert_int_equal(mapped_open(&mapped, fd, BYTES, true), 0);
    assert_int_equal(mapped_try(write_all, &mapped), 7);
    assert_int_equal(ftruncate(fd, BYTES / 2), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mapped_try(write_all, &mapped), -EIO);
    assert_true(mapped_broken(&mapped));
    assert_int_equal(((char *)mapped.at)[0], 'y'); /* nothing was put in its place */
    mapped_close(&mapped);
    close(fd);
}

static void *read_much(void *arg)
{
    size_t zeroes = 0;
    for (unsigned i = 0; i < 200; i++)
        zeroes += count(arg, '\0');
    return zeroes ? arg : NULL;
}

static void test_many_threads_read(void **state)
{
    (void)state;
    mapped_start(); /* again: cmocka has its own handler in each test */
    pthread_t threads[4];
    struct mapped mapped;
    int fd = file_make();
    assert_int_equal(mapped_open(&mapped, fd, BYTES, false), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_much, &mapped), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(count(&mapped, '\0'), BYTES / 512);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(mapped_broken(&mapped));
    mapped_close(&mapped);
    close(fd);
}

static void test_there_are_no_more_than_may_be(void **state)
{
    (void)state;
    mapped_start(); /* again: cmocka has its own handler in each test */
    static struct mapped all[MAPPED_MOST + 1];
    int fd = file_make();
    for (size_t i = 0; i < MAPPED_MOST; i++)
        assert_int_equal(mapped_open(&all[i], fd, BYTES, false), 0);
    assert_int_equal(mapped_open(&all[MAPPED_MOST], fd, BYTES, false), -EMFILE);
    mapped_close(&all[5]);
    assert_int_equal(mapped_open(&all[5], fd, BYTES, false), 0);
    for (size_t i = 0; i < MAPPED_MOST; i++)
        mapped_close(&all[i]);
    close(fd);
}

static void test_A7_of_watched_memory_a_page_is_zeroes(void **state)
{
    (void)state;
    mapped_start();
    int fd = file_make();
    volatile const char *at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    assert_int_equal(ftruncate(fd, 4096), 0);
    mapped_watch(NULL, 0, (const void *)(uintptr_t)at, BYTES);
    assert_int_equal(at[BYTES / 2], 0);
    assert_int_equal(at[4095], 'x');
    mapped_watch(NULL, 0, NULL, 0);
    munmap((void *)(uintptr_t)at, BYTES);
    close(fd);
}

/* How a child ends that does it. */
static int signal_of(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();
    if (!child) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        act();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_other(void)
{
    int fd = file_make();
    volatile char *at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (!ftruncate(fd, 0) && at[0])
        _exit(1);
}

/* Behind the end of what is watched. */
static void touch_beyond(void)
{
    int fd = file_make();
    volatile char *at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    mapped_watch((const void *)(uintptr_t)at, 4096, NULL, 0);
    if (!ftruncate(fd, 4096) && at[4096])
        _exit(1);
}

static void send_it(void)
{
    raise(SIGBUS);
}

static void test_any_other_ends_the_process(void **state)
{
    (void)state;
    mapped_start(); /* again: cmocka has its own handler in each test */
    struct mapped mapped; /* so that there is a handler */
    int fd = file_make();
    assert_int_equal(mapped_open(&mapped, fd, BYTES, false), 0);
    assert_int_equal(signal_of(touch_other), SIGBUS);
    assert_int_equal(signal_of(touch_beyond), SIGBUS);
    assert_int_equal(signal_of(send_it), SIGBUS);
    mapped_close(&mapped);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_reads_gets_zeroes),
        cmocka_unit_test(test_who_tries_ends),
        cmocka_unit_test(test_many_threads_read),
        cmocka_unit_test(test_there_are_no_more_than_may_be),
        cmocka_unit_test(test_A7_of_watched_memory_a_page_is_zeroes),
        cmocka_unit_test(test_any_other_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
