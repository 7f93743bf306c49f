/* What the files of the api share. */
#ifndef TALLY_API_PRIVATE_H
#define TALLY_API_PRIVATE_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "api/respond.h"
#include "api/credentials.h"
#include "api/metrics.h"

#define HEADER_MAX 8192u
#define BODY_MAX 65536u
#define BODY_SKIP_MAX (128u * BODY_MAX) /* read beyond that so that the client hears of it */
#define STRANGER_BODY_MAX 1024u  /* without a token */
#define STRANGER_REQUESTS 100u   /* on one connection */
#define SEGMENTS_MAX 8u
#define SEGMENT_BYTES 256u
#define PARAMETERS_MAX 24u /* 16 labels, and whatever else a route knows */
#define VALUE_BYTES 1024u
#define TARGET_MAX 4096u
#define TCP_CONNECTIONS 256u
#define TCP_STRANGERS 64u
#define UNIX_CONNECTIONS 64u
#define CONNECTION_BYTES 16384u /* of header and answer, a connection */
#define STREAMS_MAX 64u
#define STREAM_TOPICS 16u
#define STREAM_QUEUE_BYTES ((size_t)262144)
#define FRAMES_BYTES ((size_t)33554432) /* of all streams together */
#define HEADER_NS 10000000000u
#define REQUEST_NS 30000000000u
#define IDLE_NS 60000000000u
#define HEARTBEAT_NS 10000000000u
#define TICK_NS 50000000u
#define DEADLINE_DEFAULT_MS 30000u
#define DEADLINE_MAX_MS 3600000u
#define PAGE_LIMIT 1000u
#define CODES_MAX 64u
#define TICKETS_MAX 64u
#define CODE_NS 60000000000u
#define WORKERS 2u
#define JOBS_MAX 128u

enum scope { OPEN = 0, READ = 1, CONTROL = 2, ADMIN = 4 };

enum parameter_kind { INTEGER, BOOLEAN, WORD, SORT, LIST, DURATION, TEXT, PAIR };
struct parameter_row { /* of parameters.def */
    const char *word, *name, *allowed, *help;
    enum parameter_kind kind;
};
struct parameter { /* of a request */
    const struct parameter_row *row;
    const char *value;
};

/* Where a connection stands: handed to libmicrohttpd, its header awaited, between requests, a request and its answer
 * under way, suspended. Each but the last has a deadline. */
enum phase { PHASE_HANDED, PHASE_OPENED, PHASE_IDLE, PHASE_REQUEST, PHASE_WAITING };

struct listener {
    struct api *api;
    bool is_unix;
    int fd;
    unsigned limit, strangers; /* connections, and how many of them may not have shown a token */
    struct MHD_Daemon *mhd;
    int wake_fd;  /* in libmicrohttpd's epoll set: listener_wake() */
    bool starved; /* the door's: no descriptor was left, and that was said */
    uint64_t resume_ns;
};

struct connection { /* one socket; in the api's list, newest first, under its lock */
    struct connection *next, *previous;
    struct listener *listener;
    int fd;
    bool is_unix;
    bool ending; /* shut down, not closed yet */
    uid_t uid;   /* is_unix: the peer's */
    char from[64]; /* the peer, for the audit */
    unsigned requests; /* libmicrohttpd's thread's */
    atomic_bool trusted; /* on the Unix socket, or a token was shown */
    _Atomic uint64_t state; /* when its phase began, and in the lowest three bits the phase */
};

struct route;
struct stream;
struct download;

/* Headers that all requests are asked for, found in one walk: guard.c. */
enum header {
    HEADER_HOST,
    HEADER_LENGTH,
    HEADER_AUTHORIZATION,
    HEADER_ORIGIN,
    HEADER_TYPE,
    HEADER_ENCODING,
    HEADER_SITE,
    HEADER_KNOWN, /* If-None-Match */
    HEADER_ACCEPT,
    HEADER_ACCEPT_ENCODING,
    HEADERS
};

