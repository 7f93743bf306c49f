/* The API under load: tallyd on one core, this client on the other; in turn with a bare libmicrohttpd. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "daemon.h"

#define ROUNDS 5
#define SERVER_CORE 0
#define CLIENT_CORE 1
#define CONNECTIONS 8

/* ---- the bare server: "/" a constant of 2 KiB, an answer made for each request; "/kept" one that is reused, of the
 * header and the length that tallyd's has. */

static const char *kept_text;
static struct MHD_Response *kept;
static char constant[2048];

static struct MHD_Response *kept_make(void)
{
    const char *end = strstr(kept_text, "\r\n\r\n");
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(end + 4), (void *)(uintptr_t)(end + 4), MHD_RESPMEM_PERSISTENT);
    for (const char *line = strstr(kept_text, "\r\n") + 2; line < end; line = strstr(line, "\r\n") + 2) {
        char name[64] = "", value[1024] = "";
        if (sscanf(line, "%63[^:]: %1023[^\r]", name, value) == 2 && strcasecmp(name, "Content-Length") && strcasecmp(name, "Date"))
            MHD_add_response_header(response, name, value);
    }
    return response;
}

static enum MHD_Result bare_handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *data, size_t *data_bytes, void **context)
{
    static int seen;
    (void)arg, (void)method, (void)version, (void)data, (void)data_bytes;
    if (!*context) { /* answered before the request's end, it would cost the connection */
        *context = &seen;
        return MHD_YES;
    }
    if (url[1])
        return MHD_queue_response(connection, 200, kept);
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof constant, constant, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* Returns its process and *port. */
static pid_t bare_start(const char *answer, int *port)
{
    int told[2];
    if (pipe(told))
        give_up("no pipe");
    pid_t pid = child(SERVER_CORE);
    if (!pid) {
        kept_text = answer;
        kept = kept_make();
        memset(constant, ' ', sizeof constant);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct MHD_Daemon *bare = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, bare_handle, NULL,
                                                   MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
        int bound = bare ? MHD_get_daemon_info(bare, MHD_DAEMON_INFO_BIND_PORT)->port : 0;
        if (write(told[1], &bound, sizeof bound) != (ssize_t)sizeof bound)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(told[0], port, sizeof *port) != (ssize_t)sizeof *port || !*port)
        give_up("libmicrohttpd does not start");
    close(told[0]);
    close(told[1]);
    return pid;
}

/* ---- programs that are looked at */

static pid_t program_start(double events_a_second)
{
    pid_t pid = child(CLIENT_CORE);
    if (pid)
        return pid;
    if (tally_attach(heap))
        _exit(1);
    tally_decref(wanted(tally_new(heap, node_type)));
    if (events_a_second > 0)
        produce(events_a_second, 1e9);
    for (;;)
        pause();
}

static void program_wait(pid_t pid)
{
    for (int i = 0; i < 300 && stats_number(pid, "\"allocations\":") < 1; i++)
        rest_ms(10);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

struct contest { /* what is asked, of whom, in turn */
    const char *figure, *name;
    int port, status;
    char request[768];
    double per_s[ROUNDS], p99_us[ROUNDS];
};

static void contests_run(struct contest *contests, int count)
{
    static struct asker asker;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < count; i++) {
            asker = (struct asker){.request = contests[i].request, .connections = CONNECTIONS};
            ask(contests[i].port, &asker, 1, 1.0, contests[i].status);
            contests[i].per_s[round] = (double)asker.answers.count;
            contests[i].p99_us[round] = gap_of(&asker.answers, 100) / 1e3;
        }
}

void workload_http(void)
{
    enum { BARE, STATS, KEPT, OURS, SAME, CONTESTS };
    static struct contest contests[CONTESTS] = {
        [BARE] = {.name = "bare libmicrohttpd", .status = 200}, [STATS] = {.name = "busy", .status = 200},
        [KEPT] = {.name = "bare, reused", .status = 200}, [OURS] = {.name = "quiet", .status = 200},
        [SAME] = {.name = "304", .status = 304}};
    char path[96], headers[128] = "";
    daemon_core = SERVER_CORE;
    daemon_start();
    pid_t busy = program_start(1e6), quiet = program_start(0);
    program_wait(busy);
    program_wait(quiet);
    pin(CLIENT_CORE);
    rest_ms(1500); /* what is quiet has been read for the last time */
    snprintf(path, sizeof path, "/v1/processes/%d/stats", (int)busy);
    tallyd_request(contests[STATS].request, sizeof contests[STATS].request, "GET", path, "");
    snprintf(path, sizeof path, "/v1/processes/%d/stats", (int)quiet);
    tallyd_request(contests[OURS].request, sizeof contests[OURS].request, "GET", path, "");
    char *answer = answer_new(tallyd_port(), contests[OURS].request);
    const char *etag = strstr(answer, "ETag: ");
    if (etag)
        snprintf(headers, sizeof headers, "If-None-Match: %.*s\r\n", (int)strcspn(etag + 6, "\r"), etag + 6);
    tallyd_request(contests[SAME].request, sizeof contests[SAME].request, "GET", path, headers);
    int port;
    pid_t bare = bare_start(answer, &port);
    for (int i = 0; i < CONTESTS; i++)
        contests[i].port = i == BARE || i == KEPT ? port : tallyd_port();
    snprintf(contests[BARE].request, sizeof contests[BARE].request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    memcpy(contests[KEPT].request, contests[OURS].request, sizeof contests[KEPT].request); /* the same header to read */
    contests_run(contests, CONTESTS);
    double bare_s = median(contests[BARE].per_s, ROUNDS), bare_us = median(contests[BARE].p99_us, ROUNDS);
    put("HTTP stats", bench_name, median(contests[STATS].per_s, ROUNDS), "req/s");
    put("HTTP stats", "bare libmicrohttpd", bare_s, "req/s");
    put("HTTP stats p99", bench_name, median(contests[STATS].p99_us, ROUNDS), "us");
    put("HTTP stats p99", "bare libmicrohttpd", bare_us, "us");
    put("HTTP 304", bench_name, median(contests[SAME].per_s, ROUNDS), "req/s");
    put("HTTP 304", "bare libmicrohttpd", bare_s, "req/s");
    put("HTTP all checks", bench_name, median(contests[OURS].per_s, ROUNDS), "req/s");
    put("HTTP all checks", "bare libmicrohttpd, the same answer reused", median(contests[KEPT].per_s, ROUNDS), "req/s");
    child_end(bare);
    child_end(busy);
    child_end(quiet);
    free(answer);
}

/* ---- 1,000 processes */

static double page_ms(int port, const char *request, size_t *series)
{
    double start = now_ns();
    char *answer = answer_new(port, request);
    double took = (now_ns() - start) / 1e6;
    *series = 0;
    for (const char *line = strstr(answer, "\r\n\r\n"); line && *line; line = strchr(line + 1, '\n'))
        *series += line[1] > ' ' && line[1] != '#';
    free(answer);
    return took;
}

void workload_fleet(void)
{
    enum { PROCESSES = 1000 };
    static struct asker lists_asker, others;
    char lists[768], page[768], health[768];
    double pages[ROUNDS];
    size_t series;
    daemon_core = SERVER_CORE;
    daemon_start();
    pid_t *children = swarm_start(PROCESSES);
    pin(CLIENT_CORE);
    rest_ms(1000);
    int port = tallyd_port();
    tallyd_request(page, sizeof page, "GET", "/metrics", "");
    for (int i = 0; i < ROUNDS; i++) {
        pages[i] = page_ms(port, page, &series);
        rest_ms(1100); /* older than any answer that is kept */
    }
    put("FLEET metrics, 1,000 processes", bench_name, median(pages, ROUNDS), "ms");
    put("FLEET series a process", bench_name, (double)series / PROCESSES, "");
    tallyd_request(lists, sizeof lists, "GET", "/v1/processes?limit=1000", "");
    tallyd_request(health, sizeof health, "GET", "/healthz", "");
    lists_asker = (struct asker){.request = lists, .connections = 1};
    ask(port, &lists_asker, 1, 2.0, 200);
    put("FLEET list of 1,000 rows", bench_name, (double)lists_asker.answers.count / 2, "req/s");
    others = (struct asker){.request = health, .connections = 1, .pause_ns = 2e6};
    ask(port, &others, 1, 3.0, 200);
    double quiet_us = gap_of(&others.answers, 100) / 1e3;
    pid_t asking = child(CLIENT_CORE); /* a list each 10 ms, which its reader's own time leaves free */
    lists_asker.pause_ns = 1e7;
    if (!asking)
        ask(port, &lists_asker, 1, 60, 200);
    ask(port, &others, 1, 5.0, 200);
    child_end(asking);
    put("FLEET another request p99", bench_name, gap_of(&others.answers, 100) / 1e3, "us");
    put("FLEET another request p99", "beside no lists", quiet_us, "us");
    swarm_end(children, PROCESSES);
}
