/* Server-sent events. Each stream has a queue of frames, which it shares with other streams. A reader that lags behind
 * the bound of its queue gets what is in it, then a gap event that says how many frames were dropped, and then the end: it
 * comes again, and hears the state as it is. A stream with an empty queue is suspended, and resumed with its next frame.
 * One whose reader takes nothing for STALLED_NS is cut off. */
#include "api/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/pulse.h"

#define STALLED_NS 30000000000u

/* ---- the queue, under streams_lock */

static struct frame **queue_at(const struct stream *stream, size_t i)
{
    return &stream->queue[(stream->first + i) & (stream->room - 1)];
}

static bool queue_grow(struct stream *stream)
{
    size_t room = stream->room ? 2 * stream->room : 8;
    struct frame **queue = calloc(room, sizeof *queue);
    if (!queue)
        return false;
    for (size_t i = 0; i < stream->count; i++)
        queue[i] = *queue_at(stream, i);
    free(stream->queue);
    stream->queue = queue;
    stream->room = room;
    stream->first = 0;
    return true;
}

static void resume(struct stream *stream)
{
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->mhd);
    }
}

static bool queue_add(struct stream *stream, struct frame *frame)
{
    if (!frame || (stream->count == stream->room && !queue_grow(stream)))
        return false;
    stream->written_ns = clock_mono_ns();
    if (!stream->count)
        stream->taken_ns = stream->written_ns;
    *queue_at(stream, stream->count++) = frame;
    frame->references++;
    stream->queued_bytes += frame->bytes;
    resume(stream);
    return true;
}

/* Adds a frame of our own making. */
static bool queue_say(struct stream *stream, struct frame *frame)
{
    bool added = queue_add(stream, frame);
    frame_unref(stream->api, frame);
    return added;
}

static void queue_pop(struct stream *stream)
{
    struct frame *frame = *queue_at(stream, 0);
    stream->queued_bytes -= frame->bytes - stream->sent;
    stream->sent = 0;
    stream->first = (stream->first + 1) & (stream->room - 1);
    stream->count--;
    frame_unref(stream->api, frame);
}

/* The frame that waits, none of it sent yet, and that this one makes obsolete. */
static struct frame **queue_obsolete(const struct stream *stream, const struct frame *frame)
{
    for (size_t i = stream->sent > 0; frame->newest_wins && i < stream->count; i++)
        if ((*queue_at(stream, i))->newest_wins == frame->newest_wins)
            return queue_at(stream, i);
    return NULL;
}

static bool has_room(const struct stream *stream, const struct frame *frame)
{
    if (!stream->count)
        return true;
    return (frame->newest_wins || stream->queued_bytes + frame->bytes <= STREAM_QUEUE_BYTES) &&
           stream->api->frame_bytes <= FRAMES_BYTES;
}

static void push(struct stream *stream, struct frame *frame)
{
    struct frame **obsolete = queue_obsolete(stream, frame);
    if (obsolete) {
        stream->queued_bytes += frame->bytes - (*obsolete)->bytes;
        frame_unref(stream->api, *obsolete);
        *obsolete = frame;
        frame->references++;
    } else if (!has_room(stream, frame) || !queue_add(stream, frame)) {
        stream->missed++;
        stream->ending = true;
        resume(stream);
    }
}

void streams_deliver(struct api *api, const struct channel *channel, bool fresh, struct frame *full, struct frame *news)
{
    if (!fresh && !news)
        return;
    for (struct stream *stream = api->streams; stream; stream = stream->next)
        for (unsigned i = 0; i < stream->slot_count; i++) {
            struct slot *slot = &stream->slots[i];
            if (slot->channel != channel || (slot->fresh && !fresh))
                continue;
            struct frame *frame = slot->fresh ? full : news;
            slot->fresh = false;
            if (frame && stream->ending)
                stream->missed += stream->missed > 0; /* of a reader that lagged, until it hears of the gap */
            else if (frame)
                push(stream, frame);
        }
}

void streams_housekeep(struct api *api, uint64_t now)
{
    for (struct stream *stream = api->streams; stream; stream = stream->next) {
        if (now > stream->written_ns && now - stream->written_ns > HEARTBEAT_NS && !stream->count)
            queue_say(stream, frame_new(api, ":\n\n"));
        if (stream->connection && stream->count && now > stream->taken_ns && now - stream->taken_ns > STALLED_NS)
            shutdown(stream->connection->fd, SHUT_RDWR);
    }
}

/* ---- libmicrohttpd's side */

static size_t queue_take(struct stream *stream, char *out, size_t room)
{
    size_t taken = 0;
    while (stream->count && taken < room) {
        const struct frame *frame = *queue_at(stream, 0);
        size_t left = frame->bytes - stream->sent, bytes = left < room - taken ? left : room - taken;
        memcpy(out + taken, frame->text + stream->sent, bytes);
        taken += bytes;
        stream->sent += bytes;
        stream->queued_bytes -= bytes;
        if (bytes == left)
            queue_pop(stream);
    }
    return taken;
}

