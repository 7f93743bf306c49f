/* The daemon's whole interface: HTTP on two listeners, TCP (`http.addr`) and the Unix socket `api.sock`.
 *
 * JSON shapes. Every view carries "as_of" (RFC 3339 UTC, ms), "as_of_mono_ns" and "seq";
 *                           ETag "<start id>-<seq>".
 *
 * GET /healthz             {"status":"ok"}, or {"status":"degraded","degraded":["history"]}: live figures are right
 * GET /v1/info             {"version","start_id","pid","mode":"user","started_at","uptime_ns","seq",
 *                           "as_of",...,
 *                           "http":"127.0.0.1:7717","runtime_dir","state_dir",
 *                           "libraries":{"libmicrohttpd","jansson"},
 *                           "processes":{"live","gone"},"refused":[{"reason","count","last_at","last_pid",
 *                           "last_uid"}],
 *                           "limits":{...},"managers":["none",...],
 *                           "fields":[{"path","kind","unit","label","help"}]}
 * GET /v1/processes        {...,"processes":[SUMMARY],
 *                           "next_cursor":null|"…"}   ?state=live|gone &label=k:v &limit=1..1000 &cursor=
 *                           &sort=
 *   SUMMARY = {"id","pid"|null,"uid","name","state":"live"|"gone","labels":{},"library","attached_at",
 *                           "gone_at"|null,
 *              "end"|null,"complete","safepoint_age_ns","live_objects","live_bytes","allocations",
 *              "frees":{"refcount","cycle"},
 *              "collections","enabled":true|false|null,"manager":"cycle"|…|null,"heaps":[{"n",
 *              "live_objects","live_bytes","state"}]}
 * GET /v1/processes/{id}   SUMMARY + view members, "post_mortem":POST_MORTEM, null while it lives
 *   POST_MORTEM = {"exit":{"kind":"exit","code"}|{"kind":"signal","signal","name":"SIGKILL"|null,"core"}|null,
 *              "heaps":[{"n","was":"running"|…: what it was doing,"gone_before": whether it had ended before
 *              the process did,"last_events":[EVENT], at most 64, oldest first}],
 *              "last_collections":[16, newest first, as in …/collections],"stats":{as …/stats}}
 *                           exit: told a moment after the end, by Linux 6.15 or later, else null. While it is
 *                           kept (--gone-keep, --gone-count), all views of it answer.
 *   EVENT = {"kind":"alloc"|"free_refcount"|"free_cycle"|"collection_start"|"collection_stop","type"|null,
 *              "bytes","object": a number that is its own while it lives,"at_mono_ns"|null: a collection's
 *              (bytes and object are null then),"after_mono_ns": of the heap's last safepoint before it}
 * GET …/stats              {view…,"id","pid","name","state","complete", all paths of stats/fields.def nested
 *                           ("frees":{"refcount","cycle"}, "events":{"level","written","lost","seen"},
 *                           "slices":{"count","missed","longest_ns"} …),"rates":RATES,"enabled","manager",
 *                           "thresholds":[3],"debug":[],"max_pause_us","memory_limit_bytes","counts":[3],
 *                           "generations":[{"collections","collected","uncollectable"}×3],
 *                           "last_pause_ns","safepoint_age_ns","heaps":[{"n","state","gone","complete",
 *                           the same members}]}
 *                           Where heaps differ in enabled, manager, thresholds, debug, max_pause_us,
 *                           memory_limit_bytes, events.level: null at the top.
 *   RATES = {"allocations_per_s","frees_per_s":{"refcount","cycle"}}: over the last second or so; 0 at rest,
 *                           and of what is gone
 * GET …/types              {view…,"types":[{"name","tracked","size_bytes"|null,"live_objects",
 *                           "live_bytes","allocations",
 *                           "allocated_bytes","moved":{"in","out"},"frees":{"refcount","cycle"},
 *                           "freed_bytes":{…},
 *                           "events":{"allocations","frees":{"refcount",
 *                           "cycle"}},"rates":RATES,"lifetimes":LIFETIMES|null}]}
 *                           most live bytes first; ?sort=name|live_bytes|… &limit= &histograms=true
 *   LIFETIMES = {"known": deaths whose birth was seen,"unknown": other deaths,"short_lived": of the known, before
 *                           short_lived_below_bytes more were allocated in their heap,
 *                           "short_lived_below_bytes","one_page_in": lifetimes are of objects on one page in
 *                           so many}; null: no event of the type was seen. A second old at most, as rates are.
 *   histograms              add to each type "sizes":[{"bytes","or_more","count"}] of its allocations,
 *                           "lifetime_ns" and "lifetime_bytes":[{"from","count"}]: from 0 and from powers of
 *                           two on, those that hold something
 * GET …/collections        {view…,"collections":[{"heap","sequence","started_at","start_mono_ns","reason",
 *                           "generation","manager","scope":"generations"|"candidates"|"heap","slices",
 *                           "pause_ns","phases":{"find_ns","callback_ns","free_ns"},"examined",
 *                           "collected","freed_bytes","uncollectable",
 *                           "live_bytes_before","live_bytes_after","safepoint_wait_ns",
 *                           "operation":null|"…"}]}  newest first; ?limit=
 * GET …/config             {view…,"enabled","manager","thresholds","debug":["saveall"],"max_pause_us",
 *                           "memory_limit_bytes","access":"control"|"observe": what the host allows,
 *                           "events":"all","heaps":[{"n",…}]}
 * PATCH …/config           body: any of enabled, manager (a word of /v1/info), thresholds, debug (stats,
 *                           collectable, uncollectable, saveall; leak: the last three), events, max_pause_us
 *                           (0..10000000), memory_limit_bytes (0: no limit, as with the pause), and
 *                           deadline_ms; ?wait=; 200 config in force | 202 operation. A heap takes all of it
 *                           or nothing.
 * POST …/collect           {"generation":0..2 (default 2),"deadline_ms":1..3600000 (default 30000)}; ?wait=5s
 *                          200 finished operation | 202 + Location
 * …/heaps/{n} and …/heaps/{n}/stats|types|collections|config|collect: the same for one heap.
 * OPERATION = {"id","kind":"collect"|"config","process","state","code"|null,"detail"|null,"deadline_ms",
 *                           "created_at","finished_at"|null,
 *              "safepoint_wait_ns"|null,"pause_ns"|null,"result":{"collected","freed_bytes"}|{…config}|null,
 *              "heaps":[{"n","state","collected","pause_ns","safepoint_wait_ns"}]}
 *              collect: also "generation"; heaps also carry "code", "detail" and "freed_bytes";
 *              …/heaps/{n}/stats also "heap_state"
 * GET /v1/operations       {"operations":[OPERATION]} newest first; GET|DELETE /v1/operations/{op}  ?wait=5s
 * POST /v1/session         on api.sock, {} : 201 {"code","expires_in_s":60,
 *                           "url":"http://HOST:PORT/#login=CODE"}
 *                          on TCP (no token needed), {"code"} : 200 {"token","scopes":["read","control"]}
 * GET /v1/stream?topics=fleet,stats:{id},collections:{id},events:{id},operations   at most 16
 *                          text/event-stream; "id: <start id>-<seq>", "retry: 1000";
 *                          comment heartbeat each 10 s.
 *                          events: hello {"start_id","seq"} first; fleet (body of GET /v1/processes);
 *                          stats (body of GET …/stats);
 *                          collections {"id","collections":[new ones]}; operation (OPERATION);
 *                          gap {"missed"} when frames were dropped, and the end;
 *                          bye {} when the daemon drains. fleet and stats at most 4 times a second,
 *                          latest wins.
 *                          events {"id","events":[EVENT + "heap"],"missed","lost"}: as they are read, oldest
 *                          first, at most 256 in a frame and 20 frames a second. missed: what passed the
 *                          filter since the last frame, and came faster than that; lost: what was
 *                          overwritten before it was read, filter or not. &heap=n &kind=alloc,free_refcount,
 *                          free_cycle,collection &type=name &min_bytes=; what is wrong answers 422. With a
 *                          type or min_bytes no collections are told. An id that is a pid means the process
 *                          that had it when the stream began.
 * Problems: application/problem+json {"type":"/problems/<code>","title","status","detail","instance","code"}
 *
 * What is always true
 *  - GET never changes anything. Requests are checked in one order: form, Host, token, Origin, route and
 *    method, content type, JSON.
 *  - A body is built once per view and reused;
 *                           handlers run in the listeners' threads and never wait: a client that
 *    waits is suspended, and resumed by what it waits for or by the ticker.
 *  - Every connection has an absolute deadline for its header, its request and its idleness,
 *                           and every stream a
 *    bound on what may wait for its reader.
 */
