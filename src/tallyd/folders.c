/* The runtime folder, where others find us, and the state folder, which survives. Each is locked, so that
 * what lies in it is ours to remove. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tallyd/service.h"
#include "tallyd/tallyd.h"

#define TOKEN_BYTES 32

static bool set(char *out, size_t bytes, const char *folder, const char *below)
{
    int length = snprintf(out, bytes, "%s%s", folder, below);
    return length > 0 && (size_t)length < bytes;
}

const char *folders_find(struct folders *folders, const struct options *options)
{
    const char *runtime = getenv("TALLY_RUNTIME_DIR"), *xdg_runtime = getenv("XDG_RUNTIME_DIR");
    const char *state = getenv("TALLY_STATE_DIR"), *xdg_state = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");
    bool fits = true;
    if (options->runtime_dir)
        fits = set(folders->runtime, sizeof folders->runtime, options->runtime_dir, "");
    else if (options->system)
        fits = set(folders->runtime, sizeof folders->runtime, "/run/tally", "");
    else if (runtime && *runtime)
        fits = set(folders->runtime, sizeof folders->runtime, runtime, "");
    else if (xdg_runtime && *xdg_runtime)
        fits = set(folders->runtime, sizeof folders->runtime, xdg_runtime, "/tally");
    else
        return "no runtime folder: give --runtime-dir, or set TALLY_RUNTIME_DIR or XDG_RUNTIME_DIR";
    if (!fits)
        return "the runtime folder's path is empty, or too long for the sockets in it";
    if (options->state_dir)
        fits = set(folders->state, sizeof folders->state, options->state_dir, "");
    else if (options->system)
        fits = set(folders->state, sizeof folders->state, "/var/lib/tally", "");
    else if (state && *state)
        fits = set(folders->state, sizeof folders->state, state, "");
    else if (xdg_state && *xdg_state)
        fits = set(folders->state, sizeof folders->state, xdg_state, "/tally");
    else if (home && *home)
        fits = set(folders->state, sizeof folders->state, home, "/.local/state/tally");
    else
        return "no state folder: give --state-dir, or set TALLY_STATE_DIR, XDG_STATE_HOME or HOME";
    return fits ? NULL : "the state folder's path is empty or too long";
}

/* Makes the folder and those above it. */
static int make_path(const char *path, mode_t mode)
{
    char part[256];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1; *at; at++)
        if (*at == '/') {
            *at = '\0';
            if (mkdir(part, 0700) && errno != EEXIST)
                return -errno;
            *at = '/';
        }
    return mkdir(part, mode) && errno != EEXIST ? -errno : 0;
}

/* Ours alone: a folder that another user owns, or may write, is refused. */
static int folder_take(const char *path, mode_t mode, int *lock, char *why, size_t why_bytes)
{
    struct stat status;
    int error = make_path(path, mode);
    if (!error && (stat(path, &status) || !S_ISDIR(status.st_mode)))
        error = -ENOTDIR;
    if (error) {
        snprintf(why, why_bytes, "%s: %s", path, strerror(-error));
        return EXIT_REFUSAL;
    }
    if (status.st_uid != geteuid() || (chmod(path, mode) && errno)) {
        snprintf(why, why_bytes, "%s: belongs to another user", path);
        return EXIT_REFUSAL;
    }
    char name[300];
    snprintf(name, sizeof name, "%s/lock", path);
    *lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0) {
        snprintf(why, why_bytes, "%s: %s", name, strerror(errno));
        return EXIT_REFUSAL;
    }
    struct stat locked;
    if (flock(*lock, LOCK_EX | LOCK_NB) || fstat(*lock, &locked) || stat(name, &status) ||
        locked.st_ino != status.st_ino) { /* the last: its owner has just removed it */
        snprintf(why, why_bytes, "%s: another tallyd uses it", path);
        return EXIT_SECOND;
    }
    return EXIT_OK;
}

int folder_write(const char *folder, const char *name, const char *text, unsigned mode)
{
    char path[300], line[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return file_replace(path, line, (size_t)snprintf(line, sizeof line, "%s\n", text), mode, false);
}

/* But for sockets that are the service manager's. */
static void forget(const struct folders *folders)
{
    static const char *const names[] = {"http.addr", "api.sock", "agent.sock", "token"};
    const int kept[] = {-1, service_socket(SERVICE_API), service_socket(SERVICE_AGENT), -1};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (kept[i] >= 0)
            continue;
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folders->runtime, names[i]);
        unlink(path);
    }
}

static bool token_read(struct folders *folders)
{
    char path[300], line[2 * TOKEN_BYTES + 2] = "";
    snprintf(path, sizeof path, "%s/token", folders->state);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool good = fgets(line, sizeof line, file) && strspn(line, "0123456789abcdef") == 2 * TOKEN_BYTES;
    fclose(file);
    if (good)
        snprintf(folders->token, sizeof folders->token, "%.*s", 2 * TOKEN_BYTES, line);
    return good;
}

static int token_make(struct folders *folders)
{
    unsigned char bytes[TOKEN_BYTES];
    if (token_read(folders))
        return 0;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return -EIO;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(folders->token + 2 * i, 3, "%02x", bytes[i]);
    return folder_write(folders->state, "token", folders->token, 0600);
}

int folders_open(struct folders *folders, const struct options *options, char *why, size_t why_bytes)
{
    const char *unnamed = folders_find(folders, options);
    folders->runtime_lock = folders->state_lock = -1;
    if (unnamed) {
        snprintf(why, why_bytes, "%s", unnamed);
        return EXIT_REFUSAL;
    }
    int code =
        folder_take(folders->runtime, options->system ? 0755 : 0700, &folders->runtime_lock, why, why_bytes);
    if (!code)
        code = folder_take(folders->state, 0700, &folders->state_lock, why, why_bytes);
    if (code)
        return code;
    forget(folders);
    int error = token_make(folders);
    if (!error)
        error = folder_write(folders->runtime, "token", folders->token, 0600);
    if (error) {
        snprintf(why, why_bytes, "the token could not be written: %s", strerror(-error));
        return EXIT_REFUSAL;
    }
    return EXIT_OK;
}

void folders_close(struct folders *folders)
{
    char path[300];
    forget(folders);
    snprintf(path, sizeof path, "%s/lock", folders->runtime);
    unlink(path);
    close(folders->runtime_lock);
    close(folders->state_lock);
}
