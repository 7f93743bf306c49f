/* Channels: what the topics of streams tell, made once for everybody who follows the same. */
#include "api/stream.h"
#include "api/views.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define TOPIC_EVERY_NS 250000000u
#define TOPIC_AT_LEAST_NS 1000000000u
#define TAIL_A_FRAME 256u /* events */

#define TOPIC(NAME, word, object, event, schema, help) TOPIC_##object(word) ", "
#define EVENT(event, schema, help)
#define TOPIC_ALONE(word) word
#define TOPIC_WITH_ID(word) word ":ID"
static const char topic_words[] =
#include "api/topics.def"
    "separated by commas";
#undef EVENT
#undef TOPIC

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

/* ---- frames */

struct frame *frame_new(struct api *api, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    struct frame *frame = bytes < 0 ? NULL : malloc(sizeof *frame + (size_t)bytes + 1);
    if (!frame)
        return NULL;
    va_start(arguments, format);
    vsnprintf(frame->text, (size_t)bytes + 1, format, arguments);
    va_end(arguments);
    frame->references = 1;
    frame->bytes = (size_t)bytes;
    frame->newest_wins = NULL;
    api->frame_bytes += frame->bytes;
    return frame;
}

void frame_unref(struct api *api, struct frame *frame)
{
    if (!frame || --frame->references)
        return;
    api->frame_bytes -= frame->bytes;
    free(frame);
}

/* The frame of a topic's data, which are taken over. */
static struct frame *frame_of(struct api *api, enum topic_kind kind, uint64_t seq, json_t *json)
{
    char *data = json ? json_dumps(json, JSON_COMPACT) : NULL;
    struct frame *frame = data ? frame_new(api, "id: %s-%llu\nevent: %s\ndata: %s\n\n", api->start_id,
                                           (unsigned long long)seq, topic_rows[kind].event, data)
                               : NULL;
    free(data);
    json_decref(json);
    return frame;
}

/* ---- who follows what */

static bool topic_parse(const char *word, size_t bytes, struct channel *channel)
{
    const char *colon = memchr(word, ':', bytes), *end = word + bytes;
    size_t length = (size_t)((colon ? colon : end) - word), id_bytes = colon ? (size_t)(end - colon - 1) : 0;
    for (size_t i = 0; i < TOPIC_KINDS; i++) {
        const struct topic_row *row = &topic_rows[i];
        if (strlen(row->word) != length || strncmp(word, row->word, length))
            continue;
        if ((row->object == WITH_ID) != (id_bytes > 0) || (colon && !id_bytes) || id_bytes >= sizeof channel->id)
            return false;
        channel->kind = (enum topic_kind)i;
        memcpy(channel->id, colon ? colon + 1 : "", id_bytes);
        return true;
    }
    return false;
}

/* What narrows the events of a stream. */
struct stats_tail_filter tail_filter(const struct request *request)
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

static bool is_same(const struct channel *a, const struct channel *b)
{
    return a->kind == b->kind && !strcmp(a->id, b->id) && a->filter.heap == b->filter.heap &&
           a->filter.kinds == b->filter.kinds && a->filter.least_bytes == b->filter.least_bytes &&
           !strcmp(a->filter.type, b->filter.type);
}

/* A reference to the channel like this one, made where there is none. NULL: memory, or too many tails. */
static struct channel *channel_get(struct api *api, const struct channel *like)
{
    struct channel *channel;
    for (channel = api->channels; channel; channel = channel->next)
        if (is_same(channel, like))
            break;
    if (!channel) {
        channel = malloc(sizeof *channel);
        if (!channel)
            return NULL;
        *channel = *like;
        if (like->kind == TOPIC_EVENTS && !(channel->tail = stats_tail_open(api->stats, &like->filter))) {
            free(channel);
            return NULL;
        }
        channel->next = api->channels;
        api->channels = channel;
    }
    channel->references++;
    return channel;
}

static void channel_unref(struct api *api, struct channel *channel)
{
    if (--channel->references)
        return;
    for (struct channel **link = &api->channels; *link; link = &(*link)->next)
        if (*link == channel) {
            *link = channel->next;
            break;
        }
    if (channel->tail)
        stats_tail_close(api->stats, channel->tail);
    if (channel->before)
        stats_process_unref(channel->before);
    free(channel);
}

static bool is_process_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == 32 && !text[32];
}

/* Completes the wish for events. A pid may be another's later, so it has to be somebody's now; an id is one process's for
 * ever, and who follows it is there when that process comes (again, after a restart of ours). */
static bool events_wish(const struct request *request, struct channel *like)
{
    bool ambiguous;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = stats_find(view, like->id, &ambiguous);
    if (process)
        memcpy(like->id, process->id, sizeof like->id);
    stats_view_unref(view);
    like->filter = tail_filter(request);
    memcpy(like->filter.process, like->id, sizeof like->filter.process);
    return process || is_process_id(like->id);
}

enum problem channels_join(const struct request *request, const char *topics, struct stream *stream, char *detail,
                           size_t bytes)
{
    struct api *api = request->api;
    while (topics && *topics) {
        struct channel like = {.references = 0};
        size_t length = strcspn(topics, ",");
        if (stream->slot_count == STREAM_TOPICS || !topic_parse(topics, length, &like))
            break;
        if (like.kind == TOPIC_EVENTS && !events_wish(request, &like)) {
            snprintf(detail, bytes, "events: there is no such process");
            return PROBLEM_bad_value;
        }
        pthread_mutex_lock(&api->streams_lock);
        struct channel *channel = channel_get(api, &like);
        pthread_mutex_unlock(&api->streams_lock);
        if (!channel) {
            snprintf(detail, bytes, "no more streams of events");
            return PROBLEM_too_many_streams;
        }
        stream->slots[stream->slot_count++] = (struct slot){.channel = channel, .fresh = true};
        topics += length + (topics[length] == ',');
    }
    if (stream->slot_count && !*topics)
        return PROBLEM_NONE;
    snprintf(detail, bytes, "topics must be at most %u of %s", STREAM_TOPICS, topic_words);
    return PROBLEM_bad_value;
}

