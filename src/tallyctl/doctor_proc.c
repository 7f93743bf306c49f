/* doctor's look at a process that is not attached, through /proc, as far as the kernel lets us. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyctl/doctor.h"
#include "tallyctl/place.h"

#define PROC_PATH_MAX 64
/* What an environment or a list of mappings may take of our memory. */
#define PROC_FILE_MAX (16u << 20)

/* The whole file, NUL-terminated; caller frees. NULL with errno. */
static char *read_new(unsigned pid, const char *name, size_t *bytes)
{
    char path[PROC_PATH_MAX];
    snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t room = 0, used = 0, got = 0;
    do {
        used += got;
        if (room - used < 2) {
            room = room ? 2 * room : 8192;
            char *more = room <= PROC_FILE_MAX ? realloc(text, room) : NULL;
            if (!more) {
                errno = ENOMEM;
                break;
            }
            text = more;
        }
        got = fread(text + used, 1, room - used - 1, file);
    } while (got);
    bool failed = ferror(file) || got;
    int error = errno;
    fclose(file);
    if (failed) {
        free(text);
        errno = error;
        return NULL;
    }
    text[used] = '\0';
    *bytes = used;
    return text;
}

/* The value of a variable in a block of NUL-terminated settings, borrowed, or NULL. */
static const char *setting(const char *block, size_t bytes, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = block; at < block + bytes; at += strlen(at) + 1)
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return at + length + 1;
    return NULL;
}

