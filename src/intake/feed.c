/* A program's memory: one memfd a message, believed in nothing that the kernel does not vouch for. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mapped.h"
#include "intake/private.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

struct feed_file {
    const void *memory;
    uint64_t bytes, inode;
};

/* Sealed first, so that nothing that is looked at afterwards can change. */
static const char *file_map(int fd, uint64_t promised, struct feed_file *out)
{
    struct stat status;
    struct statfs system;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return "a feed is not a memfd";
    if ((seals & SEALS) != SEALS)
        return "a feed lacks a seal";
    if (fstat(fd, &status) || fstatfs(fd, &system) || !S_ISREG(status.st_mode) ||
        system.f_type != TMPFS_MAGIC)
        return "a feed is not on tmpfs";
    if ((uint64_t)status.st_size != promised || promised < FEED_BYTES_MIN || promised > WIRE_FEED_BYTES_MAX)
        return "a feed is not of the promised size";
    if ((uint64_t)status.st_blocks * 512 < promised)
        return "a feed has holes";
    void *memory = mmap(NULL, promised, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return "a feed could not be mapped";
    *out = (struct feed_file){memory, promised, status.st_ino};
    return NULL;
}

/* Whether a part lies behind the one before it, and inside: parts that shared memory would cost us more than they cost
 * their process. */
static bool follows(uint64_t *end, uint64_t offset, uint64_t count, uint64_t each, uint64_t bytes)
{
    if (offset % 8 || offset < *end || offset > bytes || count > (bytes - offset) / each)
        return false;
    *end = offset + count * each;
    return true;
}

/* Copies the header's fixed part, once, and checks the copy. */
static const char *counters_check(struct heap_feed *heap, const struct feed_file *file,
                                  const struct wire_heap *message)
{
    const struct wire_counters *in = file->memory;
    struct wire_counters head; /* as far as it never changes */
    memcpy(&head, in, offsetof(struct wire_counters, type_count));
    uint64_t end = sizeof *in;
    if (head.magic != WIRE_COUNTERS_MAGIC || head.version != WIRE_VERSION || head.total_bytes != file->bytes)
        return "a counters feed has a header of another kind or version";
    if (head.heap_number != message->heap_number || head.feed_generation != message->feed_generation)
        return "a counters feed is of another heap";
    heap->row_offset = head.row_offset;
    heap->row_capacity = head.row_capacity;
    heap->desc_offset = head.desc_offset;
    heap->string_offset = head.string_offset;
    heap->string_bytes = head.string_bytes;
    heap->record_offset = head.record_offset;
    heap->record_capacity = head.record_capacity;
    if (head.desc_bytes != sizeof(struct wire_desc) || !heap->row_capacity ||
        heap->row_capacity > WIRE_ROW_MAX || !heap->record_capacity ||
        !follows(&end, heap->row_offset, heap->row_capacity, sizeof(struct wire_row), file->bytes) ||
        !follows(&end, heap->desc_offset, heap->row_capacity, sizeof(struct wire_desc), file->bytes) ||
        !follows(&end, heap->string_offset, heap->string_bytes, 1, file->bytes) ||
        !follows(&end, heap->record_offset, heap->record_capacity, sizeof(struct wire_record), file->bytes))
        return "a counters feed's layout leads out of it";
    return NULL;
}

struct heap_feed *intake_feed_find(const struct client *client, uint32_t number)
{
    for (struct heap_feed *heap = client->heaps; heap; heap = heap->next)
        if (heap->number == number)
            return heap;
    return NULL;
}

static struct heap_feed *heap_get(struct client *client, uint32_t number, const char **fault)
{
    struct heap_feed *heap = intake_feed_find(client, number);
    if (heap)
        return heap;
    unsigned count = 0;
    for (heap = client->heaps; heap; heap = heap->next)
        count++;
    if (count == HEAPS_PER_CLIENT) {
        *fault = "a process has too many heaps";
        return NULL;
    }
    heap = calloc(1, sizeof *heap);
    if (!heap) {
        *fault = "out of memory";
        return NULL;
    }
    heap->number = number;
    heap->next = client->heaps;
    client->heaps = heap;
    return heap;
}

static void unmap(struct client *client, const void *memory, uint64_t bytes)
{
    if (!memory)
        return;
    mapped_watch(NULL, 0, NULL, 0);
    munmap((void *)(uintptr_t)memory, bytes);
    client->user->mapped_bytes -= bytes;
}

static const char *counters_take(struct client *client, struct heap_feed *heap, const struct feed_file *file,
                                 const struct wire_heap *message)
{
    struct heap_feed fresh = {.number = 0};
    const char *fault = counters_check(&fresh, file, message);
    if (fault)
        return fault;
    if (heap->counters)
        unmap(client, heap->counters, heap->counters_bytes);
    heap->counters = file->memory;
    heap->counters_bytes = file->bytes;
    heap->row_offset = fresh.row_offset;
    heap->row_capacity = fresh.row_capacity;
    heap->desc_offset = fresh.desc_offset;
    heap->string_offset = fresh.string_offset;
    heap->string_bytes = fresh.string_bytes;
    heap->record_offset = fresh.record_offset;
    heap->record_capacity = fresh.record_capacity;
    if (heap->type_least < heap->type_count)
        heap->type_least = heap->type_count;
    heap->type_count = 0;
    heap->told = false;
    return NULL;
}

/* The same ring again (after a lost connection) goes on where it was read last; a successor where the old one
 * ended, which its writer has left. */
static const char *ring_take(struct client *client, struct heap_feed *heap, const struct feed_file *file,
                             const struct wire_heap *message)
{
    struct wire_ring_reader reader;
    uint32_t number, generation;
    if (!heap->counters)
        return "a ring came before its counters";
    if (wire_ring_reader_init(&reader, file->memory, file->bytes))
        return "a ring feed has a header of another kind or version";
    wire_ring_identity(file->memory, &number, &generation);
    if (number != message->heap_number || generation != message->feed_generation)
        return "a ring feed is of another heap";
    bool same = heap->ring_inode == file->inode;
    const char *fault = heap->ring && !same ? intake_ring_drain(client, heap) : NULL;
    if (fault)
        return fault;
    if (!same)
        heap->known_from = heap->ring_inode ? 0 : atomic_load_explicit(reader.head, memory_order_relaxed);
    wire_ring_reader_follow(&heap->reader, &reader, same);
    unmap(client, heap->ring, heap->ring_bytes);
    heap->ring = file->memory;
    heap->ring_bytes = file->bytes;
    heap->ring_inode = file->inode;
    heap->told = false;
    if (!same)
        heap->written = heap->read_ns = 0;
    return NULL;
}

const char *intake_feed_open(struct client *client, const struct wire_heap *message, int fd)
{
    struct feed_file file;
    if (!message->heap_number || !message->feed_generation)
        return "a feed has no heap number";
    if (message->bytes > MAPPED_PER_UID - client->user->mapped_bytes)
        return "a user's feeds are larger than 1 GiB together";
    const char *fault = file_map(fd, message->bytes, &file);
    if (fault)
        return fault;
    struct heap_feed *heap = heap_get(client, message->heap_number, &fault);
    if (heap)
        mapped_watch(file.memory, file.bytes, heap->ring, heap->ring_bytes);
    if (heap)
        fault = message->head.kind == WIRE_HEAP_COUNTERS ? counters_take(client, heap, &file, message)
                                                         : ring_take(client, heap, &file, message);
    if (fault) {
        munmap((void *)(uintptr_t)file.memory, file.bytes);
        return fault;
    }
    client->user->mapped_bytes += file.bytes;
    heap->unheard_ns = 0;
    return NULL;
}

void intake_feed_close(struct client *client, struct heap_feed *heap)
{
    unmap(client, heap->counters, heap->counters_bytes);
    unmap(client, heap->ring, heap->ring_bytes);
    heap->counters = NULL;
    heap->ring = NULL;
}

void intake_feed_free(struct client *client, struct heap_feed *heap)
{
    struct heap_feed **link = &client->heaps;
    while (*link != heap)
        link = &(*link)->next;
    *link = heap->next;
    intake_feed_close(client, heap);
    client->user->mapped_bytes -= (uint64_t)heap->row_room * TYPE_BYTES;
    for (uint32_t i = 0; i < heap->row_room; i++)
        free(heap->types[i].name);
    free(heap->types);
    free(heap->rows);
    free(heap->bases);
    free(heap->bases_next);
    free(heap);
}