#ifndef TALLY_API_API_H
#define TALLY_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "history/history.h"
#include "operations/operations.h"
#include "sandbox/sandbox.h"
#include "stats/stats.h"

struct api;

struct api_options {
    struct stats *stats;
    struct operations *operations;
    struct audit *audit;       /* of operations, too; NULL: none */
    struct history *history;   /* NULL: none */
    int tcp_fd, unix_fd;       /* listening sockets, taken over */
    const char *tcp_address;   /* HOST:PORT as bound, for the Host check and links */
    const char *public_host;   /* NULL, or a further Host that a proxy sends */
    bool remote_control;       /* off loopback: writes are allowed on TCP */
    bool loopback;
    const char *start_id;      /* 8 hex digits, new at each start */
    const char *token;         /* the bearer token of all scopes */
    const char *sessions_path; /* file of the page's session tokens */
    const char *runtime_dir, *state_dir;
    const struct sandbox *sandbox; /* what is in force; NULL: nothing */
    bool system;
    const char *metrics_detail; /* app, process or heaps; NULL or "auto": by the number of processes */
    size_t metrics_process_series, metrics_series; /* most of a process, and in all; 0: the defaults of api/metrics.h */
};

/* Starts both listeners and the ticker. The strings are copied. 0 or -errno. */
int api_start(const struct api_options *options, struct api **out);
/* Says goodbye to streams, answers what still comes with 503, ends in less than a second. */
void api_stop(struct api *api);

#endif
