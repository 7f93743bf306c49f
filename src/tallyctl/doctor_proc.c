/* doctor's look at a process that is not attached, through /proc, as far as the kernel lets us. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyctl/doctor.h"

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
    if (named && *named && strcmp(named, directory) != 0)
        doctor_add(findings, DOCTOR_FAIL, "start it with the same TALLY_RUNTIME_DIR as tallyd",
                   "%u looks for tallyd in %s alone, not in %s", pid, named, directory);
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
    check_environment(findings, pid, directory);
    check_library(findings, pid);
}
