#include "tallyd/service.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"
#include "tallyd/tallyd.h"

static const struct {
    const char *name;
    int family, type; /* AF_UNSPEC: any */
} kinds[SERVICE_SOCKETS] = {{"http", AF_UNSPEC, SOCK_STREAM},
                            {"api", AF_UNIX, SOCK_STREAM},
                            {"agent", AF_UNIX, SOCK_SEQPACKET}};
static int sockets[SERVICE_SOCKETS] = {-1, -1, -1};
static uint64_t watchdog_us; /* 0: nobody watches */
static char described[160];

static const char *socket_take(const char *name, int fd)
{
    size_t kind = 0;
    while (kind < SERVICE_SOCKETS && strcmp(name, kinds[kind].name) != 0)
        kind++;
    if (kind == SERVICE_SOCKETS)
        return "is none of http, api and agent";
    if (sockets[kind] >= 0)
        return "stands twice";
    if (sd_is_socket(fd, kinds[kind].family, kinds[kind].type, 1) <= 0)
        return "is no listening socket of its kind";
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    sockets[kind] = fd;
    return NULL;
}

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    size_t at = strlen(described);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(described + at, sizeof described - at, format, arguments);
    va_end(arguments);
}

static void describe(void)
{
    char *unit = NULL;
    bool found = sd_pid_get_unit(0, &unit) >= 0 || sd_pid_get_user_unit(0, &unit) >= 0;
    add("%.80s", found ? unit : "a service manager");
    free(unit);
    if (watchdog_us)
        add(", watchdog %g s", (double)watchdog_us / 1e6);
    for (size_t i = 0, first = 1; i < SERVICE_SOCKETS; i++)
        if (sockets[i] >= 0) {
            add("%s%s", first ? ", sockets " : " ", kinds[i].name);
            first = 0;
        }
}

const char *service_text(void)
{
    return described;
}

bool service_open(char *why, size_t why_bytes)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);
    const char *wrong = NULL;
    for (int i = 0; i < count; i++) {
        const char *one = wrong ? NULL : socket_take(names[i], SD_LISTEN_FDS_START + i);
        if (one)
            snprintf(why, why_bytes, "LISTEN_FDNAMES: the socket '%.100s' %s", names[i], wrong = one);
        free(names[i]);
    }
    free(names);
    if (sd_watchdog_enabled(1, &watchdog_us) <= 0)
        watchdog_us = 0;
    if (getenv("NOTIFY_SOCKET") || count > 0)
        describe();
    return !wrong;
}

int service_socket(enum service_socket which)
{
    return sockets[which];
}

void service_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void service_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_mono_ns() / 1000u));
}

void service_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

/* ---- the watchdog */

/* A request that nobody waits for: that it is read is what we want to see. Returns the socket, or -1. */
static int ask(const struct sockaddr *address, socklen_t address_bytes, const char *host)
{
    char request[160];
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, address, address_bytes) && errno != EINPROGRESS)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int length = snprintf(request, sizeof request, "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
    (void)!send(fd, request, (size_t)length, MSG_NOSIGNAL);
    return fd;
}

static int unix_ask(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return ask((const struct sockaddr *)&address, sizeof address, "tallyd");
}

static int tcp_ask(const char *text)
{
    char host[64], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *info;
    if (!address_split(text, host, sizeof host, port, sizeof port) || getaddrinfo(host, port, &hints, &info))
        return -1;
    int fd = ask(info->ai_addr, info->ai_addrlen, text);
    freeaddrinfo(info);
    return fd;
}

/* Tells the manager that we live, unless one of us does not: then it says so, and is silent. */
static void watchdog_tell(void)
{
    static const char *missed;
    const char *silent = pulse_silent(clock_mono_ns());
    if (!silent)
        sd_notify(0, "WATCHDOG=1");
    else if (silent != missed)
        log_warn("%s hangs: the watchdog hears no more of us", silent);
    missed = silent;
}

/* The listeners are asked well before they would seem to hang, however seldom the manager wants to hear of us. */
#define ASK_NS UINT64_C(5000000000)

int service_wait(const sigset_t *signals, const char *unix_path, const char *tcp_address)
{
    static uint64_t due_ns; /* of the next word to the watchdog: reloads do not put it off */
    int asked[2] = {-1, -1}, number;
    for (;;) {
        uint64_t now_ns = clock_mono_ns(), pause_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        struct timespec pause = {(time_t)(pause_ns / 1000000000u), (long)(pause_ns % 1000000000u)};
        number = sigtimedwait(signals, NULL, watchdog_us ? &pause : NULL);
        for (int i = 0; i < 2; i++) {
            if (asked[i] >= 0)
                close(asked[i]);
            asked[i] = -1;
        }
        if (number > 0)
            return number;
        now_ns = clock_mono_ns();
        if (!watchdog_us || now_ns < due_ns)
            continue; /* EINTR */
        due_ns = now_ns + (watchdog_us < ASK_NS / 250 ? watchdog_us * 250 : ASK_NS);
        watchdog_tell();
        asked[0] = unix_ask(unix_path);
        asked[1] = tcp_ask(tcp_address);
    }
}
