/* Wiring: intake ──▶ stats ──▶ api, and api ──▶ operations ──▶ intake. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "history/history.h"
#include "intake/intake.h"
#include "operations/operations.h"
#include "sandbox/sandbox.h"
#include "stats/stats.h"
#include "tally.h"
#include "tallyd/service.h"
#include "tallyd/tallyd.h"

struct daemon {
    struct settings settings;
    int argc;
    char **argv;
    struct folders folders;
    struct sandbox sandbox;
    char address[64];
    bool loopback;
    int tcp_fd, unix_fd;
    struct stats *stats;
    struct audit *audit;
    struct history *history;
    struct operations *operations;
    struct intake *intake;
    struct api *api;
    struct intake_sink stats_sink;
};

static int command_send(void *arg, const char *process, const struct wire_command *command)
{
    struct daemon *daemon = arg;
    return intake_command(daemon->intake, process, command);
}

static void ack_hear(void *arg, const char *id, const struct wire_ack *ack)
{
    struct daemon *daemon = arg;
    operations_ack(daemon->operations, id, ack);
}

static void rows_hear(void *arg, const char *id, const struct wire_rows *rows)
{
    struct daemon *daemon = arg;
    operations_rows(daemon->operations, id, rows);
}

/* The intake tells stats everything; that a process is gone, operations hear too, once the views show it. */
static void *attached(void *arg, const struct intake_process *process)
{
    struct daemon *daemon = arg;
    return daemon->stats_sink.attached(daemon->stats, process);
}
static void events(void *arg, void *process, uint32_t heap, uint32_t limit, const struct wire_span *span)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.events(daemon->stats, process, heap, limit, span);
}
static void sample(void *arg, void *process, const struct intake_sample *from)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.sample(daemon->stats, process, from);
}
static void heap_gone(void *arg, void *process, uint32_t heap)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.heap_gone(daemon->stats, process, heap);
}
static void gone(void *arg, void *process, const char *end)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.gone(daemon->stats, process, end);
    daemon->stats_sink.swept(daemon->stats, true);
    operations_process_gone(daemon->operations, stats_process_id(process));
}
static void ended(void *arg, void *process, int status)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.ended(daemon->stats, process, status);
}
static void swept(void *arg, bool force)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.swept(daemon->stats, force);
}
static void refused(void *arg, const char *reason, pid_t pid, uid_t uid)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.refused(daemon->stats, reason, pid, uid);
}
static void released(void *arg, void *process)
{
    struct daemon *daemon = arg;
    daemon->stats_sink.released(daemon->stats, process);
}

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

static void path_of(const struct daemon *daemon, const char *name, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s/%s", daemon->folders.runtime, name);
}

/* Before the sandbox, which would not let us ask for the group. */
static int control_open(struct daemon *daemon)
{
    char path[128];
    bool system = daemon->settings.options.system;
    path_of(daemon, "api.sock", path, sizeof path);
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

static int intake_open(struct daemon *daemon)
{
    char path[128];
    const struct intake_sink sink = {.arg = daemon,
                                     .attached = attached,
                                     .events = events,
                                     .sample = sample,
                                     .heap_gone = heap_gone,
                                     .gone = gone,
                                     .ended = ended,
                                     .swept = swept,
                                     .ack = ack_hear,
                                     .rows = rows_hear,
                                     .refused = refused,
                                     .released = released};
    path_of(daemon, "agent.sock", path, sizeof path);
    int passed = service_socket(SERVICE_AGENT);
    int error = intake_start(&(struct intake_options){.socket_path = path,
                                                      .listen_fd = passed < 0 ? 0 : passed,
                                                      .system = daemon->settings.options.system},
                             &sink, &daemon->intake);
    if (error)
        log_warn("%s: %s", path, strerror(-error));
    return error;
}

static int api_open(struct daemon *daemon, const char *start_id)
{
    char sessions[300];
    const struct options *options = &daemon->settings.options;
    snprintf(sessions, sizeof sessions, "%s/sessions", daemon->folders.state);
    int error = api_start(&(struct api_options){.stats = daemon->stats,
                                                .operations = daemon->operations,
                                                .audit = daemon->audit,
                                                .history = daemon->history,
                                                .tcp_fd = daemon->tcp_fd,
                                                .unix_fd = daemon->unix_fd,
                                                .tcp_address = daemon->address,
                                                .public_host = options->public_host,
                                                .remote_control = options->remote_control,
                                                .loopback = daemon->loopback,
                                                .start_id = start_id,
                                                .token = daemon->folders.token,
                                                .sessions_path = sessions,
                                                .runtime_dir = daemon->folders.runtime,
                                                .state_dir = daemon->folders.state,
                                                .service = service_text(),
                                                .sandbox = &daemon->sandbox,
                                                .system = options->system,
                                                .metrics_detail = options->metrics_detail,
                                                .metrics_process_series = (size_t)options->metrics_process_series,
                                                .metrics_series = (size_t)options->metrics_series},
                          &daemon->api);
    if (error)
        log_warn("the api: %s", strerror(-error));
    return error;
}

static int history_open(struct daemon *daemon)
{
    const struct options *options = &daemon->settings.options;
    int error = history_start(&(struct history_options){.folder = options->no_history ? NULL : daemon->folders.state,
                                                        .size_bytes = (uint64_t)options->history_size,
                                                        .keep_days = (unsigned)(options->history_keep_ns / 86400000000000),
                                                        .stats = daemon->stats},
                              &daemon->history);
    if (error)
        log_warn("history: %s", strerror(-error));
    else
        audit_to(daemon->audit, history_audit, daemon->history);
    return error;
}

/* What SIGHUP may change, at the start and again. */
static void options_take(struct daemon *daemon)
{
    const struct options *options = &daemon->settings.options;
    log_setup(options->log_level, options->log_format);
    stats_gone_keep(daemon->stats, (uint64_t)options->gone_keep_ns, (size_t)options->gone_count);
}

static int stages_open(struct daemon *daemon)
{
    uint32_t random = 0;
    char start_id[16];
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return EXIT_REFUSAL;
    snprintf(start_id, sizeof start_id, "%08x", (unsigned)random);
    daemon->stats = stats_new();
    daemon->audit = audit_new();
    daemon->operations = operations_new(start_id, command_send, daemon, daemon->audit);
    if (!daemon->stats || !daemon->audit || !daemon->operations)
        return EXIT_REFUSAL;
    options_take(daemon);
    stats_sink_init(daemon->stats, &daemon->stats_sink);
    if (history_open(daemon) || intake_open(daemon) || api_open(daemon, start_id))
        return EXIT_REFUSAL;
    int error = folder_write(daemon->folders.runtime, "http.addr", daemon->address,
                             daemon->settings.options.system ? 0644 : 0600);
    if (error) {
        log_warn("http.addr: %s", strerror(-error));
        return EXIT_REFUSAL;
    }
    return EXIT_OK;
}

static void stages_close(struct daemon *daemon)
{
    if (daemon->api)
        api_stop(daemon->api);
    if (daemon->intake)
        intake_stop(daemon->intake);
    if (daemon->operations)
        operations_free(daemon->operations);
    if (daemon->audit)
        audit_to(daemon->audit, NULL, NULL);
    if (daemon->history)
        history_stop(daemon->history);
    if (daemon->audit)
        audit_free(daemon->audit);
    if (daemon->stats)
        stats_free(daemon->stats);
}

/* Until a signal ends us. */
static void obey(struct daemon *daemon, const sigset_t *heard)
{
    char path[128], status[160];
    int number;
    path_of(daemon, "api.sock", path, sizeof path);
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