struct request {
    struct api *api;
    struct connection *connection;
    struct MHD_Connection *mhd;
    bool target_bad, target_long;
    const char *line; /* where the target lies, libmicrohttpd's; never read */
    size_t line_bytes;
    bool checked; /* the header has been looked at */
    const char *headers[HEADERS]; /* the first value of each, libmicrohttpd's; NULL: there is none */
    bool page;    /* it asks for a file of the dashboard */
    const struct route *route;
    bool head, options;   /* HEAD: as GET, without a body */
    char allow[64];       /* the methods that there are */
    unsigned scopes;      /* of the token, all on the Unix socket */
    char who[64];         /* for the audit */
    uint64_t credential;  /* on TCP: the serial of what it has shown */
    const char *segments[SEGMENTS_MAX];
    unsigned segment_count;
    struct parameter parameters[PARAMETERS_MAX];
    unsigned parameter_count;
    char *body;
    size_t body_bytes, skipped_bytes;
    json_t *json; /* the body of a route that has one, as its schema allows it */
    enum problem pending; /* answered when the body has ended */
    /* waiting for an operation */
    struct request *next_waiting;
    bool waiting, suspended;
    char operation[OPERATION_ID_CHARS]; /* that it waits for; "": it waits for the time alone, or its tail */
    uint64_t wait_until_ns;
    enum MHD_Result (*resume)(struct request *request); /* when it has waited */
    struct stats_tail *tail; /* …/events: of tail_process */
    char tail_process[33];
    size_t tail_enough; /* events */
    const struct stream *stream; /* that it became */
    const struct download *download; /* likewise */
    bool keyed; /* it is the first with its Idempotency-Key */
    /* aside: with a worker */
    struct request *next_job;
    bool aside, made; /* made: a worker is done with it */
    struct answer answer;
    /* Of what follows only first bytes are cleared when a request begins. */
    struct fault fault; /* what is wrong with a value */
    char *target, *decoded; /* decoded: the texts of segments and parameters, of no more bytes than twice the target's */
    size_t decoded_bytes, decoded_room;
};

struct login_code {
    char code[SECRET_CHARS];
    uint64_t expires_ns;
};

struct ticket { /* tickets.c */
    char secret[SECRET_CHARS];
    uint64_t expires_ns; /* 0: used */
    uint64_t credential; /* with which it falls; 0: it was made on the Unix socket */
    char who[64], artifact[17], format[16];
};

struct api {
    struct stats *stats;
    struct operations *operations;
    struct audit *audit;
    struct history *history; /* NULL: none */
    struct snapshots *snapshots; /* NULL: none */
    struct rules *rules;
    char tcp_address[64], public_host[256], start_id[16];
    char runtime_dir[512], state_dir[512];
    uint16_t tcp_port;
    bool remote_control, loopback, system;
    struct sandbox sandbox;
    char service[160];
    uint64_t started_ns, started_wall_ns;
    struct listener tcp, unix_;
    pthread_t ticker, door;

    struct credentials *credentials; /* with locks of its own */

    pthread_mutex_t lock; /* connections, waiting, codes, tickets */
    struct connection *connections;
    struct request *waiting;
    struct login_code codes[CODES_MAX];
    struct ticket tickets[TICKETS_MAX];
    atomic_bool draining, stopping; /* set once; read without the lock */

    struct bodies *bodies;
    struct repeats *repeats;

    pthread_mutex_t jobs_lock; /* jobs, job_count, jobs_end */
    pthread_cond_t jobs_come;
    struct request *jobs, **jobs_tail;
    unsigned job_count, worker_count;
    bool jobs_end;
    struct worker { /* PULSE_WORKER_1 and so on, in order */
        pthread_t thread;
        struct api *api;
    } workers[WORKERS];
    json_t *schemas; /* by name; never changes */
    _Atomic uint64_t *answers; /* answers.c */
    struct metrics *metrics;
    unsigned metrics_scope; /* where a scrape asks for none: a METRICS_SCOPES, or 0 */

    pthread_mutex_t streams_lock; /* streams and all in them */
    struct stream *streams;
    unsigned stream_count;
    struct channel *channels;
    atomic_size_t frame_bytes; /* of all frames there are */

    pthread_mutex_t downloads_lock; /* downloads and what waits in them */
    pthread_cond_t downloads_end;   /* one has gone */
    struct download *downloads;
    unsigned download_count;
    uint64_t download_patience_ns; /* with a reader; never changes */
};
/* Lock order: none of the four is taken while another is held; the snapshots' own may be, below downloads_lock. */

typedef enum MHD_Result (*route_fn)(struct request *request);
enum place { HERE, KEPT, ASIDE };
struct route { /* of routes.def, where the columns are explained */
    const char *method, *path;
    enum scope scope;
    enum place place;
    route_fn handler;
    const char *parameters, *body, *answers, *summary;
};
extern const struct route routes[];
extern const size_t route_count;

/* target.c: the raw target, split first and decoded then */
bool target_parse(struct request *request, const char **detail);
const struct route *route_find(const struct request *request, const char *method, bool *path_known,
                               char *allow, size_t allow_bytes);
