/* Any stream that the receiver would let pass, analysed: nobody is led out of the columns, and the figures add up. */
#include <stdlib.h>
#include <string.h>

#include "snapshot/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct snapshot_reader reader;

/* An area without a file, which the target has no use for. */
static struct area area_of(uint64_t bytes)
{
    struct area area = {.memory = calloc(1, bytes), .bytes = bytes, .fd = -1};
    if (!area.memory)
        abort();
    return area;
}

static void sums_check(const struct index *index)
{
    uint64_t objects = 0, garbage = 0, kids = 0, top = 0, bytes = 0;
    for (uint64_t i = 0; i < index->type_count; i++) {
        objects += index->types[i].objects;
        garbage += index->types[i].garbage_objects;
    }
    for (uint64_t i = 0; i < index->objects; i++) {
        uint32_t dominator = index->dominator[i];
        kids += index->kid_start[i + 1] - index->kid_start[i];
        top += dominator == index->objects ? index->retained[i] : 0;
        bytes += dominator != NONE ? index->bytes[i] : 0;
        if ((dominator == NONE) != (index->distance[i] == NONE) || (dominator != NONE && dominator > index->objects) ||
            index->retained[i] < index->bytes[i])
            abort();
    }
    kids += index->kid_start[index->objects + 1] - index->kid_start[index->objects];
    if (objects != index->objects || garbage != index->totals.garbage_objects || kids + garbage != objects || top != bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct snapshot_sink sink = {.arg = NULL};
    char problem[160];
    struct work work = {.total = 1};
    snapshot_read_begin(&reader, &sink);
    snapshot_read(&reader, data, size);
    if (snapshot_read_finish(&reader))
        return 0;
    uint64_t objects = reader.objects, edges = reader.edges;
    struct area area = area_of(index_column_bytes(objects, edges));
    struct area scratch = area_of(index_scratch_bytes(objects));
    struct index index;
    index_lay(&index, area.memory, objects, edges);
    if (!index_analyse(&index, data, size, &scratch, &work, problem, sizeof problem))
        sums_check(&index);
    if (scratch.used > scratch.bytes)
        abort();
    index_types_free(&index);
    free(area.memory);
    free(scratch.memory);
    return 0;
}
