/* Wiring: intake ──▶ stats ──▶ history, rules, api, and api, rules ──▶ operations ──▶ intake ──▶ snapshots ──▶ api. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "tallyd/service.h"
#include "tallyd/wiring.h"

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

/* The process's name is last: it alone may be longer than there is room. */
static void alert_record(struct history *history, const struct rule_alert *alert)
{
    struct history_alert record = {.wall_ns = alert->firing ? alert->began_wall_ns : alert->ended_wall_ns,
                                   .value = alert->value,
                                   .threshold = alert->bound};
    snprintf(record.rule, sizeof record.rule, "%s", alert->rule);
    snprintf(record.process, sizeof record.process, "%s", alert->process);
    snprintf(record.type, sizeof record.type, "%s", alert->type);
    snprintf(record.state, sizeof record.state, "%s", alert->firing ? "firing" : "resolved");
    snprintf(record.detail, sizeof record.detail, "alert %llu: %s %s%s%s, %s", (unsigned long long)alert->number, alert->series,
             alert->condition, *alert->reason ? ", " : "", alert->reason, alert->name);
    history_alert(history, &record);
}

static void alert_hear(void *arg, const struct rule_alert *alert)
{
    struct daemon *daemon = arg;
    api_alert(daemon->api, alert);
    alert_record(daemon->history, alert);
}

/* The intake tells stats everything; that a process is gone, operations and snapshots hear too, once the views show it. */
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
    if (daemon->snapshots)
        snapshots_process_gone(daemon->snapshots, stats_process_id(process));
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

void runtime_path(const struct daemon *daemon, const char *name, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s/%s", daemon->folders.runtime, name);
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
                                     .snapshot = capture_hear,
                                     .refused = refused,
                                     .released = released};
    runtime_path(daemon, "agent.sock", path, sizeof path);
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
                                                .snapshots = daemon->snapshots,
                                                .rules = daemon->rules,
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

static int snapshots_start(struct daemon *daemon)
{
    int error = snapshots_open(&(struct snapshots_options){.folder = daemon->folders.state,
                                                           .bytes_max = (uint64_t)daemon->settings.options.artifact_size},
                               &daemon->snapshots);
    if (error)
        log_warn("artifacts: %s", strerror(-error));
    return error;
}

void options_take(struct daemon *daemon)
{
    const struct options *options = &daemon->settings.options;
    log_setup(options->log_level, options->log_format);
    stats_gone_keep(daemon->stats, (uint64_t)options->gone_keep_ns, (size_t)options->gone_count);
}

/* Before the api, which shows them; they are evaluated once it is there to be told. */
static bool rules_open(struct daemon *daemon)
{
    char path[300];
    snprintf(path, sizeof path, "%s/rules.json", daemon->folders.state);
    daemon->rules = rules_new(&(struct rules_options){
        .operations = daemon->operations, .path = path, .command = api_command_read, .alert = alert_hear, .arg = daemon});
    return daemon->rules;
}

int stages_open(struct daemon *daemon)
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
    if (history_open(daemon) || snapshots_start(daemon) || !rules_open(daemon) || intake_open(daemon) || api_open(daemon, start_id) ||
        rules_start(daemon->rules, daemon->stats))
        return EXIT_REFUSAL;
    int error = folder_write(daemon->folders.runtime, "http.addr", daemon->address,
                             daemon->settings.options.system ? 0644 : 0600);
    if (error) {
        log_warn("http.addr: %s", strerror(-error));
        return EXIT_REFUSAL;
    }
    return EXIT_OK;
}

void stages_close(struct daemon *daemon)
{
    if (daemon->rules)
        rules_stop(daemon->rules);
    if (daemon->api)
        api_stop(daemon->api);
    if (daemon->intake)
        intake_stop(daemon->intake);
    if (daemon->snapshots)
        snapshots_close(daemon->snapshots);
    rules_free(daemon->rules);
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