/* Whether it has a form for application/x-ndjson; whether it answers JSON at all; whether it honours Idempotency-Key. */
bool route_lists(const struct route *route);
bool route_json(const struct route *route);
bool route_repeats(const struct route *route);
/* Decodes [from, end) behind what the request has decoded before. NULL: malformed, a NUL, or not below `room`. */
const char *target_decode(struct request *request, const char *from, const char *end, size_t room);
/* The decoded segment that stands for {id}, {n} or another one of parameters.def in the route's path. */
const char *request_segment(const struct request *request, const char *pattern);

/* parameters.c: the query, by the route's whitelist. What a handler finds is what parameters.def allows.
 * false: a parameter is unknown, repeated or has a value that is not allowed; the fault says which, and what is */
bool parameters_read(struct request *request);
bool parameter_check(const struct parameter_row *row, const char *value, struct fault *fault);
/* The row of parameters.def that a word of a whitelist stands for; `bytes` of it. NULL: none. */
const struct parameter_row *parameter_row(const char *word, size_t bytes);
/* By the name in the query; NULL, false or `otherwise` where it was not given. */
const char *request_parameter(const struct request *request, const char *name);
uint64_t request_integer(const struct request *request, const char *name, uint64_t otherwise);
bool request_flag(const struct request *request, const char *name);

/* guard.c: PROBLEM_NONE or what is wrong */
enum problem guard_form(struct request *request, const char *method, const char *version, char *detail, size_t bytes);
enum problem guard_host(const struct request *request, char *detail, size_t bytes);
enum problem guard_token(struct request *request, enum scope scope);
enum problem guard_origin(const struct request *request, char *detail, size_t bytes);
bool guard_host_known(const struct api *api, const char *host);
/* Whether it comes from beyond loopback, where without --remote-control no scope but READ is good. */
bool guard_read_only(const struct request *request);

/* worker.c: threads that build what takes longer than a listener may. `start` gives 0 or -errno; `stop` returns when
 * no request is with a worker any more, and every one that was has been resumed. */
int workers_start(struct api *api);
void workers_stop(struct api *api);
/* Suspends the request and has its handler run by a worker; 503 where too many wait. Listener's thread. */
enum MHD_Result worker_take(struct request *request);
/* Whether the answer is of no use any more: its client is gone, or the daemon stops. Worker's thread; a system call. */
bool request_unwanted(const struct request *request);

/* repeat.c: Idempotency-Key. check: true: answered as the first time; false: it has no key, or is the first with it, of
 * which note tells what it became: the operation in request->operation, or none, and the key is free again. */
struct repeats *repeats_new(void);
void repeats_free(struct repeats *repeats);
bool repeat_check(struct request *request, enum MHD_Result *answered);
void repeat_note(struct request *request);

/* schema.c: the components of src/api/schemas, and bodies held against them. */
json_t *schemas_load(void); /* new; name to schema, figures and members woven in; NULL: out of memory */
/* false: the fault names the member and says what is allowed. Of JSON Schema what schema.c lists. */
bool schema_check(const json_t *schemas, const char *name, const json_t *value, struct fault *fault);

/* history.c: what /healthz and /v1/info say of it */
json_t *history_health(struct api *api);
json_t *history_info(struct api *api);

/* trace.c: a stretch of a process's history as trace events. 0 and answered, or the error of history.h. */
struct trace_source {
    const char *process;
    uint32_t heap; /* 0: all */
    uint64_t from_ns, to_ns;
    const char *const *columns; /* those of the answer */
    const struct history_answer *answer;
};
int trace_respond(struct request *request, const struct trace_source *source, enum MHD_Result *answered);

/* times.c: RFC 3339, "now" or "-1h" */
bool parse_time(const char *text, uint64_t now_wall_ns, uint64_t *wall_ns);

/* The handlers of routes.def, and what else the server calls */
#define ROUTE(method, path, scope, place, handler, parameters, body, answers, summary)                                             \
    enum MHD_Result handler(struct request *request);
#include "api/routes.def"
#undef ROUTE
enum MHD_Result files_serve(struct request *request, bool *found);
/* controls.c. fill: the command's members from a body that its schema allows; returns NULL, or the member that is none
 * of its kind's. run: the command for the route's process or heap, as `fit` completes it (NULL: as it is; false:
 * answered). start: an operation on what is selected; its deadline, asker and wait are the request's. await: answers
 * when request->operation has ended, at the latest after ?wait=. */
const char *controls_fill(const json_t *body, struct wire_command *command);
typedef bool (*controls_fit_fn)(struct request *request, const struct stats_process_view *process, uint32_t heap,
                                struct wire_command *command, enum MHD_Result *answered);
