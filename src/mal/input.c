/* Waiting. While the program waits for a line or sleeps, the heap's notify descriptor stands beside what it
 * waits for, so that a request from outside is served at once. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mal/mal.h"

static struct {
    char *bytes; /* the one native buffer: [start, end) is read and not yet used */
    size_t start, end, room;
    bool over;
} input;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until `fd` (-1: none) is readable or the time is up (timeout < 0: never), and serves requests
 * meanwhile. */
static void wait_for(struct mal *mal, int fd, int timeout_ms)
{
    struct pollfd files[2] = {{.fd = tally_notify_fd(mal->heap), .events = POLLIN},
                              {.fd = fd, .events = POLLIN}};
    tally_safepoint(mal->heap);
    if (poll(files, 2, timeout_ms) > 0 && files[0].revents)
        tally_safepoint(mal->heap);
}

static bool input_ready(void)
{
    struct pollfd file = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&file, 1, 0) != 0;
}

static bool room_make(void)
{
    if (input.start) {
        memmove(input.bytes, input.bytes + input.start, input.end - input.start);
        input.end -= input.start;
        input.start = 0;
    }
    if (input.end < input.room)
        return true;
    size_t room = input.room ? 2 * input.room : 4096;
    char *bytes = realloc(input.bytes, room);
    if (!bytes)
        return false;
    input.bytes = bytes;
    input.room = room;
    return true;
}

static void fill(struct mal *mal)
{
    if (!room_make()) {
        input.over = true;
        return;
    }
    while (!input_ready())
        wait_for(mal, STDIN_FILENO, -1);
    ssize_t got = read(STDIN_FILENO, input.bytes + input.end, input.room - input.end);
    if (got > 0)
        input.end += (size_t)got;
    else if (got == 0 || errno != EINTR)
        input.over = true;
}

/* The next line without its end; valid until the next call. What follows the last newline is a line too. */
const char *mal_line(struct mal *mal, const char *prompt, size_t *length)
{
    fputs(prompt, stdout);
    fflush(stdout);
    for (size_t looked = 0;;) {
        char *start = input.bytes + input.start;
        char *newline = input.end - input.start > looked
                            ? memchr(start + looked, '\n', input.end - input.start - looked)
                            : NULL;
        if (newline || (input.over && input.end > input.start)) {
            *length = newline ? (size_t)(newline - start) : input.end - input.start;
            input.start += *length + (newline != NULL);
            if (*length && start[*length - 1] == '\r')
                --*length;
            return start;
        }
        if (input.over)
            return NULL;
        looked = input.end - input.start;
        fill(mal);
    }
}

void mal_sleep(struct mal *mal, uint64_t ms)
{
    int64_t end = now_ms() + (int64_t)(ms < INT32_MAX ? ms : INT32_MAX);
    for (int64_t left = (int64_t)ms; left > 0; left = end - now_ms())
        wait_for(mal, -1, (int)(left < INT32_MAX ? left : INT32_MAX));
}

void mal_line_free(void)
{
    free(input.bytes);
    input.bytes = NULL;
}