void channels_leave(struct stream *stream)
{
    struct api *api = stream->api;
    pthread_mutex_lock(&api->streams_lock);
    for (unsigned i = 0; i < stream->slot_count; i++)
        channel_unref(api, stream->slots[i].channel);
    pthread_mutex_unlock(&api->streams_lock);
}

/* ---- news */

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
        if (from->missed_before)
            json_object_set_new(json, "missed_before", view_number(from->missed_before));
        if (from->lost_before)
            json_object_set_new(json, "lost_before", view_number(from->lost_before));
        json_array_append_new(list, json);
    }
    return list;
}

json_t *tail_json(struct api *api, struct stats_tail *tail, const char *id, size_t most)
{
    struct stats_tail_event events[PAGE_LIMIT];
    uint64_t missed, lost;
    bool ambiguous;
    size_t count = stats_tail_take(api->stats, tail, events, most, &missed, &lost);
    const struct stats_view *view = stats_view_get_new(api->stats); /* one that knows what was taken */
    json_t *list = tail_list(stats_find(view, id, &ambiguous), events, count);
    stats_view_unref(view);
    /* what is lost is what a process says */
    return json_pack("{s:s, s:o, s:o, s:o}", "id", id, "events", list, "missed", view_number(missed), "lost",
                     view_number(lost));
}

/* Collections that are new since `before` (NULL: all). NULL: none. */
static json_t *collections_json(struct api *api, const struct stats_process_view *process,
                                const struct stats_process_view *before)
{
    json_t *json = view_collections(api, process, PAGE_LIMIT, before);
    if (json && json_array_size(json_object_get(json, "collections")))
        return json;
    json_decref(json);
    return NULL;
}

/* Sets what those hear who have heard nothing yet (*full, where there are some), and what the others do (*news). NULL:
 * nothing. */
static void channel_look(struct api *api, struct channel *channel, const struct stats_view *view, bool fresh,
                         struct frame **full, struct frame **news)
{
    bool ambiguous;
    uint64_t now = clock_mono_ns();
    const struct stats_process_view *process =
        channel->kind == TOPIC_FLEET ? NULL : stats_find(view, channel->id, &ambiguous);
    uint64_t seq = process ? process->seq : view->seq;
    if (channel->kind != TOPIC_FLEET && !process)
        return;
    bool old = now - channel->sent_ns >= TOPIC_EVERY_NS, changed = channel->seq != seq;
    if (channel->kind == TOPIC_EVENTS) {
        if (stats_tail_ready(api->stats, channel->tail))
            *news = *full = frame_of(api, channel->kind, seq,
                                     tail_json(api, channel->tail, channel->id, TAIL_A_FRAME));
        return;
    }
    if (channel->kind == TOPIC_COLLECTIONS) {
        if (!fresh && !(old && changed))
            return;
        *full = fresh ? frame_of(api, channel->kind, seq, collections_json(api, process, NULL)) : NULL;
        if (channel->before && changed)
            *news = frame_of(api, channel->kind, seq, collections_json(api, process, channel->before));
        if (channel->before)
            stats_process_unref(channel->before);
        channel->before = stats_process_ref(process);
    } else {
        bool due = old && (changed || now - channel->sent_ns >= TOPIC_AT_LEAST_NS);
        if (!fresh && !due)
            return;
        *full = frame_of(api, channel->kind, seq,
                         channel->kind == TOPIC_FLEET ? processes_json(view) : view_stats(api, process, 0));
        if (*full)
            (*full)->newest_wins = channel;
        if (!due)
            return; /* the others have yet to hear of it */
        *news = *full;
    }
    channel->seq = seq;
    channel->sent_ns = now;
}

static void channel_tick(struct api *api, struct channel *channel, const struct stats_view *view)
{
    struct frame *full = NULL, *news = NULL;
    bool fresh = channel->fresh;
    channel->fresh = false;
    pthread_mutex_unlock(&api->streams_lock);
    if (channel->kind != TOPIC_OPERATIONS)
        channel_look(api, channel, view, fresh, &full, &news);
    pthread_mutex_lock(&api->streams_lock);
    streams_deliver(api, channel, fresh, full, news);
    frame_unref(api, full);
    if (news != full)
        frame_unref(api, news);
}

void streams_tick(struct api *api)
{
    const struct stats_view *view = stats_view_get_new(api->stats);
    pthread_mutex_lock(&api->streams_lock);
    struct channel *channel = api->channels;
    if (channel)
        channel->references++;
    while (channel) { /* it is ours while we look at it, which is done without the lock */
        channel_tick(api, channel, view);
        struct channel *next = channel->next;
        if (next)
            next->references++;
        channel_unref(api, channel);
        channel = next;
    }
    streams_housekeep(api, clock_mono_ns());
    pthread_mutex_unlock(&api->streams_lock);
    stats_view_unref(view);
}

void streams_tell(struct api *api, enum topic_kind kind, uint64_t seq, json_t *json)
{
    struct frame *frame = frame_of(api, kind, seq, json);
    if (!frame)
        return;
    pthread_mutex_lock(&api->streams_lock);
    for (struct channel *channel = api->channels; channel; channel = channel->next)
        if (channel->kind == kind)
            streams_deliver(api, channel, true, frame, frame);
    frame_unref(api, frame);
    pthread_mutex_unlock(&api->streams_lock);
}