static ssize_t read_queue(void *arg, uint64_t position, char *out, size_t room)
{
    struct stream *stream = arg;
    struct api *api = stream->api;
    (void)position;
    pthread_mutex_lock(&api->streams_lock);
    if (stream->connection)
        pulse_beat(stream->connection->is_unix ? PULSE_UNIX : PULSE_TCP);
    if (!stream->count && stream->missed) {
        queue_say(stream, frame_new(api, "event: gap\ndata: {\"missed\":%llu}\n\n", (unsigned long long)stream->missed));
        stream->missed = 0;
    }
    ssize_t result = (ssize_t)queue_take(stream, out, room);
    if (result)
        stream->taken_ns = clock_mono_ns();
    if (!result && stream->ending) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (!result) {
        stream->suspended = true;
        MHD_suspend_connection(stream->mhd);
    }
    pthread_mutex_unlock(&api->streams_lock);
    return result;
}

static void stream_drop(struct stream *stream)
{
    struct api *api = stream->api;
    channels_leave(stream);
    pthread_mutex_lock(&api->streams_lock);
    while (stream->count)
        queue_pop(stream);
    pthread_mutex_unlock(&api->streams_lock);
    free(stream->queue);
    free(stream);
}

static void stream_free(void *arg)
{
    struct stream *stream = arg;
    struct api *api = stream->api;
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream **link = &api->streams; *link; link = &(*link)->next)
        if (*link == stream) {
            *link = stream->next;
            api->stream_count--;
            break;
        }
    pthread_mutex_unlock(&api->streams_lock);
    stream_drop(stream);
}

/* The request is over, and its connection may go. */
void stream_detach(struct api *api, const struct stream *gone)
{
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream; stream = stream->next)
        if (stream == gone)
            stream->connection = NULL;
    pthread_mutex_unlock(&api->streams_lock);
}

static void say_bye(struct stream *stream)
{
    stream->ending = true;
    queue_say(stream, frame_new(stream->api, "event: bye\ndata: {}\n\n"));
    resume(stream);
}

void streams_end(struct api *api)
{
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream; stream = stream->next)
        say_bye(stream);
    pthread_mutex_unlock(&api->streams_lock);
}

/* Ends those whose token was revoked or has expired. */
void streams_judge(struct api *api)
{
    uint64_t serials[STREAMS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream && count < STREAMS_MAX; stream = stream->next)
        if (stream->credential && !stream->ending)
            serials[count++] = stream->credential;
    pthread_mutex_unlock(&api->streams_lock);
    for (size_t i = 0; i < count; i++) {
        if (credentials_stand(api->credentials, serials[i]))
            continue;
        pthread_mutex_lock(&api->streams_lock);
        for (struct stream *stream = api->streams; stream; stream = stream->next)
            if (stream->credential == serials[i] && !stream->ending)
                say_bye(stream);
        pthread_mutex_unlock(&api->streams_lock);
    }
}

static bool stream_add(struct api *api, struct stream *stream)
{
    pthread_mutex_lock(&api->streams_lock);
    bool room = api->stream_count < STREAMS_MAX;
    if (room) {
        stream->next = api->streams;
        api->streams = stream;
        api->stream_count++;
        stream->ending = api->draining; /* it came behind streams_end(): none may wait when the listeners stop */
        for (unsigned i = 0; i < stream->slot_count; i++)
            stream->slots[i].channel->fresh = true;
    }
    pthread_mutex_unlock(&api->streams_lock);
    return room;
}

/* The state that a reader who comes again has heard of last, by its Last-Event-ID; false: none of this daemon's. */
static bool heard_last(const struct request *request, uint64_t seq, uint64_t *last)
{
    const char *id = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "Last-Event-ID");
    size_t length = strlen(request->api->start_id);
    return id && !strncmp(id, request->api->start_id, length) && id[length] == '-' &&
           parse_number(id + length + 1, seq, last);
}

static void hello(const struct request *request, struct stream *stream)
{
    struct api *api = stream->api;
    const struct stats_view *view = stats_view_get_new(api->stats);
    uint64_t seq = view->seq, last;
    char since[24] = "null";
    stats_view_unref(view);
    if (heard_last(request, seq, &last))
        snprintf(since, sizeof since, "%llu", (unsigned long long)last);
    pthread_mutex_lock(&api->streams_lock);
    queue_say(stream, frame_new(api, "retry: 1000\nid: %s-%llu\nevent: hello\ndata: {\"start_id\":\"%s\",\"seq\":%llu,\"since\":%s}\n\n",
                                api->start_id, (unsigned long long)seq, api->start_id, (unsigned long long)seq, since));
    pthread_mutex_unlock(&api->streams_lock);
}

enum MHD_Result api_stream(struct request *request)
{
    char detail[DETAIL_BYTES] = "";
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    stream->api = request->api;
    stream->mhd = request->mhd;
    stream->connection = request->connection;
    stream->credential = request->credential;
    enum problem problem = channels_join(request, request_parameter(request, "topics"), stream, detail, sizeof detail);
    if (problem == PROBLEM_NONE) {
        hello(request, stream);
        if (!request->head && !stream_add(request->api, stream))
            problem = PROBLEM_too_many_streams;
    }
    if (problem != PROBLEM_NONE) {
        stream_drop(stream);
        if (problem == PROBLEM_bad_value)
            return respond_fault(request, "topics", NULL, detail);
        return respond_problem(request, problem, detail);
    }
    if (request->head) {
        stream_drop(stream);
        return respond_head(request, "text/event-stream");
    }
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_queue, stream, stream_free);
    if (!response) {
        stream_free(stream);
        return MHD_NO;
    }
    request->stream = stream;
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    respond_headers(response, false);
    phase_set(request->connection, PHASE_WAITING);
    return respond_queue(request, MHD_HTTP_OK, response);
}
