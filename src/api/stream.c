/* Server-sent events. Each stream has a bounded queue: what does not fit is dropped and counted, and a gap
 * event says so when there is room again; a frame that is larger than the bound goes into an empty queue
 * only. The ticker looks for news; operations are told as they change. A stream with an empty queue is
 * suspended, and resumed with its next frame. One whose reader takes nothing for STALLED_NS is cut off. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/private.h"
#include "base/clock.h"
#include "base/pulse.h"

#define TOPIC_EVERY_NS 250000000u
#define TOPIC_AT_LEAST_NS 1000000000u
#define STALLED_NS 30000000000u

struct topic {
    enum topic_kind kind;
    char id[33];
    uint64_t seq, sent_ns;                   /* of the last frame */
    const struct stats_process_view *before; /* collections: the view of the last look, a reference */
    struct stats_tail *tail;                 /* events */
};

struct stream { /* all under streams_lock */
    struct stream *next;
    struct api *api;
    struct MHD_Connection *mhd;
    struct connection *connection; /* NULL: its request is over */
    bool suspended, ending;
    uint64_t missed, written_ns, taken_ns; /* taken: what was queued, by the reader */
    unsigned topic_count;
    struct topic topics[STREAM_TOPICS];
    char *queue;
    size_t start, end, room;
};

#define TOPIC(NAME, word, object, event, schema, help) TOPIC_##object(word) ", "
#define EVENT(event, schema, help)
#define TOPIC_ALONE(word) word
#define TOPIC_WITH_ID(word) word ":ID"
static const char topic_words[] =
#include "api/topics.def"
    "separated by commas";
#undef EVENT
#undef TOPIC

#define TAIL_A_FRAME 256u /* events */

enum topic_object { ALONE, WITH_ID };
static const struct topic_row {
    const char *word;
    enum topic_object object;
    const char *event;
} topic_rows[] = {
#define TOPIC(NAME, word, object, event, schema, help) {word, object, event},
#define EVENT(event, schema, help)
#include "api/topics.def"
#undef EVENT
#undef TOPIC
};
#define TOPIC_KINDS (sizeof topic_rows / sizeof *topic_rows)

static bool queue_reserve(struct stream *stream, size_t bytes)
{
    if (stream->start) {
        memmove(stream->queue, stream->queue + stream->start, stream->end - stream->start);
        stream->end -= stream->start;
        stream->start = 0;
    }
    if (stream->end && stream->end + bytes > STREAM_QUEUE_BYTES)
        return false;
    if (stream->end + bytes <= stream->room)
        return true;
    size_t room = stream->room ? stream->room : 4096;
    while (room < stream->end + bytes)
        room *= 2;
    char *queue = realloc(stream->queue, room);
    if (!queue)
        return false;
    stream->queue = queue;
    stream->room = room;
    return true;
}

static bool append(struct stream *stream, const char *text, size_t bytes)
{
    if (!queue_reserve(stream, bytes))
        return false;
    memcpy(stream->queue + stream->end, text, bytes);
    stream->written_ns = clock_mono_ns();
    if (!stream->end)
        stream->taken_ns = stream->written_ns;
    stream->end += bytes;
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->mhd);
    }
    return true;
}

/* One whole frame, or none: then it is missed. */
static void frame(struct stream *stream, const char *event, uint64_t seq, const char *data)
{
    size_t room = strlen(data) + 160;
    char *text = malloc(room);
    int bytes = -1;
    if (text && stream->missed)
        bytes = snprintf(text, room, "event: gap\ndata: {\"missed\":%llu}\n\n",
                         (unsigned long long)stream->missed);
    if (bytes > 0 && append(stream, text, (size_t)bytes))
        stream->missed = 0;
    if (text && !stream->missed) {
        bytes = snprintf(text, room, "id: %s-%llu\nevent: %s\ndata: %s\n\n", stream->api->start_id,
                         (unsigned long long)seq, event, data);
        if (!append(stream, text, (size_t)bytes))
            stream->missed++;
    } else {
        stream->missed++;
    }
    free(text);
}

