/* analysis OBJECTS: what tallyd's analysis of a snapshot takes, of a tree with two more edges an object, one near and one anywhere: the
 * passes one by one, the disk they use, and the memory that is no file. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "snapshot/index.h"
#include "synthetic.h"

static int stream_flush(void *arg, const void *bytes, size_t count)
{
    return fwrite(bytes, 1, count, arg) == count ? 0 : -1;
}

/* A file without a name, mapped. */
static const void *stream_new(const struct synthetic *heap_of, size_t *bytes)
{
    FILE *file = tmpfile();
    uint64_t payload;
    struct stat status;
    if (!file || synthetic_write(heap_of, stream_flush, file, &payload) || fflush(file) || fstat(fileno(file), &status))
        give_up("the stream could not be written");
    void *stream = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fileno(file), 0);
    fclose(file);
    *bytes = (size_t)status.st_size;
    return stream == MAP_FAILED ? NULL : stream;
}

static void area_make(struct area *area, const char *what, uint64_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/tally-bench-%d.%s", (int)getpid(), what);
    if (area_open(area, path, bytes, false))
        give_up("%s: no room for %llu MiB", path, (unsigned long long)(bytes >> 20));
}

/* CPU time of the thread since the last one. */
static double lap(double *since)
{
    double now = (double)thread_ticks(), spent = now - *since;
    *since = now;
    return spent;
}

static void passes_time(struct index *index, const void *stream, size_t bytes, struct area *scratch)
{
    struct work work = {.total = 1};
    char problem[160] = "";
    double since = (double)thread_ticks(), objects = (double)index->objects, start = since;
    int error = index_load(index, stream, bytes, &work, problem, sizeof problem);
    put("analysis", "load", lap(&since) / objects, "ns/obj");
    error = error ? error : index_turn(index, &work);
    put("analysis", "turn edges", lap(&since) / objects, "ns/obj");
    error = error ? error : index_dominate(index, scratch, &work);
    put("analysis", "dominators", lap(&since) / objects, "ns/obj");
    scratch->used = 0;
    uint32_t *open = wanted(calloc(index->type_count + 1, sizeof *open));
    error = error ? error : index_reach(index, scratch, open, &work);
    free(open);
    put("analysis", "reach", lap(&since) / objects, "ns/obj");
    put("analysis", "all", (since - start) / objects, "ns/obj");
    if (error)
        give_up("the analysis: %s", *problem ? problem : strerror(-error));
}

void workload_analysis(double objects)
{
    struct synthetic synthetic;
    size_t bytes;
    if (!synthetic_init(&synthetic, "web", (uint64_t)objects))
        give_up("out of memory");
    const void *stream = wanted((void *)(uintptr_t)stream_new(&synthetic, &bytes));
    free(synthetic.counts);
    struct index index;
    struct area columns, scratch;
    uint64_t column_bytes = index_column_bytes(synthetic.objects, synthetic.edges);
    area_make(&columns, "index", column_bytes);
    area_make(&scratch, "scratch", index_scratch_bytes(synthetic.objects));
    index_lay(&index, columns.memory, synthetic.objects, synthetic.edges);
    long before = memory_kib("RssAnon:");
    passes_time(&index, stream, bytes, &scratch);
    put("analysis", "stream", (double)bytes / objects, "B/obj");
    put("analysis", "index", (double)column_bytes / objects, "B/obj");
    put("analysis", "beside it", (double)scratch.bytes / objects, "B/obj");
    put("analysis", "anonymous memory", (double)(memory_kib("RssAnon:") - before), "KiB");
    index_types_free(&index);
    area_close(&columns);
    area_close(&scratch);
}
