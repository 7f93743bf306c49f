/* Finding tallyd's socket, and telling it from a squatter's: file descriptors of our memory go to our own
 * user, to root, or to whom root gave /run/tally, and to nobody else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"

#define SYSTEM_DIRECTORY "/run/tally"

/* /run is root's and nobody else can make or rename entries in it; so /run/tally's owner has root's word. */
static bool is_system_owner(const char *directory, uid_t uid)
{
    struct stat parent, own;
    if (strcmp(directory, SYSTEM_DIRECTORY) || lstat("/run", &parent) || lstat(SYSTEM_DIRECTORY, &own))
        return false;
    mode_t foreign = S_IWGRP | S_IWOTH;
    return S_ISDIR(parent.st_mode) && parent.st_uid == 0 && !(parent.st_mode & foreign) &&
           S_ISDIR(own.st_mode) && own.st_uid == uid && !(own.st_mode & foreign);
}

static struct link_result try_directory(const char *directory)
{
    struct link_result result = {.socket = -1, .reason = REASON_NO_DAEMON};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t peer_bytes = sizeof peer;
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/agent.sock", directory);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        result.error = ENAMETOOLONG;
        return result;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes)) {
        result.error = errno;
    } else if (peer.uid != geteuid() && peer.uid != 0 && !is_system_owner(directory, peer.uid)) {
        result.reason = REASON_STRANGER;
        result.uid = peer.uid;
    } else {
        result.socket = fd;
        return result;
    }
    if (fd >= 0)
        close(fd);
    return result;
}

/* The first directory with a daemon of ours wins. Else the one worth telling of: not just an absent file. */
struct link_result agent_link_open(const struct agent *agent)
{
    struct link_result worst = {.socket = -1};
    for (unsigned i = 0; i < 2 && agent->directories[i][0]; i++) {
        struct link_result result = try_directory(agent->directories[i]);
        result.directory = i;
        if (result.socket >= 0)
            return result;
        if (i == 0 || (worst.reason == REASON_NO_DAEMON && worst.error == ENOENT &&
                       (result.reason != REASON_NO_DAEMON || result.error != ENOENT)))
            worst = result;
    }
    return worst;
}
