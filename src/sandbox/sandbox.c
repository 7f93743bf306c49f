#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAMILIES 64u /* of sockets: there are 46 */
#define PIDFD_GET_INFO_NUMBER _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, 64)
#define CLONE_THREAD_FLAG 0x10000u
#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* from version 3 on, later than Debian 12's header */

/* A sanitizer maps, forks and traces by itself. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

__attribute__((format(printf, 2, 3))) static void lack(struct sandbox *sandbox, const char *format, ...)
{
    size_t at = strlen(sandbox->detail);
    va_list arguments;
    va_start(arguments, format);
    if (at && at + 2 < sizeof sandbox->detail)
        at += (size_t)snprintf(sandbox->detail + at, sizeof sandbox->detail - at, "; ");
    vsnprintf(sandbox->detail + at, sizeof sandbox->detail - at, format, arguments);
    va_end(arguments);
}

/* ---- files */

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES                                                                                                         \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                   \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define NEVER                                                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                        \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* A path that does not exist needs no rule. */
static bool allow_below(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return errno == ENOENT;
    long added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return !added;
}

/* A changed file is often another one under its name. */
static bool allow_folder_of(int ruleset, const char *file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash > file ? (int)(slash - file) : 1, slash ? file : ".");
    return allow_below(ruleset, folder, READS);
}

/* Where its name leads, too: it may be a link into another folder. */
static bool allow_config(int ruleset, const char *config_file)
{
    char real[PATH_MAX];
    if (!config_file || !*config_file)
        return true;
    return allow_folder_of(ruleset, config_file) &&
           (!realpath(config_file, real) || allow_folder_of(ruleset, real));
}

static bool allow_files(int ruleset, uint64_t truncate, const char *runtime_dir, const char *state_dir,
                        const char *config_file)
{
    return allow_below(ruleset, runtime_dir, READS | WRITES | truncate) &&
           allow_below(ruleset, state_dir, READS | WRITES | truncate) &&
           allow_config(ruleset, config_file) && allow_below(ruleset, "/proc/self", READS) &&
           allow_below(ruleset, "/sys/devices/system/cpu", READS) &&
           allow_below(ruleset, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE) &&
           allow_below(ruleset, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE);
}

static void files_enter(struct sandbox *sandbox, const char *runtime_dir, const char *state_dir, const char *config_file)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t truncate = version >= 3 ? ACCESS_TRUNCATE : 0;
    struct landlock_ruleset_attr handled = {.handled_access_fs = READS | WRITES | NEVER | truncate};
    if (version < 1) {
        lack(sandbox, "this kernel has no Landlock");
        return;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0);
    if (ruleset < 0 || !allow_files(ruleset, truncate, runtime_dir, state_dir, config_file) ||
        syscall(SYS_landlock_restrict_self, ruleset, 0))
        lack(sandbox, "Landlock: %s", strerror(errno));
    else
        sandbox->landlock = (int)version;
    if (ruleset >= 0)
        close(ruleset);
}

/* ---- system calls */

static const struct {
    const char *name;
    bool allowed;
} calls[] = {
#define CALL(name) {#name, true},
#define DENIED(name) {#name, false},
#include "sandbox/syscalls.def"
#undef CALL
#undef DENIED
};

static int calls_add(scmp_filter_ctx filter)
{
    int error = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && !error; i++) {
        int number = seccomp_syscall_resolve_name(calls[i].name);
        if (number >= 0)
            error = seccomp_rule_add(filter, calls[i].allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    return error;
}

/* No memory is ever both written and run. */
static int memory_add(scmp_filter_ctx filter)
{
    const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(pkey_mprotect)};
    int error = 0;
    for (size_t i = 0; i < sizeof maps / sizeof *maps && !error; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, maps[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (!error)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), maps[i], 1,
                                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    }
    return error;
}

static int sockets_add(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    for (unsigned family = 0; family < FAMILIES && !error; family++) {
        bool ours = family == AF_UNIX || family == AF_INET || family == AF_INET6;
        error = seccomp_rule_add(filter, ours ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, family, 0));
    }
    return error;
}

/* Threads, signals and limits of our own; clone3(), whose flags no filter sees, is ENOSYS, and libc takes clone(). */
static int own_add(scmp_filter_ctx filter)
{
    static const unsigned long controls[] = {FIONREAD, FIONBIO, TCGETS, PIDFD_GET_INFO_NUMBER};
    static const unsigned long options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
                                            PR_GET_SECCOMP};
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD_FLAG, CLONE_THREAD_FLAG));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD_FLAG, 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
    if (!error) /* of the thread that asks */
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2, SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS, 0),
                                 SCMP_A1(SCMP_CMP_EQ, 0, 0));
    for (size_t i = 0; i < sizeof controls / sizeof *controls && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, controls[i], 0));
    for (size_t i = 0; i < sizeof options / sizeof *options && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, options[i], 0));
    return error;
}

static void calls_enter(struct sandbox *sandbox)
{
    scmp_filter_ctx filter = SANITIZED ? NULL : seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) {
        lack(sandbox, SANITIZED ? "system calls are free in a sanitizer's build" : "the filter of system calls: no memory");
        return;
    }
    int error = calls_add(filter);
    if (!error)
        error = memory_add(filter);
    if (!error)
        error = sockets_add(filter);
    if (!error)
        error = own_add(filter);
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    sandbox->syscalls = !error;
    if (error)
        lack(sandbox, "the filter of system calls: %s", strerror(-error));
}

void sandbox_enter(struct sandbox *sandbox, const char *runtime_dir, const char *state_dir, const char *config_file)
{
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->no_new_privs = !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sandbox->undumpable = !prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!sandbox->no_new_privs) {
        lack(sandbox, "no_new_privs: %s", strerror(errno));
        return;
    }
    files_enter(sandbox, runtime_dir, state_dir, config_file);
    calls_enter(sandbox);
}

const char *sandbox_library(void)
{
    static _Thread_local char text[32];
    const struct scmp_version *version = seccomp_version();
    snprintf(text, sizeof text, "%u.%u.%u", version->major, version->minor, version->micro);
    return text;
}
