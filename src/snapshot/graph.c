#include "snapshot/graph.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/private.h"

/* ---- files */

/* Whether it is the index of that artifact, as far as its head tells. */
static bool header_fits(const struct index_header *header, const struct snapshot_artifact *view, uint64_t file_bytes)
{
    uint64_t columns = index_column_bytes(header->objects, view->edges);
    return header->magic == INDEX_MAGIC && header->version == INDEX_VERSION && header->file_bytes == file_bytes &&
           header->stream_bytes == view->size_bytes && header->objects == view->objects && header->edges == view->edges &&
           header->types <= SNAPSHOT_ROWS && header->fields <= SNAPSHOT_NAMES_MAX && header->names_bytes <= SNAPSHOT_NAMES_MAX &&
           file_bytes == columns + header->types * sizeof(struct index_type) + header->fields * sizeof(struct index_name) +
                             header->names_bytes;
}

/* Opens it to be read. -1: there is none that fits. */
static int index_open(const struct snapshots *snapshots, const struct snapshot_artifact *view, struct index_header *header)
{
    char path[PATH_ROOM];
    struct stat status;
    artifact_path(snapshots, view->id, ".index", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && !fstat(fd, &status) && pread(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
        header_fits(header, view, (uint64_t)status.st_size))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

uint64_t graph_file_bytes(const struct snapshots *snapshots, const struct snapshot_artifact *view)
{
    struct index_header header;
    int fd = index_open(snapshots, view, &header);
    if (fd < 0)
        return 0;
    close(fd);
    return header.file_bytes;
}

static void graph_free(struct snapshot_graph *graph)
{
    if (graph->memory)
        munmap(graph->memory, graph->bytes);
    if (graph->stream)
        munmap((void *)(uintptr_t)graph->stream, graph->stream_bytes);
    free(graph->spare);
    free(graph);
}

static void index_over(struct index *index, char *memory, const struct index_header *header)
{
    index_lay(index, memory, header->objects, header->edges);
    index->totals = header->totals;
    index->totals.objects = header->objects;
    index->totals.types = header->types;
    char *at = memory + index_column_bytes(header->objects, header->edges);
    index->types = (struct index_type *)(void *)at;
    index->type_count = header->types;
    index->fields = (struct index_name *)(void *)(index->types + header->types);
    index->field_count = header->fields;
    index->names = (char *)(index->fields + header->fields);
    index->names_bytes = header->names_bytes;
}

/* Under the lock. NULL: the files are not there, or not right. */
static struct snapshot_graph *graph_new(struct snapshots *snapshots, const struct snapshot_artifact *view)
{
    struct index_header header;
    struct snapshot_graph *graph = calloc(1, sizeof *graph);
    int fd = graph ? index_open(snapshots, view, &header) : -1;
    if (fd < 0) {
        free(graph);
        return NULL;
    }
    graph->snapshots = snapshots;
    graph->refs = 1;
    graph->bytes = header.file_bytes;
    void *memory = mmap(NULL, graph->bytes, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    graph->memory = memory == MAP_FAILED ? NULL : memory;
    graph->stream = stream_map(snapshots, view->id, &graph->stream_bytes);
    if (!graph->memory || !graph->stream || graph->stream_bytes != view->size_bytes) {
        graph_free(graph);
        return NULL;
    }
    index_over(&graph->index, graph->memory, &header);
    return graph;
}

void graph_unref(struct snapshot_graph *graph)
{
    if (!--graph->refs)
        graph_free(graph);
}

static struct artifact *artifact_named(const struct snapshots *snapshots, const char *id)
{
    for (size_t i = 0; i < snapshots->count; i++)
        if (!strcmp(snapshots->artifacts[i]->view.id, id))
            return snapshots->artifacts[i];
    return NULL;
}

int snapshot_graph_open(struct snapshots *snapshots, const char *id, struct snapshot_graph **out)
{
    pthread_mutex_lock(&snapshots->lock);
    struct artifact *artifact = artifact_named(snapshots, id);
    int error = !artifact ? -ENOENT : artifact->view.state != SNAPSHOT_READY ? -EAGAIN : 0;
    if (!error && !artifact->graph)
        artifact->graph = graph_new(snapshots, &artifact->view);
    if (!error && !artifact->graph) { /* it is made again */
        artifact_state(artifact, SNAPSHOT_ANALYSING);
        pthread_cond_signal(&snapshots->analyser_wakes);
        error = -EAGAIN;
    }
    if (!error) {
        artifact->graph->refs++;
        *out = artifact->graph;
    }
    pthread_mutex_unlock(&snapshots->lock);
    return error;
}

void snapshot_graph_close(struct snapshot_graph *graph)
{
    struct snapshots *snapshots = graph->snapshots;
    pthread_mutex_lock(&snapshots->lock);
    graph_unref(graph);
    pthread_mutex_unlock(&snapshots->lock);
}

/* ---- what the index says */

const struct snapshot_totals *snapshot_graph_totals(const struct snapshot_graph *graph)
{
    return &graph->index.totals;
}

struct snapshot_text graph_name(const struct index *index, struct index_name name)
{
    bool right = name.at <= index->names_bytes && name.bytes <= index->names_bytes - name.at;
    return right ? (struct snapshot_text){index->names + name.at, name.bytes} : (struct snapshot_text){"", 0};
}

struct snapshot_text graph_type_name(const struct index *index, uint32_t object)
{
    uint32_t type = index->type[object];
    return type < index->type_count ? graph_name(index, index->types[type].name) : (struct snapshot_text){"", 0};
}

struct snapshot_text graph_field(const struct index *index, uint32_t object, const struct snapshot_edge *edge)
{
    const struct snapshot_text none = {"", 0};
    if (index->type[object] >= index->type_count)
        return none;
    const struct index_type *type = &index->types[index->type[object]];
    switch (edge->kind) {
    case SNAPSHOT_EDGE_FIELD:
        return edge->place < type->field_count && type->first_field + edge->place < index->field_count
                   ? graph_name(index, index->fields[type->first_field + edge->place])
                   : none;
    case SNAPSHOT_EDGE_TRAILING: return graph_name(index, type->trailing);
    case SNAPSHOT_EDGE_EXTERNAL: return graph_name(index, type->external_array);
    default: return none;
    }
}

void graph_range(const uint32_t *starts, uint32_t object, uint64_t most, uint32_t *from, uint32_t *to)
{
    *to = starts[object + 1] < most ? starts[object + 1] : (uint32_t)most;
    *from = starts[object] < *to ? starts[object] : *to;
}

struct snapshot_type_row snapshot_graph_type(const struct snapshot_graph *graph, uint32_t at)
{
    const struct index_type *type = &graph->index.types[at];
    return (struct snapshot_type_row){.row = type->row,
                                      .name = graph_name(&graph->index, type->name),
                                      .objects = type->objects,
                                      .bytes = type->bytes,
                                      .native_bytes = type->native_bytes,
                                      .retained = type->retained,
                                      .roots = type->roots,
                                      .external = type->external,
                                      .garbage_objects = type->garbage_objects,
                                      .garbage_bytes = type->garbage_bytes};
}

uint32_t snapshot_graph_find(const struct snapshot_graph *graph, uint64_t number)
{
    const struct index *index = &graph->index;
    uint64_t low = 0, high = index->objects;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (index->number[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->objects && index->number[low] == number ? (uint32_t)low : NONE;
}

/* ---- what the stream says */

struct snapshot_reader *graph_reader_take(struct snapshot_graph *graph)
{
    const struct index *index = &graph->index;
    struct snapshot_reader *reader = atomic_exchange(&graph->spare, NULL);
    if (reader)
        return reader;
    reader = malloc(sizeof *reader);
    if (!reader)
        return NULL;
    snapshot_read_begin(reader, NULL);
    for (uint64_t i = 0; i < index->type_count; i++)
        if (index->types[i].row < SNAPSHOT_ROWS)
            reader->rows[index->types[i].row] = index->types[i].field_count + 1;
    return reader;
}

void graph_reader_give(struct snapshot_graph *graph, struct snapshot_reader *reader)
{
    if (reader)
        free(atomic_exchange(&graph->spare, reader));
}

bool graph_read(const struct snapshot_graph *graph, struct snapshot_reader *reader, uint32_t object,
                const struct snapshot_sink *sink)
{
    const struct index *index = &graph->index;
    uint64_t offset = index->offset[object];
    size_t used;
    if (offset >= graph->stream_bytes || index->type[object] >= index->type_count)
        return false;
    reader->sink = sink;
    int fault = snapshot_read_object(reader, graph->stream + offset, graph->stream_bytes - offset, index->number[object],
                                     index->types[index->type[object]].row, &used);
    return !fault || fault == SNAPSHOT_FAULT_SINK;
}
