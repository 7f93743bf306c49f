#include "tallyctl/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void add(struct places *places, const char *directory, const char *below)
{
    int length = snprintf(places->paths[places->count], PLACE_PATH_MAX, "%s%s", directory, below);
    if (length > 0 && length < PLACE_PATH_MAX)
        places->count++;
}

void place_list(struct places *places, const char *asked)
{
    places->count = 0;
    const char *named = asked ? asked : environment("TALLY_RUNTIME_DIR");
    if (named) {
        add(places, named, "");
        return;
    }
    const char *user = environment("XDG_RUNTIME_DIR");
    if (user)
        add(places, user, "/tally");
    add(places, "/run/tally", "");
}

int place_probe(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(socket_path) + 1;
    if (bytes > sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, socket_path, bytes);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = connect(fd, (const struct sockaddr *)&address, sizeof address) ? errno : 0;
    close(fd);
    return error;
}

bool place_join(char out[PLACE_PATH_MAX], const char *directory, const char *name)
{
    int length = snprintf(out, PLACE_PATH_MAX, "%s/%s", directory, name);
    return length > 0 && length < PLACE_PATH_MAX;
}
