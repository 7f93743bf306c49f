#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tallyd/tallyd.h"

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int listen_on(const struct addrinfo *info)
{
    int one = 1, fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, info->ai_addr, info->ai_addrlen) || listen(fd, 128)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int listen_tcp(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *info;
    if (getaddrinfo(host, port, &hints, &info))
        return -EADDRNOTAVAIL;
    int fd = listen_on(info);
    freeaddrinfo(info);
    return fd;
}

int listen_is_loopback(const char *host, bool *loopback)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *info;
    if (getaddrinfo(host, NULL, &hints, &info))
        return -EADDRNOTAVAIL;
    *loopback = true;
    for (const struct addrinfo *at = info; at; at = at->ai_next)
        *loopback &= is_loopback(at->ai_addr);
    freeaddrinfo(info);
    return 0;
}

int listen_name(int fd, char *bound, size_t bound_bytes, bool *loopback)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char name[64], number[8];
    if (getsockname(fd, (struct sockaddr *)&address, &length) ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
        getnameinfo((struct sockaddr *)&address, length, name, sizeof name, number, sizeof number,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return -EADDRNOTAVAIL;
    *loopback = is_loopback((const struct sockaddr *)&address);
    snprintf(bound, bound_bytes, strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, number);
    return 0;
}

/* Under another name first, so that nobody finds it without its mode. */
int listen_unix(const char *path, unsigned mode, const char *group)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    const struct group *owner = group ? getgrnam(group) : NULL;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(address.sun_path, mode) ||
        (owner && chown(address.sun_path, (uid_t)-1, owner->gr_gid)) || listen(fd, 128) ||
        rename(address.sun_path, path)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}
