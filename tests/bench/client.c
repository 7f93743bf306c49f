#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"

struct link {
    int fd;
    struct asker *asker;
    double asked_ns, due_ns; /* due: 0: it waits for an answer */
    char head[4096];
    size_t used, left; /* left: of the body, once the header is whole */
    bool in_body;
};

int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        give_up("port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void line_read(const char *name, char *out, size_t size)
{
    char path[128];
    path_in(path, sizeof path, name);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(out, (int)size, file))
        give_up("%s: cannot be read", path);
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

int tallyd_port(void)
{
    char address[128];
    line_read("http.addr", address, sizeof address);
    return atoi(strrchr(address, ':') + 1);
}

void tallyd_request(char *out, size_t size, const char *method, const char *path, const char *headers)
{
    char address[128], token[128];
    line_read("http.addr", address, sizeof address);
    line_read("token", token, sizeof token);
    snprintf(out, size, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", method, path, address, token, headers);
}

static void link_ask(struct link *link)
{
    size_t bytes = strlen(link->asker->request);
    link->asked_ns = now_ns();
    link->due_ns = 0;
    link->used = 0;
    link->in_body = false;
    if (send(link->fd, link->asker->request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        give_up("a connection ended");
}

/* The header is whole: what follows it is of the body. */
static void head_read(struct link *link, const char *end, int status)
{
    const char *length = strcasestr(link->head, "\r\nContent-Length:");
    size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0, have = link->used - (size_t)(end + 4 - link->head);
    if (atoi(link->head + 9) != status)
        give_up("not %d: %.300s", status, link->head);
    link->left = status == 304 || have >= body ? 0 : body - have;
    link->in_body = true;
}

/* Whether the answer is whole. */
static bool link_read(struct link *link, int status)
{
    static char body[1 << 18];
    ssize_t got = link->in_body ? recv(link->fd, body, link->left < sizeof body ? link->left : sizeof body, 0)
                                : recv(link->fd, link->head + link->used, sizeof link->head - 1 - link->used, 0);
    if (got <= 0)
        give_up("a connection ended");
    if (link->in_body) {
        link->left -= (size_t)got;
    } else {
        link->used += (size_t)got;
        link->head[link->used] = '\0';
        const char *end = strstr(link->head, "\r\n\r\n");
        if (end)
            head_read(link, end, status);
    }
    return link->in_body && !link->left;
}

static void link_next(struct link *link)
{
    double now = now_ns();
    gaps_add(&link->asker->answers, (uint64_t)(now - link->asked_ns));
    if (link->asker->pause_ns > 0)
        link->due_ns = now + link->asker->pause_ns;
    else
        link_ask(link);
}

static void links_serve(int epoll_fd, struct link *links, int count, double end, int status)
{
    struct epoll_event events[64];
    while (now_ns() < end) {
        int ready = epoll_wait(epoll_fd, events, 64, 1);
        for (int i = 0; i < ready; i++)
            if (link_read(events[i].data.ptr, status))
                link_next(events[i].data.ptr);
        for (int i = 0; i < count; i++)
            if (links[i].due_ns > 0 && now_ns() >= links[i].due_ns)
                link_ask(&links[i]);
    }
}

void ask(int port, struct asker *askers, int count, double seconds, int status)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), total = 0;
    for (int i = 0; i < count; i++)
        total += askers[i].connections;
    struct link *links = wanted(calloc((size_t)total, sizeof *links)), *link = links;
    for (int i = 0; i < count; i++) {
        memset(&askers[i].answers, 0, sizeof askers[i].answers);
        for (int n = 0; n < askers[i].connections; n++, link++) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
            *link = (struct link){.fd = dial(port), .asker = &askers[i]};
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event);
            link_ask(link);
        }
    }
    links_serve(epoll_fd, links, total, now_ns() + seconds * 1e9, status);
    for (int i = 0; i < total; i++)
        close(links[i].fd);
    close(epoll_fd);
    free(links);
}

char *answer_new(int port, const char *request)
{
    struct asker asker = {.request = request};
    struct link link = {.fd = dial(port), .asker = &asker};
    link_ask(&link);
    size_t used = 0, room = 1 << 16;
    char *text = wanted(malloc(room));
    for (size_t whole = room; used < whole;) {
        if (room - used < 65536)
            text = wanted(realloc(text, room *= 2));
        ssize_t got = recv(link.fd, text + used, room - used - 1, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
        text[used] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
        whole = end ? (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0) : SIZE_MAX;
    }
    text[used] = '\0';
    close(link.fd);
    return text;
}
