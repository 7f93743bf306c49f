#include "tallyctl/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyctl/request.h"
#include "tallyctl/text.h"
#include "tallyctl/wake.h"

struct save {
    FILE *file;
    char *path, *temporary; /* NULL: standard output */
    bool special; /* no file: there is no temporary one */
    uint64_t bytes;
    int error; /* the first */
};

static void save_free(struct save *save)
{
    free(save->path);
    free(save->temporary);
    free(save);
}

/* What is there and is no file (a pipe, /dev/null) is written into, not replaced; a link's file is. */
static bool is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static char *path_resolve_dup(const char *path)
{
    char *whole = realpath(path, NULL);
    return whole ? whole : strdup(path);
}

/* As the umask says, like any file that a program writes. */
static FILE *open_beside(char *temporary)
{
    mode_t mask = umask(0);
    umask(mask);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return NULL;
    FILE *file = fchmod(fd, 0666 & ~mask) ? NULL : fdopen(fd, "w");
    if (!file) {
        unlink(temporary);
        close(fd);
    }
    return file;
}

struct save *save_begin(const char *path)
{
    struct save *save = calloc(1, sizeof *save);
    if (save && path) {
        save->path = path_resolve_dup(path);
        if (!save->path || asprintf(&save->temporary, "%s.XXXXXX", save->path) < 0)
            save->temporary = NULL;
    }
    if (!save || (path && !save->temporary)) {
        ctl_fail(CTL_FAILED, "out of memory");
        if (save)
            save_free(save);
        return NULL;
    }
    save->special = path && is_special(path);
    save->file = !path ? stdout : save->special ? fopen(path, "we") : open_beside(save->temporary);
    if (!save->file) {
        ctl_fail(CTL_FAILED, "%s: %s", path, strerror(errno));
        save_free(save);
        return NULL;
    }
    return save;
}

bool save_write(struct save *save, const char *bytes, size_t count)
{
    if (!save->error && fwrite(bytes, 1, count, save->file) != count)
        save->error = errno ? errno : EIO;
    save->bytes += count;
    return !save->error;
}

enum ctl_exit save_end(struct save *save, bool keep)
{
    enum ctl_exit status = CTL_DONE;
    if (!save->path) { /* whether stdout could be written is said at the end of all */
        save_free(save);
        return CTL_DONE;
    }
    if (!save->error && (fflush(save->file) || (keep && fsync(fileno(save->file)) && errno != EINVAL && errno != EROFS)))
        save->error = errno;
    if (fclose(save->file) && !save->error)
        save->error = errno;
    if (!save->special && keep && !save->error && rename(save->temporary, save->path))
        save->error = errno;
    if (!save->special && (!keep || save->error))
        unlink(save->temporary);
    if (save->error)
        status = ctl_fail(CTL_FAILED, "%s: %s; nothing of it was kept", save->path, strerror(save->error));
    save_free(save);
    return status;
}

enum ctl_exit save_try(const char *path)
{
    if (!path || is_special(path)) /* opening one of those is heard */
        return CTL_DONE;
    struct save *save = save_begin(path);
    return save ? save_end(save, false) : CTL_FAILED;
}

static bool take(void *arg, const char *bytes, size_t count)
{
    return save_write(arg, bytes, count);
}

enum ctl_exit save_get(const struct ctl *ctl, struct client *client, const char *path, unsigned wait_ms)
{
    char problem[CLIENT_PROBLEM_MAX], figure[TEXT_FIGURE_MAX];
    struct client_reply reply = {0};
    if (!request_fits(path))
        return CTL_USAGE;
    struct save *save = save_begin(ctl->out);
    if (!save)
        return CTL_FAILED;
    wake_catch();
    struct client_call *call = client_begin(
        client, &(struct client_request){.method = "GET", .path = path, .data = take, .arg = save, .patience_ms = wait_ms});
    if (!call) {
        save_end(save, false);
        return ctl_fail(CTL_FAILED, "out of memory");
    }
    while (!client_over(call) && !wake_interrupted())
        client_run(client, -1, 1000);
    enum ctl_exit status = client_end(client, call, &reply, problem);
    client_reply_fini(&reply);
    if (*problem)
        ctl_fail(status, "%s", problem);
    uint64_t bytes = save->bytes;
    enum ctl_exit saved = save_end(save, status == CTL_DONE);
    if (status == CTL_DONE && saved == CTL_DONE && ctl->out && !ctl->json)
        ctl_fail(CTL_DONE, "%s: %s", ctl->out, text_bytes(figure, bytes));
    return status == CTL_DONE ? saved : status;
}
