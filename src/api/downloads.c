/* Artifacts as files: a thread of its own makes the bytes, a window of WINDOW_BYTES waits for the reader, and libmicrohttpd's thread,
 * which must not wait, takes what is there. The connection is suspended while nothing is. The maker stays until all has been
 * taken: a reader who is slower than patience.h allows is cut off, to the last byte, so that no artifact and none of the few
 * places is held for ever; and so is one whose token is revoked or expires. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#include "api/artifacts.h"
#include "api/patience.h"
#include "base/clock.h"
#include "base/log.h"

#define WINDOW_BYTES ((size_t)262144)
#define BLOCK_BYTES 65536u
#define DOWNLOADS_MAX 4u
#define MEDIA_TYPE "application/octet-stream"

struct download {
    struct api *api;
    struct snapshot_graph *graph;
    enum snapshot_format format;
    struct MHD_Connection *mhd;
    uint64_t credential; /* on TCP: the serial of what was shown */
    /* the maker's */
    bool gzip;
    z_stream deflate;
    /* under downloads_lock */
    struct download *next;
    unsigned references; /* the response's and the maker's */
    struct connection *connection; /* NULL: its request is over */
    bool suspended, made, broken, unwanted;
    struct patience patience;
    pthread_cond_t taken; /* or unwanted */
    size_t from, count; /* in the window, a ring */
    char window[WINDOW_BYTES];
};

static const struct {
    const char *word, *ending;
} formats[] = {
#define SNAPSHOT_X(name, word, ending) {word, ending},
    SNAPSHOT_FORMATS(SNAPSHOT_X)
#undef SNAPSHOT_X
};

/* Under the lock, as long as anything is to be told to the connection. */
static void resume(struct download *download)
{
    if (download->suspended) {
        download->suspended = false;
        MHD_resume_connection(download->mhd);
    }
}

static void download_unref(struct download *download)
{
    struct api *api = download->api;
    pthread_mutex_lock(&api->downloads_lock);
    bool last = !--download->references;
    for (struct download **link = &api->downloads; last && *link; link = &(*link)->next)
        if (*link == download) {
            *link = download->next;
            break;
        }
    if (last)
        snapshot_graph_close(download->graph);
    api->download_count -= last;
    pthread_cond_broadcast(&api->downloads_end);
    pthread_mutex_unlock(&api->downloads_lock);
    if (!last)
        return;
    pthread_cond_destroy(&download->taken);
    free(download);
}

/* ---- the maker */

/* It ends here, whatever waits for its reader. Under the lock. */
static void cut_off(struct download *download)
{
    download->unwanted = true;
    if (download->connection)
        shutdown(download->connection->fd, SHUT_RDWR);
    pthread_cond_signal(&download->taken);
    resume(download);
}

/* Waits until the reader has taken something, as long as there is patience with him. Under the lock. */
static void taken_await(struct download *download)
{
    uint64_t since_ns = clock_mono_ns(), until_ns = since_ns + download->patience.left_ns;
    const struct timespec until = clock_timespec(until_ns);
    pthread_cond_timedwait(&download->taken, &download->api->downloads_lock, &until);
    patience_spend(&download->patience, clock_mono_ns() - since_ns);
    if (!download->patience.left_ns && !download->unwanted)
        cut_off(download);
}

/* Waits for room. false: nobody wants it any more. Under the lock. */
static bool room_await(struct download *download)
{
    while (download->count == WINDOW_BYTES && !download->unwanted)
        taken_await(download);
    return !download->unwanted;
}

static bool window_put(struct download *download, const char *bytes, size_t count)
{
    bool wanted = true;
    pthread_mutex_lock(&download->api->downloads_lock);
    do {
        wanted = room_await(download);
        size_t at = (download->from + download->count) % WINDOW_BYTES, room = WINDOW_BYTES - download->count;
        size_t some = count < room ? count : room;
        some = some < WINDOW_BYTES - at ? some : WINDOW_BYTES - at;
        if (!wanted || !some)
            continue;
        memcpy(download->window + at, bytes, some);
        download->count += some;
        bytes += some;
        count -= some;
        resume(download);
    } while (wanted && count);
    pthread_mutex_unlock(&download->api->downloads_lock);
    return wanted;
}

