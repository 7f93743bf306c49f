/* The bytes of a connection, through libmicrohttpd and all of the api, with the trust that the Unix socket
 * has. Whatever comes, the answer begins as HTTP or is none, and the daemon goes on. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/private.h"
#include "base/clock.h"
#include "history/history.h"
#include "intake/intake.h"
#include "tallyd/tallyd.h"
#include "wire/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct api *api;
static struct operations *operations;

/* Two rows, whatever is listed: one of them with values that no library sends. */
static void rows_send(const char *process, const struct wire_command *command)
{
    struct { struct wire_rows head; struct wire_object rows[2]; } objects = {.rows = {{.object = 1}, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX}}};
    struct { struct wire_rows head; struct { struct wire_cycle row; char text[8]; } rows[2]; } cycles = {
        .rows = {{{.count = 1, .text_bytes = 8}, "node.nex"}, {{.count = UINT64_MAX, .text_bytes = 3}, "\xff\n\x01"}}};
    bool shapes = command->kind == WIRE_COMMAND_CYCLES;
    struct wire_rows *rows = shapes ? &cycles.head : &objects.head;
    *rows = (struct wire_rows){.head = wire_head_make(WIRE_ROWS, shapes ? sizeof cycles : sizeof objects),
                               .operation = command->operation, .heap_number = command->heap_number,
                               .kind = command->kind, .count = 2};
    operations_rows(operations, process, rows);
}

/* A host that obeys at once. */
static int obey(void *arg, const char *process, const struct wire_command *command)
{
    (void)arg;
    if (wire_command_lists(command->kind))
        rows_send(process, command);
    operations_ack(operations, process,
                   &(struct wire_ack){.operation = command->operation, .heap_number = command->heap_number,
                                      .state = WIRE_ACK_SUCCEEDED});
    return 0;
}

static void process_add(struct stats *stats)
{
    static struct wire_hello_view hello = {.library = "0", .name = "host"};
    struct intake_process process = {.id = "0123456789abcdef0123456789abcdef", .pid = 7, .hello = &hello};
    const struct intake_row row = {.allocated = 3, .freed_cycle = 1};
    const struct intake_type type = {.name = "node"};
    struct intake_sink sink;
    stats_sink_init(stats, &sink);
    void *handle = sink.attached(stats, &process);
    sink.sample(stats, handle,
                &(struct intake_sample){.heap_number = 1,
                                        .type_count = 1,
                                        .rows = &row,
                                        .types = &type,
                                        .summary = {.valid = true, .manager = WIRE_MANAGER_GENERATIONAL}});
    sink.swept(stats, true);
}

static void start(void)
{
    char address[64];
    bool loopback;
    struct stats *stats = stats_new();
    operations = operations_new("feedbeef", obey, NULL, NULL);
    process_add(stats);
    struct history *history = NULL;
    if (history_start(&(struct history_options){.stats = stats}, &history))
        abort();
    struct api_options options = {.stats = stats,
                                  .history = history,
                                  .audit = audit_new(),
                                  .operations = operations,
                                  .rules = rules_new(&(struct rules_options){.operations = operations, .command = api_command_read}),
                                  .tcp_address = address,
                                  .loopback = true,
                                  .start_id = "feedbeef",
                                  .token = "x",
                                  .sessions_path = "/dev/null/sessions",
                                  .runtime_dir = "",
                                  .state_dir = ""};
    options.tcp_fd = listen_tcp("127.0.0.1", "0");
    options.unix_fd = listen_tcp("127.0.0.1", "0");
    if (listen_name(options.tcp_fd, address, sizeof address, &loopback))
        abort();
    if (api_start(&options, &api))
        abort();
}

static void answers_read(int fd)
{
    char bytes[16384];
    bool first = true;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 20) == 1) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        if (first && (got < 9 || memcmp(bytes, "HTTP/1.1 ", 9)))
            abort();
        first = false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!api)
        start();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        abort();
    connection_take(&api->unix_, fds[1], (struct sockaddr *)&address, sizeof address);
    if (send(fds[0], data, size, MSG_NOSIGNAL) >= 0)
        answers_read(fds[0]);
    close(fds[0]);
    return 0;
}
