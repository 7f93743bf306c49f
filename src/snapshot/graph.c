#include "snapshot/graph.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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

/* Opens it to be read: a descriptor, -EAGAIN (there is none that fits), or another -errno. */
static int index_open(const struct snapshots *snapshots, const struct snapshot_artifact *view, struct index_header *header)
{
    char path[PATH_ROOM];
    struct stat status;
    artifact_path(snapshots, view->id, ".index", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EAGAIN;
    if (!fstat(fd, &status) && pread(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
        header_fits(header, view, (uint64_t)status.st_size))
        return fd;
    close(fd);
    return -EAGAIN;
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
    mapped_close(&graph->file);
    mapped_close(&graph->stream);
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

/* Under the lock. 0, -EAGAIN (the files are not there, or not right), or another -errno. */
static int graph_new(struct snapshots *snapshots, const struct snapshot_artifact *view, struct snapshot_graph **out)
{
    struct index_header header;
    struct snapshot_graph *graph = calloc(1, sizeof *graph);
    int fd = graph ? index_open(snapshots, view, &header) : -ENOMEM;
    int error = fd < 0 ? fd : mapped_open(&graph->file, fd, header.file_bytes, false);
    if (fd >= 0)
        close(fd);
    if (!error)
        error = stream_map(snapshots, view->id, &graph->stream);
    if (error == -ENOENT || error == -EIO || (!error && graph->stream.bytes != view->size_bytes))
        error = -EAGAIN;
    if (error) {
        if (graph)
            graph_free(graph);
        return error;
    }
    graph->snapshots = snapshots;
    graph->refs = 1;
    index_over(&graph->index, graph->file.at, &header);
    *out = graph;
    return 0;
}

static void graph_unref(struct snapshot_graph *graph)
{
    if (!--graph->refs)
        graph_free(graph);
}

void graph_forget(struct snapshots *snapshots, struct artifact *artifact)
{
    if (!artifact->graph)
        return;
    graph_unref(artifact->graph);
    artifact->graph = NULL;
    snapshots->graphs--;
}

/* What is asked for has a graph; the one that was asked for longest ago goes for it. Under the lock; as graph_new(). */
static int graph_keep(struct snapshots *snapshots, struct artifact *artifact)
{
    struct artifact *oldest = NULL;
    int error = graph_new(snapshots, &artifact->view, &artifact->graph);
    if (error)
        return error;
    for (size_t i = 0; i < snapshots->count && snapshots->graphs >= GRAPHS_KEPT; i++) {
        struct artifact *other = snapshots->artifacts[i];
        if (other->graph && other != artifact && (!oldest || other->asked < oldest->asked))
            oldest = other;
    }
    snapshots->graphs++;
    if (oldest)
        graph_forget(snapshots, oldest);
    return 0;
}

static void analyse_again(struct snapshots *snapshots, struct artifact *artifact)
{
    snapshots->stored -= artifact->stored - artifact->view.size_bytes; /* what the index had */
    artifact->stored = artifact->view.size_bytes;
    artifact_state(artifact, SNAPSHOT_ANALYSING);
    pthread_cond_signal(&snapshots->analyser_wakes);
}

/* An index whose pages cannot be had is of no use: its blocks are bad, or it was cut short. */
static void broken_forget(struct snapshots *snapshots, struct artifact *artifact)
{
    char path[PATH_ROOM];
    log_warn("artifact %s of %s: a file of it cannot be read any more; it is analysed again", artifact->view.id,
             artifact->view.meta.name);
    artifact_path(snapshots, artifact->view.id, ".index", path);
    unlink(path);
    graph_forget(snapshots, artifact);
    analyse_again(snapshots, artifact);
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
    bool ready = artifact && artifact->view.state == SNAPSHOT_READY;
    int error = !artifact ? -ENOENT : ready ? 0 : -EAGAIN;
    if (ready && !artifact->graph && (error = graph_keep(snapshots, artifact)) == -EAGAIN)
        analyse_again(snapshots, artifact);
    if (!error) {
        artifact->asked = ++snapshots->asked;
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
    for (size_t i = 0; i < snapshots->count && !snapshot_graph_sound(graph); i++)
        if (snapshots->artifacts[i]->graph == graph)
            broken_forget(snapshots, snapshots->artifacts[i]);
    graph_unref(graph);
    pthread_mutex_unlock(&snapshots->lock);
}

bool snapshot_graph_sound(const struct snapshot_graph *graph)
{
    return !mapped_broken(&graph->file) && !mapped_broken(&graph->stream);
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
    if (offset >= graph->stream.bytes || index->type[object] >= index->type_count)
        return false;
    reader->sink = sink;
    int fault = snapshot_read_object(reader, (const char *)graph->stream.at + offset, graph->stream.bytes - offset,
                                     index->number[object], index->types[index->type[object]].row, &used);
    return !fault || fault == SNAPSHOT_FAULT_SINK;
}
