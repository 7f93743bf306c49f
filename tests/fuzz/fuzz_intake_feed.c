/* A whole feed, from the descriptor to the view: a well-formed heap over which the input writes. Each input
 * is a list of {where in the counters or the ring, length, bytes}; the heap is read again after each of them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "feed/feed.h"
#include "intake/private.h"
#include "stats/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
    int fd;
    char *memory;
    uint64_t bytes;
};

static struct file file_make(uint64_t bytes)
{
    struct file file = {memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING), NULL, bytes};
    if (file.fd < 0 || fallocate(file.fd, 0, 0, (off_t)bytes))
        abort();
    file.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
    if (file.memory == MAP_FAILED)
        abort();
    return file;
}

static void file_free(const struct file *file)
{
    munmap(file->memory, file->bytes);
    close(file->fd);
}

static void heap_write(struct file *counters, struct file *ring)
{
    struct feed_type types[] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}};
    struct feed_pen pen = {.rows = NULL};
    feed_counters_format(counters->memory, FEED_SHAPE_START, 1, 1);
    feed_ring_format(ring->memory, WIRE_RING_WORDS, 1, 1);
    feed_adopt(&pen, counters->memory, ring->memory);
    feed_types_describe(&pen, types, 2, 2);
    feed_level_set(&pen, WIRE_LEVEL_ALL);
    for (unsigned i = 0; i < 600; i++)
        feed_object(&pen, i % 3 ? WIRE_EVENT_ALLOC : WIRE_EVENT_FREE_REFCOUNT, i % 2, false, 16, i);
    feed_collection_stop(&pen, &(struct feed_record){.collected = 3}, 5);
}

static const char *hand_over(struct client *client, enum wire_kind kind, const struct file *file)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    struct wire_heap message = {.head = wire_head_make(kind, sizeof message), .heap_number = 1,
                                .feed_generation = 1, .bytes = file->bytes};
    fcntl(file->fd, F_ADD_SEALS, seals);
    return intake_feed_open(client, &message, file->fd);
}

/* Applies one writing of the input; returns what is left of it. */
static size_t overwrite(struct file *files, const uint8_t **data, size_t size)
{
    if (size < 4)
        return 0;
    struct file *file = &files[(*data)[0] & 1];
    uint64_t at = ((uint64_t)(*data)[1] << 8 | (*data)[2]) % file->bytes;
    size_t bytes = (*data)[3];
    *data += 4;
    size -= 4;
    bytes = bytes < size ? bytes : size;
    bytes = bytes < file->bytes - at ? bytes : file->bytes - at;
    memcpy(file->memory + at, *data, bytes);
    *data += bytes;
    return size - bytes;
}

static void attached_run(struct client *client, struct file *files, const uint8_t *data, size_t size)
{
    const char *reason = NULL;
    size_t left = overwrite(files, &data, size); /* before it is handed over: headers too */
    reason = hand_over(client, WIRE_HEAP_COUNTERS, &files[0]);
    if (!reason)
        reason = hand_over(client, WIRE_HEAP_RING, &files[1]);
    while (!reason) {
        uint64_t again_ns = POLL_ACTIVE_NS;
        if (client->heaps)
            intake_heap_sample(client, client->heaps, UINT64_MAX, false, &again_ns, &reason);
        client->intake->sink.swept(client->intake->sink.arg, true);
        if (!left)
            break;
        left = overwrite(files, &data, left);
    }
    while (client->heaps)
        intake_feed_free(client, client->heaps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct intake intake;
    static struct wire_hello_view hello = {.name = "fuzz", .library = "0"};
    struct intake_process process = {.id = "00000000000000000000000000000001", .hello = &hello};
    struct file files[2] = {file_make(WIRE_COUNTERS_BYTES), file_make(WIRE_RING_BYTES)};
    struct stats *stats = stats_new();
    if (!stats)
        abort();
    stats_sink_init(stats, &intake.sink);
    heap_write(&files[0], &files[1]);
    struct user user = {.client_count = 1};
    struct client client = {.intake = &intake, .user = &user, .fd = -1, .pidfd = -1};
    client.handle = intake.sink.attached(stats, &process);
    intake.clients = &client;
    attached_run(&client, files, data, size);
    if (user.mapped_bytes)
        abort();
    intake.clients = NULL;
    stats_free(stats);
    file_free(&files[0]);
    file_free(&files[1]);
    return 0;
}
