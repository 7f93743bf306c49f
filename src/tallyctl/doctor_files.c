/* doctor's look at the runtime directory. Two modes are right: a user's own (0700, sockets 0600), and the
 * system's /run/tally (0755, agent.sock 0666, api.sock 0660). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyctl/doctor.h"
#include "tallyctl/place.h"

static const struct expected {
    const char *name;
    mode_t type, user, system;
    const char *what;
} files[] = {
    {"agent.sock", S_IFSOCK, 0600, 0666, "where programs attach"},
    {"api.sock", S_IFSOCK, 0600, 0660, "where tallyctl asks"},
    {"token", S_IFREG, 0600, 0600, "the HTTP token"},
    {"http.addr", S_IFREG, 0, 0, "the HTTP address"},
};

/* Whether more people may do things than should. */
static void check_mode(json_t *findings, const char *path, mode_t mode, mode_t right)
{
    unsigned is = mode & 07777;
    if (is & ~right)
        doctor_add(findings, DOCTOR_FAIL, "chmod it, and see who did that", "%s has mode %04o, not %04o",
                   path, is, (unsigned)right);
    else if (is != right)
        doctor_add(findings, DOCTOR_WARN, "restart tallyd", "%s has mode %04o, not %04o", path, is,
                   (unsigned)right);
    else
        doctor_add(findings, DOCTOR_OK, NULL, "%s has mode %04o", path, is);
}

static void check_file(json_t *findings, const char *directory, const struct expected *file, bool system)
{
    char path[PLACE_PATH_MAX];
    struct stat status;
    if (!place_join(path, directory, file->name))
        return;
    if (lstat(path, &status)) {
        doctor_add(findings, DOCTOR_FAIL, errno == ENOENT ? "start tallyd" : "look with the right user",
                   "%s, %s: %s", path, file->what, strerror(errno));
        return;
    }
    mode_t right = system ? file->system : file->user;
    if ((status.st_mode & S_IFMT) != file->type)
        doctor_add(findings, DOCTOR_FAIL, "remove it and restart tallyd", "%s is not what tallyd made there",
                   path);
    else if (right)
        check_mode(findings, path, status.st_mode, right);
    else
        doctor_add(findings, DOCTOR_OK, NULL, "%s is there", path);
}

static void check_answer(json_t *findings, const char *directory, bool system)
{
    char path[PLACE_PATH_MAX];
    int error = place_join(path, directory, "api.sock") ? place_probe(path) : ENAMETOOLONG;
    if (error == 0)
        return;
    const char *advice = error == EACCES && system ? "ask to be in the group tally"
                         : error == EACCES         ? "run tallyctl as its owner"
                         : error == ENAMETOOLONG   ? "use a shorter path"
                         : error == ECONNREFUSED   ? "the tallyd that made it has ended: start another"
                                                   : "start tallyd";
    doctor_add(findings, DOCTOR_FAIL, advice, "no daemon at %s: %s", path, strerror(error));
}

void doctor_check_directory(json_t *findings, const char *directory)
{
    struct stat status;
    bool system = strcmp(directory, "/run/tally") == 0;
    if (stat(directory, &status)) {
        doctor_add(findings, DOCTOR_FAIL, errno == ENOENT ? "start tallyd" : "look with the right user",
                   "%s: %s", directory, strerror(errno));
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        doctor_add(findings, DOCTOR_FAIL, "name tallyd's runtime directory", "%s is not a directory",
                   directory);
        return;
    }
    if (!system && status.st_uid != geteuid())
        doctor_add(findings, DOCTOR_WARN, "run tallyctl as its owner", "%s belongs to uid %u, and you are %u",
                   directory, (unsigned)status.st_uid, (unsigned)geteuid());
    check_mode(findings, directory, status.st_mode, system ? 0755 : 0700);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        check_file(findings, directory, &files[i], system);
    check_answer(findings, directory, system);
}