enum MHD_Result controls_run(struct request *request, const struct wire_command *command, uint64_t otherwise_ns,
                             controls_fit_fn fit);
enum MHD_Result controls_start(struct request *request, struct operation_request *operation, const char *target,
                               uint64_t otherwise_ns);
enum MHD_Result controls_await(struct request *request, uint64_t otherwise_ns);
enum MHD_Result controls_resume(struct request *request);
/* Answers with request->operation, after the wait that the request asks for. */
enum MHD_Result controls_again(struct request *request);
/* listings.c: what a finished listing has found. */
json_t *listing_json(struct api *api, const struct operation_view *operation);
enum MHD_Result listing_answer(struct request *request, const struct operation_view *operation);
/* channel.c: a tail's filter as the query has it, and what came to one, at most so much. */
struct stats_tail_filter tail_filter(const struct request *request);
json_t *tail_json(struct api *api, struct stats_tail *tail, const char *process, size_t most);
json_t *processes_json(const struct stats_view *view); /* all of them, as the route lists them */
/* A process by the request's segment: its view is *view's; answers itself and returns NULL where there is
 * none. */
const struct stats_process_view *request_process(struct request *request, const struct stats_view *view,
                                                 enum MHD_Result *answered);
/* The heap's number, 0 for all; false: answered. */
bool request_heap(struct request *request, const struct stats_process_view *process, uint32_t *heap,
                  enum MHD_Result *answered);
bool parse_number(const char *text, uint64_t max, uint64_t *out);
bool parse_duration(const char *text, uint64_t *out_ns);
/* Tells those that follow the topic at once; steals json (NULL is fine). For topics that the ticker does not look at. */
enum topic_kind {
#define TOPIC(NAME, word, object, event, schema, help) TOPIC_##NAME,
#define EVENT(event, schema, help)
#include "api/topics.def"
#undef EVENT
#undef TOPIC
};
void streams_tell(struct api *api, enum topic_kind kind, uint64_t seq, json_t *json);
void streams_tick(struct api *api);
void stream_detach(struct api *api, const struct stream *gone);
void streams_end(struct api *api);
void streams_judge(struct api *api);

/* downloads.c. break: all that go on end, and none begins once the api drains; await: until there is none; judge: those end
 * whose token was revoked or has expired. */
void download_detach(struct api *api, const struct download *gone);
void downloads_break(struct api *api);
void downloads_await(struct api *api);
void downloads_judge(struct api *api);

/* connections.c. take: a socket that was accepted, taken over; changed: what libmicrohttpd tells of it.
 * free: what is left once the listeners have stopped. */
void phase_set(struct connection *connection, enum phase phase);
void connection_idle(struct connection *connection); /* a request is over */
enum phase phase_get(const struct connection *connection);
void connection_take(struct listener *listener, int fd, const struct sockaddr *address, socklen_t address_bytes);
void connection_changed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code);
/* Says so (400, without a document) and shuts it down: for what libmicrohttpd would leave unanswered. */
void connection_refuse(struct connection *connection);
/* Once libmicrohttpd has started: 0 or -EIO. */
int listener_wakeable(struct listener *listener);
int door_open(struct api *api); /* 0 or -errno */
void door_close(struct api *api); /* once `stopping` is set */
void connections_free(struct api *api);

/* answers.c: how many there were. list: free(3) it; NULL: out of memory. */
bool answers_init(struct api *api);
void answers_count(const struct request *request, unsigned status);
struct metrics_request *answers_list_new(const struct api *api, size_t *count);

/* server.c */
/* What suspends the connection of a request that is not answered yet: libmicrohttpd 0.9.75 reads from one that was resumed
 * before it asks us for the answer, and drops one whose client has shut down its sending. Those with a timeout of their own
 * it asks first. */
void request_suspend(struct request *request);
void request_wait(struct request *request); /* never from a worker */

/* asked.c: what the audit is told. fill: who and from where, of what is asked of a target. once: of what has ended
 * as it was asked, with a result ("done", "refused", "failed") and a code, or "". refused: a control that the asker
 * may not have; no effect on other routes and problems. */
void asked_fill(const struct request *request, const char *kind, const char *target, const char *detail,
                struct audit_record *asked);
void asked_once(const struct request *request, const char *kind, const char *target, const char *result,
                const char *code);
void asked_refused(const struct request *request, enum problem problem);
/* The target's path for the log, whose query is the client's own affair. */
const char *asked_path(const struct request *request, char *path, size_t room);

/* json.c */
json_t *body_parse(const struct request *request, char *detail, size_t bytes);

#endif