/* The next bytes, as they are or compressed. */
static bool bytes_put(struct download *download, const void *bytes, size_t count, int flush)
{
    char piece[16384];
    bool wanted = true;
    if (!download->gzip)
        return window_put(download, bytes, count);
    download->deflate.next_in = (unsigned char *)(uintptr_t)bytes;
    download->deflate.avail_in = (unsigned)count;
    do {
        download->deflate.next_out = (unsigned char *)piece;
        download->deflate.avail_out = sizeof piece;
        deflate(&download->deflate, flush);
        size_t made = sizeof piece - download->deflate.avail_out;
        wanted = !made || window_put(download, piece, made);
    } while (wanted && !download->deflate.avail_out);
    return wanted;
}

static int export_write(void *arg, const void *bytes, size_t count)
{
    struct download *download = arg;
    if (count)
        return bytes_put(download, bytes, count, Z_NO_FLUSH) ? 0 : -ECANCELED;
    pthread_mutex_lock(&download->api->downloads_lock);
    bool wanted = !download->unwanted;
    pthread_mutex_unlock(&download->api->downloads_lock);
    return wanted ? 0 : -ECANCELED;
}

static void *make(void *arg)
{
    struct download *download = arg;
    int error = snapshot_graph_export(download->graph, download->format, export_write, download);
    if (!error && download->gzip && !bytes_put(download, NULL, 0, Z_FINISH))
        error = -ECANCELED;
    if (download->gzip)
        deflateEnd(&download->deflate);
    if (error && error != -ECANCELED)
        log_warn("a download was broken off: %s", strerror(-error));
    pthread_mutex_lock(&download->api->downloads_lock);
    download->made = true;
    download->broken = error;
    resume(download);
    while (!download->unwanted) /* the response's end says so */
        taken_await(download);
    pthread_mutex_unlock(&download->api->downloads_lock);
    download_unref(download);
    return NULL;
}

/* ---- libmicrohttpd's side */

static ssize_t window_read(void *arg, uint64_t position, char *out, size_t room)
{
    struct download *download = arg;
    pthread_mutex_lock(&download->api->downloads_lock);
    if (!position && download->connection)
        phase_set(download->connection, PHASE_WAITING); /* it may take longer than an answer; taken_await() watches */
    size_t some = download->count < room ? download->count : room;
    some = some < WINDOW_BYTES - download->from ? some : WINDOW_BYTES - download->from;
    ssize_t result = (ssize_t)some;
    memcpy(out, download->window + download->from, some);
    download->from = (download->from + some) % WINDOW_BYTES;
    download->count -= some;
    if (some) {
        patience_earn(&download->patience, some);
        pthread_cond_signal(&download->taken);
    } else if (download->broken || download->unwanted) {
        result = MHD_CONTENT_READER_END_WITH_ERROR; /* the connection ends: a client sees that it is not whole */
    } else if (download->made) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        download->suspended = true;
        MHD_suspend_connection(download->mhd);
    }
    pthread_mutex_unlock(&download->api->downloads_lock);
    return result;
}

static void response_over(void *arg)
{
    struct download *download = arg;
    pthread_mutex_lock(&download->api->downloads_lock);
    download->unwanted = true;
    download->suspended = false;
    pthread_cond_signal(&download->taken);
    pthread_mutex_unlock(&download->api->downloads_lock);
    download_unref(download);
}

/* The request is over, and its connection may go. */
void download_detach(struct api *api, const struct download *gone)
{
    pthread_mutex_lock(&api->downloads_lock);
    for (struct download *download = api->downloads; download; download = download->next)
        if (download == gone)
            download->connection = NULL;
    pthread_mutex_unlock(&api->downloads_lock);
}

void downloads_break(struct api *api)
{
    pthread_mutex_lock(&api->downloads_lock);
    for (struct download *download = api->downloads; download; download = download->next) {
        download->unwanted = true;
        pthread_cond_signal(&download->taken);
        resume(download);
    }
    pthread_mutex_unlock(&api->downloads_lock);
}

void downloads_judge(struct api *api)
{
    uint64_t serials[DOWNLOADS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&api->downloads_lock);
    for (const struct download *download = api->downloads; download && count < DOWNLOADS_MAX; download = download->next)
        if (download->credential)
            serials[count++] = download->credential;
    pthread_mutex_unlock(&api->downloads_lock);
    for (size_t i = 0; i < count; i++) {
        if (credentials_stand(api->credentials, serials[i]))
            continue;
        pthread_mutex_lock(&api->downloads_lock);
        for (struct download *download = api->downloads; download; download = download->next)
            if (download->credential == serials[i])
                cut_off(download);
        pthread_mutex_unlock(&api->downloads_lock);
    }
}

