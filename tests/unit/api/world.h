/* A daemon's right half in this process: the api on a loopback port and a Unix socket in a folder of its own, real
 * stats that are fed by hand, and a host that acknowledges as the test says. */
#ifndef TESTS_UNIT_API_WORLD_H
#define TESTS_UNIT_API_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../operations/heard.h"
#include "api/private.h"
#include "base/clock.h"
#include "intake/intake.h"
#include "tallyd/tallyd.h"
#include "wire/feed.h"

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PROCESS "0123456789abcdef0123456789abcdef"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"

struct world {
    struct stats *stats;
    struct intake_sink sink;
    struct heard heard; /* by the audit */
    struct operations *operations;
    struct rules *rules;
    struct api *api;
    void *process;
    char folder[64], socket[96], sessions[96], address[64];
    uint16_t port;
    enum { HOST_SILENT, HOST_SUCCEEDS, HOST_REFUSES, HOST_IS_GONE } host;
    int32_t error; /* with which the host refuses */
    struct wire_command last; /* what the host was sent; read when a request has been answered */
    uint64_t collections;
    uint64_t sampled_ns; /* a moment before the first sample */
};

static int world_send(void *arg, const char *process, const struct wire_command *command)
{
    struct world *world = arg;
    if (world->host == HOST_IS_GONE)
        return -ESRCH;
    world->last = *command;
    struct wire_ack ack = {.state = WIRE_ACK_SUCCEEDED, .operation = command->operation,
                           .heap_number = command->heap_number, .collected = 3, .freed_bytes = 96, .pause_ns = 1000,
                           .safepoint_wait_ns = 2000};
    if (command->kind == WIRE_COMMAND_CANCEL)
        ack.state = WIRE_ACK_CANCELLED;
    if (world->host == HOST_REFUSES)
        ack = (struct wire_ack){.state = WIRE_ACK_FAILED, .operation = command->operation,
                                .heap_number = command->heap_number, .error = world->error};
    if (world->host == HOST_SUCCEEDS || world->host == HOST_REFUSES || command->kind == WIRE_COMMAND_CANCEL)
        operations_ack(world->operations, process, &ack);
    return 0;
}

/* One heap's counters as they are now: `live` objects of 32 bytes, and a further collection where asked. */
static void world_sample(struct world *world, uint32_t heap, uint64_t live, bool collected)
{
    const struct intake_row row = {.allocated = live + 5, .freed_refcount = 3, .freed_cycle = 2,
                                   .allocated_bytes = 32 * (live + 5), .freed_refcount_bytes = 96,
                                   .freed_cycle_bytes = 64, .untold_allocated = live + 5,
                                   .untold_freed_refcount = 3, .untold_freed_cycle = 2};
    const struct intake_type type = {.name = "node", .size_bytes = 32};
    const struct intake_record record = {.sequence = world->collections + collected, .start_ns = clock_mono_ns(),
                                         .pause_ns = 1000, .collected = 2, .generation = 2,
                                         .reason = 1, .manager = WIRE_MANAGER_GENERATIONAL};
    const struct intake_sample sample = {
        .heap_number = heap, .mono_ns = clock_mono_ns(), .safepoint_ns = clock_mono_ns(), .mapped_bytes = 65536,
        .type_count = 1, .rows = &row, .types = &type,
        .summary = {.valid = true, .enabled = 1, .manager = WIRE_MANAGER_GENERATIONAL, .level = 1, .thresholds = {700, 10, 10}},
        .has_ring = true, .record_count = collected, .records = &record};
    world->collections += collected;
    world->sink.sample(world->stats, world->process, &sample);
    world->sink.swept(world->stats, true);
}

static void *world_attach(struct world *world, const char *id, pid_t pid, const char *name)
{
    static struct wire_hello_view hello;
    struct intake_process process = {.pid = pid, .uid = getuid(), .hello = &hello};
    memset(&hello, 0, sizeof hello);
    snprintf(hello.name, sizeof hello.name, "%s", name);
    snprintf(hello.library, sizeof hello.library, "0.1.0");
    hello.label_count = 1;
    snprintf(hello.labels[0].key, sizeof hello.labels[0].key, "tier");
    snprintf(hello.labels[0].value, sizeof hello.labels[0].value, "gold");
    snprintf(process.id, sizeof process.id, "%s", id);
    return world->sink.attached(world->stats, &process);
}

