/* tallyd: its options, the sockets it listens at, its privileges, and the signals that it obeys. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "sandbox/sandbox.h"
#include "tally.h"
#include "tallyd/service.h"
#include "tallyd/wiring.h"

static void library_print(void *arg, const char *name, const char *version)
{
    (void)arg;
    printf("%s %s\n", name, version);
}

static void print_versions(void)
{
    printf("tallyd %s\n", TALLY_VERSION);
    api_libraries(library_print, NULL);
}

static const char off_loopback[] =
    "is not loopback, and tallyd speaks no TLS: give --public-host NAME of a TLS proxy, or --insecure-http";

static bool may_leave_loopback(const struct options *options)
{
    return options->insecure_http || options->public_host;
}

/* Before anything is bound. A name that has no address now may have one later: that is for the bind to say. */
static bool address_allowed(const struct options *options)
{
    char host[64], port[8];
    bool loopback;
    address_split(options->http_listen, host, sizeof host, port, sizeof port);
    return may_leave_loopback(options) || listen_is_loopback(host, &loopback) || loopback;
}

/* The default address gives way to any free port; one that was asked for does not. */
static int address_bind(struct daemon *daemon)
{
    char host[64], port[8];
    const char *text = daemon->settings.options.http_listen;
    bool asked = daemon->settings.given[OPTION_OF_http_listen].text;
    address_split(text, host, sizeof host, port, sizeof port);
    daemon->tcp_fd = listen_tcp(host, port);
    if (daemon->tcp_fd == -EADDRINUSE && !asked) {
        log_info("%s is taken: any free port will do", text);
        daemon->tcp_fd = listen_tcp(host, "0");
    }
    if (daemon->tcp_fd >= 0)
        return EXIT_OK;
    log_warn("--http-listen %s: %s", text, strerror(-daemon->tcp_fd));
    return EXIT_ADDRESS;
}

static int address_open(struct daemon *daemon)
{
    const struct options *options = &daemon->settings.options;
    daemon->tcp_fd = service_socket(SERVICE_HTTP);
    if (daemon->tcp_fd < 0 && !address_allowed(options)) {
        log_warn("--http-listen %s %s", options->http_listen, off_loopback);
        return EXIT_REFUSAL;
    }
    int code = daemon->tcp_fd < 0 ? address_bind(daemon) : EXIT_OK;
    if (code)
        return code;
    int error = listen_name(daemon->tcp_fd, daemon->address, sizeof daemon->address, &daemon->loopback);
    if (error) {
        log_warn("the TCP socket: %s", strerror(-error));
        return EXIT_REFUSAL;
    }
    if (daemon->loopback || may_leave_loopback(options))
        return EXIT_OK;
    log_warn("%s %s", daemon->address, off_loopback);
    return EXIT_REFUSAL;
}

/* Before the sandbox, which would not let us ask for the group. */
static int control_open(struct daemon *daemon)
{
    char path[128];
    bool system = daemon->settings.options.system;
    runtime_path(daemon, "api.sock", path, sizeof path);
    daemon->unix_fd = service_socket(SERVICE_API);
    if (daemon->unix_fd < 0)
        daemon->unix_fd = listen_unix(path, system ? 0660 : 0600, system ? "tally" : NULL);
    if (daemon->unix_fd >= 0)
        return EXIT_OK;
    log_warn("%s: %s", path, strerror(-daemon->unix_fd));
    return EXIT_REFUSAL;
}

static void privileges_drop(struct daemon *daemon)
{
    struct sandbox *sandbox = &daemon->sandbox;
    if (daemon->settings.options.no_sandbox)
        snprintf(sandbox->detail, sizeof sandbox->detail, "--no-sandbox");
    else
        sandbox_enter(sandbox, daemon->folders.runtime, daemon->folders.state, daemon->settings.file);
    if (*sandbox->detail)
        log_warn("the sandbox is not whole: %s", sandbox->detail);
}

/* Until a signal ends us. */
static void obey(struct daemon *daemon, const sigset_t *heard)
{
    char path[128], status[160];
    int number;
    runtime_path(daemon, "api.sock", path, sizeof path);
    snprintf(status, sizeof status, "http://%s, %s", daemon->address, daemon->folders.runtime);
    log_info("tallyd %s: %s", TALLY_VERSION, status);
    service_ready(status);
    while ((number = service_wait(heard, path, daemon->address)) == SIGHUP) {
        service_reloading();
        settings_reload(&daemon->settings, daemon->argc, daemon->argv);
        options_take(daemon);
        service_ready(status);
    }
    log_info("ending: %s", strsignal(number));
    service_stopping();
}

/* Every thread inherits the mask, so that signals come to the main thread alone. */
static int run(struct daemon *daemon)
{
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGINT);
    sigaddset(&heard, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &heard, NULL);
    int code = stages_open(daemon);
    if (!code)
        obey(daemon, &heard);
    stages_close(daemon);
    return code;
}

/* A program costs two descriptors, and a login's usual 1,024 are few. Nothing here uses select(), which alone
 * would mind. */
static void descriptors_allow(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* refused: what there is has to do */
}

/* What the command line asks for besides a daemon. */
static int ask(const struct daemon *daemon)
{
    struct folders folders;
    const struct options *options = &daemon->settings.options;
    if (options->help) {
        settings_print_help(stdout);
    } else if (options->version) {
        print_versions();
    } else {
        const char *wrong = folders_find(&folders, options);
        if (!wrong && !address_allowed(options))
            wrong = off_loopback;
        if (wrong) {
            fprintf(stderr, "tallyd: %s%s\n", wrong == off_loopback ? "http-listen: " : "", wrong);
            return EXIT_REFUSAL;
        }
        printf("# runtime folder %s\n# state folder %s\n", folders.runtime, folders.state);
        settings_print(&daemon->settings, stdout);
    }
    return EXIT_OK;
}

static int serve(struct daemon *daemon)
{
    char why[320];
    const struct options *options = &daemon->settings.options;
    log_setup(options->log_level, options->log_format);
    log_to_journal(!strcmp(options->log_target, "journal") ||
                   (!strcmp(options->log_target, "auto") && log_is_journal_stream()));
    int code = service_open(why, sizeof why) ? EXIT_OK : EXIT_REFUSAL;
    if (!code)
        code = folders_open(&daemon->folders, options, why, sizeof why);
    if (code) {
        log_warn("%s", why);
        return code;
    }
    code = address_open(daemon);
    if (!code)
        code = control_open(daemon);
    if (!code) {
        privileges_drop(daemon);
        code = run(daemon);
    }
    folders_close(&daemon->folders);
    return code;
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.argc = argc, .argv = argv, .tcp_fd = -1, .unix_fd = -1};
    char why[768];
    umask(0077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    mallopt(M_ARENA_MAX, 2); /* each of one a thread would keep what a burst of its own let go */
    descriptors_allow();
    if (!settings_read(&daemon.settings, argc, argv, why, sizeof why)) {
        fprintf(stderr, "tallyd: %s\n", why);
        return EXIT_REFUSAL;
    }
    const struct options *options = &daemon.settings.options;
    int code = options->help || options->version || options->check_config ? ask(&daemon) : serve(&daemon);
    settings_free(&daemon.settings);
    return code;
}
