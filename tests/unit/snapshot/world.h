/* What the tests of snapshots share: streams made of small graphs, a state folder, and a writer on a thread. */
#ifndef TALLY_TESTS_SNAPSHOT_WORLD_H
#define TALLY_TESTS_SNAPSHOT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "snapshot/snapshot.h"

#define WORLD_UNUSED __attribute__((unused))

static char world_folder[64];

WORLD_UNUSED static int world_setup(void **state)
{
    (void)state;
    snprintf(world_folder, sizeof world_folder, "/tmp/tally-snapshot-XXXXXX");
    return mkdtemp(world_folder) ? 0 : -1;
}

WORLD_UNUSED static int world_teardown(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", world_folder);
    return system(command);
}

WORLD_UNUSED static struct snapshots *world_open(uint64_t bytes_max)
{
    struct snapshots *snapshots = NULL;
    assert_int_equal(snapshots_open(&(struct snapshots_options){.folder = world_folder, .bytes_max = bytes_max}, &snapshots), 0);
    return snapshots;
}

/* ---- streams */

static inline int world_flush(void *arg, const void *bytes, size_t count)
{
    text_add(arg, bytes, count);
    return 0;
}

struct world_writer {
    struct snapshot_writer writer;
    unsigned char buffer[4096];
    struct text text;
};

static inline struct snapshot_text world_text(const char *string)
{
    return (struct snapshot_text){string, strlen(string)};
}

/* A stream of heap 1 with the types 1 "node" {left, right}, 2 "list" [item] and 3 "weakref". */
WORLD_UNUSED static void world_begin(struct world_writer *world, unsigned flags)
{
    memset(world, 0, sizeof *world);
    snapshot_write_begin(&world->writer, world->buffer, sizeof world->buffer, world_flush, &world->text,
                         &(struct snapshot_header){.heap_number = 1, .flags = flags, .type_count = 3});
    snapshot_write_type(&world->writer, &(struct snapshot_type){1, SNAPSHOT_TYPE_TRACKED, 32, 2, world_text("node"),
                                                                world_text(""), world_text("")});
    snapshot_write_field(&world->writer, world_text("left"));
    snapshot_write_field(&world->writer, world_text("right"));
    snapshot_write_type(&world->writer, &(struct snapshot_type){2, SNAPSHOT_TYPE_TRACKED | SNAPSHOT_TYPE_VARIABLE, 16, 0,
                                                                world_text("list"), world_text("item"), world_text("")});
    snapshot_write_type(&world->writer, &(struct snapshot_type){3, SNAPSHOT_TYPE_TRACKED | SNAPSHOT_TYPE_WEAK, 24, 0,
                                                                world_text("weakref"), world_text(""), world_text("")});
}

WORLD_UNUSED static void world_object(struct world_writer *world, uint64_t number, uint32_t row, uint64_t references,
                                      uint64_t declared, const char *label)
{
    snapshot_write_object(&world->writer,
                          &(struct snapshot_object){.number = number, .type_row = row, .bytes = row == 2 ? 48 : 32,
                                                    .references = references, .declared = declared,
                                                    .label = world_text(label)});
}

/* A list of `count` objects, each the left one of the one before, the first declared. */
WORLD_UNUSED static struct text world_chain(size_t count, enum snapshot_end_status status)
{
    static struct world_writer world;
    world_begin(&world, SNAPSHOT_INSTANT);
    for (size_t i = 1; i <= count; i++) {
        world_object(&world, 8 * i, 1, 1, i == 1, "");
        if (i < count)
            snapshot_write_edge(&world.writer, SNAPSHOT_EDGE_FIELD, 0, 8 * (i + 1));
    }
    assert_int_equal(snapshot_write_end(&world.writer, status, 1000), 0);
    return world.text;
}

/* ---- how it goes through a pipe */

struct world_sending {
    pthread_t thread;
    int fd;
    const char *data;
    size_t count, piece;
    unsigned pause_ms; /* after each piece */
    bool hang;         /* does not close: world_await() does */
    const char *process; /* NULL: that of world_meta */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct snapshot_artifact artifact; /* as done() had it */
    char id[SNAPSHOT_ID_CHARS];
};

static inline void *world_send(void *arg)
{
    struct world_sending *sending = arg;
    for (size_t at = 0; at < sending->count;) {
        size_t some = sending->count - at < sending->piece ? sending->count - at : sending->piece;
        ssize_t written = write(sending->fd, sending->data + at, some);
        if (written <= 0)
            break; /* nobody reads any more */
        at += (size_t)written;
        if (sending->pause_ms)
            usleep(1000 * sending->pause_ms);
    }
    if (!sending->hang)
        close(sending->fd);
    return NULL;
}

static inline void world_done(void *arg, const struct snapshot_artifact *artifact)
{
    struct world_sending *sending = arg;
    pthread_mutex_lock(&sending->lock);
    assert_false(sending->done);
    sending->done = true;
    sending->artifact = *artifact;
    pthread_cond_broadcast(&sending->changed);
    pthread_mutex_unlock(&sending->lock);
}

static const struct snapshot_meta world_meta = {
    .process = "0123456789abcdef0123456789abcdef", .name = "app", .heap = 1, .mode = "clone"};

/* The other end of the pipe is with a thread of its own, whose SIGPIPE main() ignores. */
WORLD_UNUSED static void world_start(struct snapshots *snapshots, struct world_sending *sending, const struct text *stream,
                                     uint64_t deadline_ns)
{
    int ends[2];
    struct snapshot_meta meta = world_meta;
    if (sending->process)
        snprintf(meta.process, sizeof meta.process, "%s", sending->process);
    meta.deadline_ns = deadline_ns ? clock_mono_ns() + deadline_ns : 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    sending->fd = ends[1];
    sending->data = stream->data;
    sending->count = stream->length;
    sending->piece = sending->piece ? sending->piece : 65536;
    pthread_mutex_init(&sending->lock, NULL);
    pthread_cond_init(&sending->changed, NULL);
    assert_int_equal(snapshot_receive(snapshots, &meta, ends[0], world_done, sending, sending->id), 0);
    assert_int_equal(pthread_create(&sending->thread, NULL, world_send, sending), 0);
}

WORLD_UNUSED static void world_await(struct world_sending *sending)
{
    pthread_mutex_lock(&sending->lock);
    while (!sending->done)
        pthread_cond_wait(&sending->changed, &sending->lock);
    pthread_mutex_unlock(&sending->lock);
    pthread_join(sending->thread, NULL);
    if (sending->hang)
        close(sending->fd);
}

/* Sends it whole and waits; the artifact as done() had it. */
WORLD_UNUSED static struct snapshot_artifact world_receive(struct snapshots *snapshots, const struct text *stream)
{
    struct world_sending sending = {.piece = 0};
    world_start(snapshots, &sending, stream, 0);
    world_await(&sending);
    return sending.artifact;
}

#endif