static int world_start(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    bool loopback;
    snprintf(world->folder, sizeof world->folder, "/tmp/tally-api-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->socket, sizeof world->socket, "%s/api.sock", world->folder);
    snprintf(world->sessions, sizeof world->sessions, "%s/sessions", world->folder);
    world->stats = stats_new();
    stats_sink_init(world->stats, &world->sink);
    heard_start(&world->heard);
    world->operations = operations_new("feedbeef", world_send, world, world->heard.audit);
    world->rules = rules_new(&(struct rules_options){.operations = world->operations, .command = api_command_read});
    world->host = HOST_SUCCEEDS;
    int tcp = listen_tcp("127.0.0.1", "0");
    assert_int_equal(listen_name(tcp, world->address, sizeof world->address, &loopback), 0);
    int local = listen_unix(world->socket, 0600, NULL);
    world->port = (uint16_t)atoi(strrchr(world->address, ':') + 1);
    world->process = world_attach(world, PROCESS, 4242, "host");
    world->sampled_ns = clock_mono_ns();
    world_sample(world, 1, 10, true);
    *state = world;
    return api_start(&(struct api_options){.stats = world->stats, .operations = world->operations,
                                           .audit = world->heard.audit, .rules = world->rules, .tcp_fd = tcp, .unix_fd = local, .tcp_address = world->address, .loopback = true,
                                           .start_id = "feedbeef", .token = TOKEN, .sessions_path = world->sessions,
                                           .runtime_dir = world->folder, .state_dir = world->folder},
                     &world->api);
}

static int world_stop(void **state)
{
    struct world *world = *state;
    uint64_t start = clock_mono_ns();
    api_stop(world->api);
    assert_true(clock_mono_ns() - start < 5000000000u); /* not the time for which somebody waits */
    rules_free(world->rules);
    operations_free(world->operations);
    audit_free(world->heard.audit);
    world->sink.released(world->stats, world->process);
    stats_free(world->stats);
    unlink(world->socket);
    unlink(world->sessions);
    assert_int_equal(rmdir(world->folder), 0);
    free(world);
    return 0;
}

static inline int dial_tcp(const struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(world->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline int dial_unix(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A `$` in a text stands for the port, a `#` for the length of the body. */
static inline void say(const struct world *world, int fd, const char *text)
{
    char *out = malloc(strlen(text) * 6 + 1);
    const char *body = strstr(text, "\r\n\r\n");
    size_t at = 0;
    for (; *text; text++)
        if (*text == '$' || *text == '#')
            at += (size_t)snprintf(out + at, 6, "%u", *text == '$' ? world->port : (unsigned)strlen(body + 4));
        else
            out[at++] = *text;
    for (size_t sent = 0; sent < at;) {
        ssize_t bytes = send(fd, out + sent, at - sent, MSG_NOSIGNAL);
        if (bytes <= 0)
            break;
        sent += (size_t)bytes;
    }
    free(out);
}

/* Reads until `until` has come (NULL: until the end), at most for so long. Returns what came; static. */
static inline const char *hear_for(int fd, const char *until, uint64_t most_ns)
{
    static char text[1 << 20];
    size_t length = 0;
    uint64_t end = clock_mono_ns() + most_ns;
    text[0] = '\0';
    while (clock_mono_ns() < end && length + 1 < sizeof text && !(until && strstr(text, until))) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 100) != 1)
            continue;
        ssize_t bytes = recv(fd, text + length, sizeof text - 1 - length, 0);
        if (bytes <= 0)
            break;
        length += (size_t)bytes;
        text[length] = '\0';
    }
    return text;
}

static inline const char *hear(int fd, const char *until)
{
    return hear_for(fd, until, 30000000000u);
}

/* One request, one answer. */
static inline const char *ask_on(const struct world *world, int fd, const char *text)
{
    say(world, fd, text);
    const char *answer = hear(fd, NULL);
    close(fd);
    return answer;
}

static inline int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) ? 0 : atoi(answer + 9);
}

static inline json_t *json_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    return body ? json_loads(body + 4, 0, NULL) : NULL;
}

#endif
