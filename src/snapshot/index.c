#include "snapshot/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPARE 2u /* items beyond those of a column */
#define AREA_ALIGN 64u

#define LOAD_NS_BYTE 24.0 /* of the stream, both passes */
#define TURN_NS_EDGE 15.0
#define DOMINATE_NS_OBJECT 500.0
#define DOMINATE_NS_EDGE 300.0
#define REACH_NS_OBJECT 180.0
#define REACH_NS_EDGE 20.0

static uint64_t page_up(uint64_t bytes)
{
    return (bytes + INDEX_PAGE - 1) & ~(uint64_t)(INDEX_PAGE - 1);
}

uint64_t index_column_bytes(uint64_t objects, uint64_t edges)
{
    uint64_t bytes = INDEX_PAGE;
    if (objects > SNAPSHOT_OBJECTS_MAX || edges > SNAPSHOT_OBJECTS_MAX)
        return UINT64_MAX;
#define X(name, type, many) bytes += page_up((many + SPARE) * sizeof(type));
    INDEX_COLUMNS(X)
#undef X
    return bytes;
}

void index_lay(struct index *index, void *memory, uint64_t objects, uint64_t edges)
{
    char *at = (char *)memory + INDEX_PAGE;
    memset(index, 0, sizeof *index);
    index->objects = objects;
    index->edges = edges;
#define X(name, type, many) \
    index->name = (type *)(void *)at; \
    at += page_up((many + SPARE) * sizeof(type));
    INDEX_COLUMNS(X)
#undef X
}

double index_work_ns(uint64_t stream_bytes, uint64_t objects, uint64_t edges)
{
    return LOAD_NS_BYTE * (double)stream_bytes + (TURN_NS_EDGE + DOMINATE_NS_EDGE + REACH_NS_EDGE) * (double)edges +
           (DOMINATE_NS_OBJECT + REACH_NS_OBJECT) * (double)objects + 1;
}

bool work_look(struct work *work)
{
    work->done += (double)work->since_ns;
    work->since_ns = 0;
    if (work->tell)
        work->tell(work->arg, work->done < work->total ? work->done / work->total : 1);
    return !(work->give_up && *work->give_up) && !(work->ending && *work->ending);
}

int area_open(struct area *area, const char *path, uint64_t bytes, bool keep)
{
    *area = (struct area){.fd = -1};
    if (bytes > INT64_MAX)
        return -EFBIG;
    unlink(path);
    area->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (area->fd < 0)
        return -errno;
    int error = -posix_fallocate(area->fd, 0, (off_t)bytes);
    if (!error)
        error = mapped_open(&area->mapped, area->fd, bytes, true);
    if (error || !keep)
        unlink(path);
    if (error) {
        close(area->fd);
        area->fd = -1;
        return error;
    }
    area->memory = area->mapped.at;
    area->bytes = bytes;
    return 0;
}

void area_close(struct area *area)
{
    mapped_close(&area->mapped);
    if (area->fd >= 0)
        close(area->fd);
    *area = (struct area){.fd = -1};
}

void *area_take(struct area *area, uint64_t count, size_t item)
{
    void *taken = area->memory + area->used;
    area->used += (count * item + AREA_ALIGN - 1) & ~(size_t)(AREA_ALIGN - 1);
    return taken;
}

/* The dominators take four numbers an object, and what comes after them one. */
uint64_t index_scratch_bytes(uint64_t objects)
{
    return 4 * INDEX_PAGE + 4 * (objects + 1) * sizeof(uint32_t);
}

struct passes {
    struct index *index;
    struct area *scratch;
    struct work *work;
    uint32_t *open;
};

static int passes_run(void *arg)
{
    const struct passes *passes = arg;
    int error = index_turn(passes->index, passes->work);
    if (!error)
        error = index_dominate(passes->index, passes->scratch, passes->work);
    passes->scratch->used = 0;
    return error ? error : index_reach(passes->index, passes->scratch, passes->open, passes->work);
}

int index_analyse(struct index *index, const void *stream, size_t bytes, struct area *scratch, struct work *work, char *problem,
                  size_t room)
{
    int error = index_load(index, stream, bytes, work, problem, room);
    if (error)
        return error;
    struct passes passes = {.index = index, .scratch = scratch, .work = work};
    passes.open = calloc(index->type_count + 1, sizeof *passes.open);
    error = passes.open ? mapped_try(passes_run, &passes) : -ENOMEM;
    free(passes.open);
    return error;
}
