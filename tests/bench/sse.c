/* 64 streams of what changes all the time, beside a plain loop that sends as many frames of the same size. A frame's delay
 * at a reader is counted from its arrival at the first of them: what it costs to tell 64 the same. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "daemon.h"

#define STREAMS 64
#define PROGRAMS 3 /* each is told of 4 times a second */
#define SECONDS 10
#define KNOWN 256

struct reader {
    int fd;
    char line[64], id[64]; /* the beginning of the line that comes; the frame's number, which others have too */
    size_t used;
};
static struct known { uint64_t name; double at_ns; } known[KNOWN];
static struct gaps delays;
static uint64_t bytes_read;

static uint64_t hash_of(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* A frame's number and the beginning of its data have come. */
static void frame_note(const char *id, const char *data, double now)
{
    uint64_t hash = hash_of(hash_of(14695981039346656037u, id), data);
    struct known *at = &known[hash % KNOWN];
    if (at->name == hash) {
        gaps_add(&delays, (uint64_t)(now - at->at_ns));
        return;
    }
    *at = (struct known){hash, now};
    gaps_add(&delays, 0);
}

static void reader_read(struct reader *reader)
{
    static char text[1 << 16];
    ssize_t got = recv(reader->fd, text, sizeof text, 0);
    double now = now_ns();
    if (got <= 0)
        give_up("a stream ended");
    bytes_read += (uint64_t)got;
    for (ssize_t i = 0; i < got; i++) {
        if (text[i] == '\n') {
            reader->line[reader->used] = '\0';
            if (!strncmp(reader->line, "id: ", 4))
                memcpy(reader->id, reader->line, sizeof reader->id);
            else if (!strncmp(reader->line, "data: ", 6))
                frame_note(reader->id, reader->line, now);
            reader->used = 0;
        } else if (reader->used < sizeof reader->line - 1) {
            reader->line[reader->used++] = text[i];
        }
    }
}

/* Opens the streams and reads for so long; the sender's CPU, % of a core. */
static double streams_read(int port, const char *request, pid_t sender, double seconds)
{
    static struct reader readers[STREAMS];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < STREAMS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
        readers[i] = (struct reader){.fd = dial(port)};
        dprintf(readers[i].fd, "%s", request);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, readers[i].fd, &event);
    }
    double start = 0, before_ns = 0, end = now_ns() + 1.5e9; /* the first frames are of the opening */
    for (int warm = 1; warm >= 0; warm--) {
        while (now_ns() < end) {
            struct epoll_event events[STREAMS];
            int ready = epoll_wait(epoll_fd, events, STREAMS, 10);
            for (int i = 0; i < ready; i++)
                reader_read(events[i].data.ptr);
        }
        if (warm) {
            memset(&delays, 0, sizeof delays);
            bytes_read = 0;
            start = now_ns();
            before_ns = cpu_ns(sender);
            end = start + seconds * 1e9;
        }
    }
    double share = (cpu_ns(sender) - before_ns) / (now_ns() - start) * 100;
    for (int i = 0; i < STREAMS; i++)
        close(readers[i].fd);
    close(epoll_fd);
    return share;
}

/* The plain loop: to all who have come, so many frames of so many bytes a second. */
static void plain_send(int listen_fd, double frames, size_t bytes)
{
    int fds[STREAMS], count = 0;
    static char frame[1 << 16];
    while (count < STREAMS && (fds[count] = accept(listen_fd, NULL, NULL)) >= 0)
        count++;
    double due = now_ns();
    for (unsigned n = 0;; n++) {
        memset(frame, 'x', bytes);
        int head = snprintf(frame, sizeof frame, "id: plain-%u\ndata: ", n);
        frame[head] = 'x';
        frame[bytes - 2] = frame[bytes - 1] = '\n';
        for (int i = 0; i < count; i++)
            if (send(fds[i], frame, bytes, MSG_NOSIGNAL) < 0)
                _exit(0);
        due += 1e9 / frames;
        while (now_ns() < due)
            rest_ms((long)((due - now_ns()) / 1e6) + 1);
    }
}

static double plain_read(double frames, size_t bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, STREAMS) ||
        getsockname(fd, (struct sockaddr *)&address, &length))
        give_up("no socket");
    pid_t pid = child(0);
    if (!pid)
        plain_send(fd, frames, bytes);
    double share = streams_read(ntohs(address.sin_port), "", pid, SECONDS);
    child_end(pid);
    close(fd);
    return share;
}

static pid_t program_start(void)
{
    pid_t pid = child(1);
    if (pid)
        return pid;
    if (tally_attach(heap))
        _exit(1);
    produce(10000, 1e9);
    _exit(0);
}

void workload_sse(void)
{
    char path[256] = "/v1/stream?topics=", request[768];
    pid_t programs[PROGRAMS];
    daemon_core = 0;
    daemon_start();
    for (int i = 0; i < PROGRAMS; i++) {
        programs[i] = program_start();
        for (int n = 0; n < 300 && stats_number(programs[i], "\"allocations\":") < 1; n++)
            rest_ms(10);
        snprintf(path + strlen(path), sizeof path - strlen(path), "%sstats:%d", i ? "," : "", (int)programs[i]);
    }
    tallyd_request(request, sizeof request, "GET", path, "");
    pin(1);
    double before_ns = cpu_ns(daemon_pid), start = now_ns();
    rest_ms(SECONDS * 1000 / 2);
    double idle = (cpu_ns(daemon_pid) - before_ns) / (now_ns() - start) * 100;
    double share = streams_read(tallyd_port(), request, daemon_pid, SECONDS) - idle;
    double frames = (double)delays.count / STREAMS / SECONDS, p99 = gap_of(&delays, 100) / 1e3;
    size_t bytes = delays.count ? bytes_read / delays.count : 1024;
    put("SSE frames a second a stream", bench_name, frames, "frames/s");
    put("SSE bytes a frame", bench_name, (double)bytes, "B");
    put("SSE CPU of 64 streams", bench_name, share, "%");
    put("SSE delay p99", bench_name, p99, "us");
    double plain = plain_read(frames, bytes);
    put("SSE CPU of 64 streams", "plain loop", plain, "%");
    put("SSE delay p99", "plain loop", gap_of(&delays, 100) / 1e3, "us");
    for (int i = 0; i < PROGRAMS; i++)
        child_end(programs[i]);
}
