/* Streams and channels. A channel is a topic as somebody has asked for it (with its id, and its filter of events); its
 * news are made into a frame once, and every stream that follows the channel queues a reference to that frame.
 *
 * What is always true
 *  - streams, their queues, the list of channels, and counts of references are under streams_lock; what a channel knows
 *    of its last look is the ticker's alone, so that no frame is made while the lock is held.
 *  - What waits for a reader is bounded. Of a topic whose newest frame wins, one waits at most. */
#ifndef TALLY_API_STREAM_H
#define TALLY_API_STREAM_H

#include "api/private.h"

struct frame {
    unsigned references;
    size_t bytes;
    const struct channel *newest_wins; /* one of this channel replaces another that waits; NULL: it does not */
    char text[];
};

struct channel {
    struct channel *next;
    unsigned references; /* slots, and the ticker while it looks */
    bool fresh;          /* a slot of a stream that has begun has had nothing yet */
    enum topic_kind kind;
    char id[33];
    struct stats_tail_filter filter; /* of events */
    struct stats_tail *tail;
    /* the ticker's */
    uint64_t seq, sent_ns;                   /* of the last frame */
    const struct stats_process_view *before; /* collections: the view of the last look, a reference */
};

struct slot {
    struct channel *channel;
    bool fresh;
};

struct stream {
    struct stream *next;
    struct api *api;
    struct MHD_Connection *mhd;
    struct connection *connection; /* NULL: its request is over */
    bool suspended, ending;
    uint64_t credential; /* what it was opened with; 0: on the Unix socket */
    uint64_t missed, written_ns, taken_ns; /* taken: what was queued, by the reader */
    unsigned slot_count;
    struct slot slots[STREAM_TOPICS];
    struct frame **queue; /* a ring of `room`, a power of two */
    size_t first, count, room;
    size_t sent, queued_bytes; /* sent: of the first frame */
};

/* channel.c. frame_new: one reference; NULL: out of memory. frame_unref: under streams_lock. */
struct frame *frame_new(struct api *api, const char *format, ...) __attribute__((format(printf, 2, 3)));
void frame_unref(struct api *api, struct frame *frame);
/* Joins the channels that `topics` asks for, or NULL with *detail saying what is wrong. Undone by channels_leave(),
 * which takes the lock itself. */
enum problem channels_join(const struct request *request, const char *topics, struct stream *stream, char *detail,
                           size_t bytes);
void channels_leave(struct stream *stream);

/* stream.c, under streams_lock. deliver: queues `full` for slots that have had nothing yet (where `fresh`; else they are
 * left alone) and `news` for the others; NULL: nothing. housekeep: heartbeats, and an end of readers that take nothing. */
void streams_deliver(struct api *api, const struct channel *channel, bool fresh, struct frame *full, struct frame *news);
void streams_housekeep(struct api *api, uint64_t now);

#endif