static bool is_same_place(const char *one, const char *other)
{
    struct stat a, b;
    return strcmp(one, other) == 0 || (stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

/* Whether it looks for tallyd where tallyd is; by its environment, which a program may have changed since. */
static void check_places(json_t *findings, unsigned pid, const char *directory, const char *named, const char *user)
{
    char own[PLACE_PATH_MAX] = "";
    bool given = named && *named;
    if (!given && user && *user)
        snprintf(own, sizeof own, "%s/tally", user);
    if (given ? is_same_place(named, directory)
              : (*own && is_same_place(own, directory)) || is_same_place("/run/tally", directory))
        return;
    if (given)
        doctor_add(findings, DOCTOR_FAIL, "start it with the same TALLY_RUNTIME_DIR as tallyd",
                   "%u looks for tallyd in %s alone, not in %s", pid, named, directory);
    else
        doctor_add(findings, DOCTOR_FAIL, "start it with TALLY_RUNTIME_DIR set to where tallyd is",
                   "%u looks for tallyd in %s%s/run/tally, not in %s", pid, own, *own ? " and " : "", directory);
}

static void check_environment(json_t *findings, unsigned pid, const char *directory)
{
    size_t bytes = 0;
    char *block = read_new(pid, "environ", &bytes);
    if (!block) {
        doctor_add(findings, DOCTOR_WARN, "look as its user or as root",
                   "the environment of %u cannot be read: %s", pid, strerror(errno));
        return;
    }
    const char *disabled = setting(block, bytes, "TALLY_DISABLE");
    const char *named = setting(block, bytes, "TALLY_RUNTIME_DIR");
    if (disabled && strcmp(disabled, "1") == 0)
        doctor_add(findings, DOCTOR_FAIL, "start it without", "%u was started with TALLY_DISABLE=1", pid);
    check_places(findings, pid, directory, named, setting(block, bytes, "XDG_RUNTIME_DIR"));
    free(block);
}

/* The shared memory of an attached heap shows also where libtally is linked in. */
static void check_library(json_t *findings, unsigned pid)
{
    size_t bytes = 0;
    char *maps = read_new(pid, "maps", &bytes);
    if (!maps)
        doctor_add(findings, DOCTOR_WARN, "look as its user or as root",
                   "what %u has mapped cannot be read: %s", pid, strerror(errno));
    else if (strstr(maps, "memfd:tally"))
        doctor_add(findings, DOCTOR_WARN,
                   "wait 2 s and ask again; tally_agent_status() in the program says more",
                   "%u has called tally_attach() and looks for a daemon", pid);
    else if (strstr(maps, "libtally.so"))
        doctor_add(findings, DOCTOR_FAIL, "call tally_attach() for its heaps",
                   "%u has libtally and no attached heap", pid);
    else
        doctor_add(findings, DOCTOR_FAIL, "if it has libtally linked in, let it call tally_attach()",
                   "%u shows no trace of libtally", pid);
    free(maps);
}

/* What a line "NAME: VALUE" says, or ""; borrowed. */
static const char *value_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    while (at && at != text && at[-1] != '\n')
        at = strstr(at + 1, name);
    return at ? at + strlen(name) + strspn(at + strlen(name), " \t") : "";
}

/* Filters of system calls that lie on it; a container's lie on us too. */
static unsigned long filters_of(unsigned pid)
{
    size_t bytes = 0;
    char *status = read_new(pid, "status", &bytes);
    unsigned long count = status ? strtoul(value_of(status, "Seccomp_filters:"), NULL, 10) : 0;
    free(status);
    return count;
}

/* Whether it runs, and whether something forbids system calls to it. */
static void check_status(json_t *findings, unsigned pid)
{
    size_t bytes = 0;
    char *status = read_new(pid, "status", &bytes);
    if (!status)
        return;
    char state = *value_of(status, "State:");
    if (state == 'Z' || state == 'X')
        doctor_add(findings, DOCTOR_FAIL, "start it again", "%u has ended, and its parent has not asked how", pid);
    if (state == 'T' || state == 't')
        doctor_add(findings, DOCTOR_FAIL, "let it go on: kill -CONT, or the debugger", "%u is stopped, the thread that attaches too", pid);
    if (filters_of(pid) > filters_of((unsigned)getpid()))
        doctor_add(findings, DOCTOR_WARN,
                   "let its filter allow memfd_create, fcntl, mmap, clone3 (a thread), socket, connect, sendmsg, recvmsg and poll",
                   "%u runs under a seccomp filter, which may forbid it to attach", pid);
    free(status);
}

/* Of a program that has more rights than who started it neither the environment nor a daemon is trusted. */
static void check_program(json_t *findings, unsigned pid)
{
    char path[PROC_PATH_MAX];
    struct stat program;
    size_t bytes = 0;
    char *status = read_new(pid, "status", &bytes);
    snprintf(path, sizeof path, "/proc/%u/exe", pid);
    bool foreign = status && stat(path, &program) == 0 &&
                   ((program.st_mode & S_ISUID && program.st_uid != strtoul(value_of(status, "Uid:"), NULL, 10)) ||
                    (program.st_mode & S_ISGID && program.st_gid != strtoul(value_of(status, "Gid:"), NULL, 10)));
    if (foreign)
        doctor_add(findings, DOCTOR_FAIL, "run it without these rights", "%u is a setuid or setgid program: those never attach", pid);
    free(status);
}

/* A container or chroot has files of its own. */
static void check_view(json_t *findings, unsigned pid, const char *directory)
{
    char here[PLACE_PATH_MAX], path[PROC_PATH_MAX + PLACE_PATH_MAX];
    struct stat ours, theirs;
    if (*directory != '/' || !place_join(here, directory, "agent.sock") || stat(here, &ours))
        return;
    snprintf(path, sizeof path, "/proc/%u/root%s", pid, here);
    int error = stat(path, &theirs) ? errno : 0;
    if (error ? error == ENOENT : ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
        doctor_add(findings, DOCTOR_FAIL, "mount that folder there, and name it with TALLY_RUNTIME_DIR",
                   "%u sees other files (a container, a chroot): %s is not this one there", pid, here);
}

#define FILES_NEEDED 8u /* the connection, the helper's pipe, two a heap, and some to spare */

static unsigned count_files(unsigned pid)
{
    char path[PROC_PATH_MAX];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%u/fd", pid);
    DIR *folder = opendir(path);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count; /* . and .. too */
}

static void check_limits(json_t *findings, unsigned pid)
{
    size_t bytes = 0;
    char *limits = read_new(pid, "limits", &bytes);
    const char *most = limits ? value_of(limits, "Max open files") : "";
    unsigned used = count_files(pid);
    if (*most >= '0' && *most <= '9' && used && used + FILES_NEEDED > strtoull(most, NULL, 10))
        doctor_add(findings, DOCTOR_FAIL, "raise its limit: ulimit -n, or LimitNOFILE=", "%u has %u of %llu files open: no room to attach",
                   pid, used - 2, strtoull(most, NULL, 10));
    free(limits);
}

void doctor_check_pid(json_t *findings, unsigned pid, const char *directory, bool asked)
{
    char path[PROC_PATH_MAX];
    struct stat process, place;
    snprintf(path, sizeof path, "/proc/%u", pid);
    if (stat(path, &process)) {
        doctor_add(findings, DOCTOR_FAIL, "check the pid", "there is no process %u", pid);
        return;
    }
    if (asked)
        doctor_add(findings, DOCTOR_FAIL, "see the next lines", "process %u is not attached", pid);
    else
        doctor_add(findings, DOCTOR_WARN, "see the lines before", "whether %u is attached is not known: no tallyd could be asked",
                   pid);
    if (stat(directory, &place) == 0 && place.st_uid != process.st_uid &&
        strcmp(directory, "/run/tally") != 0)
        doctor_add(findings, DOCTOR_FAIL, "run both as one user, or tallyd with --system",
                   "%u runs as uid %u, and the tallyd of %s as uid %u", pid, (unsigned)process.st_uid,
                   directory, (unsigned)place.st_uid);
    check_status(findings, pid);
    check_program(findings, pid);
    check_view(findings, pid, directory);
    check_limits(findings, pid);
    check_environment(findings, pid, directory);
    check_library(findings, pid);
}
