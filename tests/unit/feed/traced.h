/* A child that goes on as far as its parent lets it: ptrace(2). */
#ifndef TALLY_TEST_FEED_TRACED_H
#define TALLY_TEST_FEED_TRACED_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Forks, and runs it in the child until its first SIGTRAP. Where no process may be traced the test is skipped. */
static inline pid_t traced_start(void (*run)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(77);
        run(arg);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        print_message("skipped: no process may be traced here\n");
        skip();
    }
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL), 0);
    return child;
}

/* Lets the child go on until its next stop; false when it has ended. */
static inline bool traced_continue(pid_t child, enum __ptrace_request request)
{
    int status = 0;
    assert_int_equal(ptrace(request, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return false;
    }
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGTRAP);
    return true;
}

#endif