static ssize_t read_queue(void *arg, uint64_t position, char *out, size_t room)
{
    struct stream *stream = arg;
    struct api *api = stream->api;
    (void)position;
    pthread_mutex_lock(&api->streams_lock);
    if (stream->connection)
        pulse_beat(stream->connection->is_unix ? PULSE_UNIX : PULSE_TCP);
    size_t bytes = stream->end - stream->start;
    ssize_t result = (ssize_t)(bytes < room ? bytes : room);
    memcpy(out, stream->queue + stream->start, (size_t)result);
    stream->start += (size_t)result;
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
    for (unsigned i = 0; i < stream->topic_count; i++) {
        if (stream->topics[i].before)
            stats_process_unref(stream->topics[i].before);
        if (stream->topics[i].tail)
            stats_tail_close(stream->api->stats, stream->topics[i].tail);
    }
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

static bool topic_parse(struct stream *stream, const char *word, size_t bytes)
{
    if (stream->topic_count == STREAM_TOPICS)
        return false;
    struct topic *topic = &stream->topics[stream->topic_count];
    const char *colon = memchr(word, ':', bytes), *end = word + bytes;
    size_t length = (size_t)((colon ? colon : end) - word), id_bytes = colon ? (size_t)(end - colon - 1) : 0;
    for (size_t i = 0; i < TOPIC_KINDS; i++) {
        const struct topic_row *row = &topic_rows[i];
        if (strlen(row->word) != length || strncmp(word, row->word, length))
            continue;
        if ((row->object == WITH_ID) != (id_bytes > 0) || (colon && !id_bytes) || id_bytes >= sizeof topic->id)
            return false;
        *topic = (struct topic){.kind = (enum topic_kind)i};
        memcpy(topic->id, colon ? colon + 1 : "", id_bytes);
        stream->topic_count++;
        return true;
    }
    return false;
}

static bool topics_parse(struct stream *stream, const char *text)
{
    while (*text) {
        size_t bytes = strcspn(text, ",");
        if (!topic_parse(stream, text, bytes))
            return false;
        text += bytes + (text[bytes] == ',');
    }
    return stream->topic_count > 0;
}

/* What narrows the events of a stream. */
static struct stats_tail_filter filter_of(const struct request *request)
{
    struct stats_tail_filter filter = {.heap = (uint32_t)request_integer(request, "heap", 0),
                                       .least_bytes = request_integer(request, "min_bytes", 0)};
    const char *type = request_parameter(request, "type"), *kinds = request_parameter(request, "kind");
    snprintf(filter.type, sizeof filter.type, "%s", type ? type : "");
    for (size_t bytes = 0; kinds && *kinds; kinds += bytes + (kinds[bytes] == ',')) {
        bytes = strcspn(kinds, ",");
        filter.kinds |= details_kind(kinds, bytes);
    }
    return filter;
}

static const char no_tail[] = "no more streams of events";

/* Opens the tails of a stream's topics. Returns NULL, or what is wrong: no_tail, where there are too many. */
static const char *tails_open(struct stream *stream, const struct request *request, const struct stats_view *view)
{
    struct stats_tail_filter filter = filter_of(request);
    for (unsigned i = 0; i < stream->topic_count; i++) {
        struct topic *topic = &stream->topics[i];
        bool ambiguous;
        if (topic->kind != TOPIC_EVENTS)
            continue;
        const struct stats_process_view *process = stats_find(view, topic->id, &ambiguous);
        if (!process)
            return "events: there is no such process";
        memcpy(filter.process, process->id, sizeof filter.process);
        memcpy(topic->id, process->id, sizeof topic->id); /* a pid may be another's later */
        topic->tail = stats_tail_open(stream->api->stats, &filter);
        if (!topic->tail)
            return no_tail;
    }
    return NULL;
}

static json_t *tail_list(const struct stats_process_view *process, const struct stats_tail_event *events, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct stats_tail_event *from = &events[i];
        const struct stats_heap_view *heap = process ? view_heap_find(process, from->heap) : NULL;
        bool object = from->event.kind != WIRE_EVENT_RARE;
        struct stats_event event = {.kind = from->event.kind,
                                    .rare = from->event.rare,
                                    .type = object ? details_type_name(heap, from->event.row) : NULL,
                                    .bytes = from->event.bytes,
                                    .object = from->event.granule,
                                    .value = from->event.value,
                                    .mono_ns = from->mono_ns};
        json_t *json = details_event(&event);
        json_object_set_new(json, "heap", json_integer(from->heap));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *tail_json(struct api *api, const struct topic *topic)
{
    struct stats_tail_event events[TAIL_A_FRAME];
    uint64_t missed, lost;
    bool ambiguous;
    size_t count = stats_tail_take(api->stats, topic->tail, events, TAIL_A_FRAME, &missed, &lost);
    if (!count && !missed && !lost)
        return NULL;
    const struct stats_view *view = stats_view_get_new(api->stats); /* one that knows what was taken */
    json_t *list = tail_list(stats_find(view, topic->id, &ambiguous), events, count);
    stats_view_unref(view);
    json_int_t most = INT64_MAX; /* what is lost is what a process says */
    return json_pack("{s:s, s:o, s:I, s:I}", "id", topic->id, "events", list, "missed", (json_int_t)missed, "lost",
                     lost > INT64_MAX ? most : (json_int_t)lost);
}

/* The data of a topic's next frame, or NULL where it has no news. */
static char *topic_news(struct api *api, struct topic *topic, const struct stats_view *view, uint64_t *seq)
{
    bool ambiguous;
    uint64_t now = clock_mono_ns();
    json_t *json = NULL;
    if (topic->kind == TOPIC_OPERATIONS || (topic->kind != TOPIC_EVENTS && now - topic->sent_ns < TOPIC_EVERY_NS))
        return NULL;
    const struct stats_process_view *process =
        topic->kind == TOPIC_FLEET ? NULL : stats_find(view, topic->id, &ambiguous);
    *seq = process ? process->seq : view->seq;
    if (topic->kind != TOPIC_FLEET && !process)
        return NULL;
    if (topic->kind == TOPIC_EVENTS) {
        json = tail_json(api, topic);
        char *frame_text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
        return frame_text;
    }
    if (topic->seq == *seq && (topic->kind == TOPIC_COLLECTIONS || now - topic->sent_ns < TOPIC_AT_LEAST_NS))
        return NULL;
    topic->seq = *seq;
    if (topic->kind == TOPIC_FLEET) {
        json = processes_json(view);
    } else if (topic->kind == TOPIC_STATS) {
        json = view_stats(api, process, 0);
    } else {
        json = view_collections(api, process, PAGE_LIMIT, topic->before);
        if (topic->before)
            stats_process_unref(topic->before);
        topic->before = stats_process_ref(process);
        if (json && !json_array_size(json_object_get(json, "collections"))) {
            json_decref(json);
            return NULL;
        }
    }
    topic->sent_ns = now;
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

void streams_tick(struct api *api)
{
    const struct stats_view *view = stats_view_get_new(api->stats);
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream; stream = stream->next) {
        for (unsigned i = 0; i < stream->topic_count && !stream->ending; i++) {
            uint64_t seq;
            char *data = topic_news(api, &stream->topics[i], view, &seq);
            if (data)
                frame(stream, topic_rows[stream->topics[i].kind].event, seq, data);
            free(data);
        }
        if (now - stream->written_ns > HEARTBEAT_NS && now > stream->written_ns)
            append(stream, ":\n\n", 3);
        if (stream->connection && stream->end > stream->start && now > stream->taken_ns &&
            now - stream->taken_ns > STALLED_NS)
            shutdown(stream->connection->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&api->streams_lock);
    stats_view_unref(view);
}

void streams_tell(struct api *api, enum topic_kind kind, uint64_t seq, json_t *json)
{
    char *data = json ? json_dumps(json, JSON_COMPACT) : NULL;
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream && data; stream = stream->next)
        for (unsigned i = 0; i < stream->topic_count && !stream->ending; i++)
            if (stream->topics[i].kind == kind)
                frame(stream, topic_rows[kind].event, seq, data);
    pthread_mutex_unlock(&api->streams_lock);
    free(data);
    json_decref(json);
}

void streams_end(struct api *api)
{
    pthread_mutex_lock(&api->streams_lock);
    for (struct stream *stream = api->streams; stream; stream = stream->next) {
        static const char bye[] = "event: bye\ndata: {}\n\n";
        stream->ending = true;
        append(stream, bye, sizeof bye - 1);
        if (stream->suspended) { /* its queue was full: it ends without the word */
            stream->suspended = false;
            MHD_resume_connection(stream->mhd);
        }
    }
    pthread_mutex_unlock(&api->streams_lock);
}

static bool stream_add(struct api *api, struct stream *stream)
{
    pthread_mutex_lock(&api->streams_lock);
    bool room = api->stream_count < STREAMS_MAX;
    if (room) {
        stream->next = api->streams;
        api->streams = stream;
        api->stream_count++;
    }
    pthread_mutex_unlock(&api->streams_lock);
    return room;
}

static void hello(struct stream *stream)
{
    char text[160];
    const struct stats_view *view = stats_view_get_new(stream->api->stats);
    unsigned long long seq = view->seq;
    const char *start_id = stream->api->start_id;
    int bytes =
        snprintf(text, sizeof text,
                 "retry: 1000\nid: %s-%llu\nevent: hello\ndata: {\"start_id\":\"%s\",\"seq\":%llu}\n\n",
                 start_id, seq, start_id, seq);
    stats_view_unref(view);
    append(stream, text, (size_t)bytes);
}

enum MHD_Result api_stream(struct request *request)
{
    const char *topics = request_parameter(request, "topics");
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    stream->api = request->api;
    stream->mhd = request->mhd;
    stream->connection = request->connection;
    if (!topics || !topics_parse(stream, topics)) {
        char detail[DETAIL_BYTES];
        stream_drop(stream);
        snprintf(detail, sizeof detail, "topics must be at most %u of %s", STREAM_TOPICS, topic_words);
        return respond_problem(request, PROBLEM_bad_value, detail);
    }
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const char *wrong = tails_open(stream, request, view);
    stats_view_unref(view);
    if (wrong) {
        stream_drop(stream);
        return respond_problem(request, wrong == no_tail ? PROBLEM_too_many_streams : PROBLEM_bad_value, wrong);
    }
    hello(stream);
    struct MHD_Response *response = NULL;
    if (request->head || !stream_add(request->api, stream)) {
        bool head = request->head;
        stream_drop(stream);
        if (!head)
            return respond_problem(request, PROBLEM_too_many_streams, NULL);
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        request->stream = stream;
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_queue, stream, stream_free);
        if (!response)
            stream_free(stream);
    }
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    respond_headers(response, false);
    phase_set(request->connection, PHASE_WAITING);
    return respond_queue(request, MHD_HTTP_OK, response);
}