void downloads_await(struct api *api)
{
    pthread_mutex_lock(&api->downloads_lock);
    while (api->download_count)
        pthread_cond_wait(&api->downloads_end, &api->downloads_lock);
    pthread_mutex_unlock(&api->downloads_lock);
}

/* ---- its beginning */

static bool download_add(struct api *api, struct download *download)
{
    pthread_mutex_lock(&api->downloads_lock);
    bool room = api->download_count < DOWNLOADS_MAX && !api->draining;
    if (room) {
        download->next = api->downloads;
        api->downloads = download;
        api->download_count++;
    }
    pthread_mutex_unlock(&api->downloads_lock);
    return room;
}

static bool packs(const struct request *request, enum snapshot_format format)
{
    return format != SNAPSHOT_PPROF && form_of(request).gzip;
}

/* One that counts, with both references; NULL: none may begin, or no memory. Takes the graph over. */
static struct download *download_new(struct request *request, struct snapshot_graph *graph, enum snapshot_format format)
{
    struct download *download = calloc(1, sizeof *download);
    pthread_condattr_t clock;
    if (!download) {
        snapshot_graph_close(graph);
        return NULL;
    }
    download->api = request->api;
    download->graph = graph;
    download->format = format;
    download->mhd = request->mhd;
    download->connection = request->connection;
    download->credential = request->credential;
    download->patience = patience_of(request->api->download_patience_ns);
    download->references = 2;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&download->taken, &clock);
    pthread_condattr_destroy(&clock);
    download->gzip = packs(request, format) &&
                     deflateInit2(&download->deflate, 3, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (download_add(request->api, download))
        return download;
    if (download->gzip)
        deflateEnd(&download->deflate);
    snapshot_graph_close(graph);
    pthread_cond_destroy(&download->taken);
    free(download);
    return NULL;
}

/* A file's name as any system takes it. */
static void headers_add(struct MHD_Response *response, enum snapshot_format format, bool gzip, const struct snapshot_artifact *artifact)
{
    char name[64], text[192];
    snprintf(name, sizeof name, "%.60s", artifact->meta.name);
    for (char *at = name; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *at))
            *at = '_';
    snprintf(text, sizeof text, "attachment; filename=\"%s-heap%u-%s.%s\"", name, (unsigned)artifact->meta.heap, artifact->id,
             formats[format].ending);
    MHD_add_response_header(response, "Content-Type", MEDIA_TYPE);
    MHD_add_response_header(response, "Content-Disposition", text);
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    if (gzip)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    respond_headers(response, false);
}

/* Without a place among the downloads, or a look at the files. */
static enum MHD_Result download_head(struct request *request, const struct snapshot_artifact *artifact, enum snapshot_format format)
{
    struct MHD_Response *response = head_new();
    if (!response)
        return MHD_NO;
    headers_add(response, format, packs(request, format), artifact);
    return respond_queue(request, MHD_HTTP_OK, response);
}

static bool thread_start(struct download *download)
{
    pthread_t thread;
    return !pthread_create(&thread, NULL, make, download) && !pthread_detach(thread);
}

enum MHD_Result download_start(struct request *request, const struct snapshot_artifact *artifact, const char *format)
{
    struct snapshot_graph *graph;
    unsigned which = 0;
    while (strcmp(formats[which].word, format) != 0)
        which++;
    if (request->head)
        return download_head(request, artifact, (enum snapshot_format)which);
    if (snapshot_graph_open(request->api->snapshots, artifact->id, &graph))
        return respond_problem(request, PROBLEM_no_such_artifact, NULL);
    struct download *download = download_new(request, graph, (enum snapshot_format)which);
    if (!download)
        return respond_problem(request, PROBLEM_too_many_downloads, "as many go on as may at once; one ends when its reader has all of "
                                                                    "it, or takes less than 64 KiB a second for long");
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, window_read, download, response_over);
    if (!response || !thread_start(download)) {
        download_unref(download); /* the maker's */
        if (response)
            MHD_destroy_response(response);
        else
            download_unref(download);
        return respond_problem(request, PROBLEM_internal, "out of memory");
    }
    headers_add(response, download->format, download->gzip, artifact);
    request->download = download;
    asked_once(request, "artifact_download", artifact->id, "done", format);
    return respond_queue(request, MHD_HTTP_OK, response);
}
