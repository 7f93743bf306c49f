/* artifact STATE-DIR SHAPE OBJECTS [NAME [PROCESS [AGE-SECONDS]]]: puts the snapshot of a heap that never was where a tallyd finds it when
 * it starts, and prints its id. SHAPE: one of tests/bench/synthetic.h; STATE-DIR "-": the stream alone, to standard
 * output. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../bench/synthetic.h"

static uint64_t written;

static int file_flush(void *arg, const void *bytes, size_t count)
{
    written += count;
    return fwrite(bytes, 1, count, arg) == count ? 0 : -1;
}

static int fail(const char *what)
{
    fprintf(stderr, "artifact: %s: %s\n", what, strerror(errno));
    return 1;
}

/* What src/snapshot/describe.c reads. */
static void describe(FILE *file, const struct synthetic *heap, uint64_t edges, uint64_t bytes, const char *name,
                     const char *process, uint64_t taken_ns)
{
    fprintf(file,
            "{\"version\": 1, \"process\": \"%s\", \"name\": \"%s\", \"heap\": 1, \"mode\": \"clone\", \"pause_ns\": 1200000,\n"
            "\"taken_wall_ns\": %llu, \"state\": \"analysing\", \"instant\": true, \"objects\": %llu,\n"
            "\"edges\": %llu, \"bytes\": %llu, \"stream_bytes\": %llu, \"problem\": \"\"}\n",
            process, name, (unsigned long long)taken_ns, (unsigned long long)heap->objects, (unsigned long long)edges,
            (unsigned long long)bytes, (unsigned long long)written);
}

int main(int argc, char **argv)
{
    struct synthetic heap;
    char path[512];
    uint64_t bytes = 0;
    if (argc < 4 || argc > 7 || !synthetic_init(&heap, argv[2], strtoull(argv[3], NULL, 10))) {
        fprintf(stderr, "usage: artifact STATE-DIR|- app|web|chain OBJECTS [NAME [PROCESS [AGE-SECONDS]]]\n");
        return 2;
    }
    if (!strcmp(argv[1], "-"))
        return synthetic_write(&heap, file_flush, stdout, &bytes) || fflush(stdout) ? fail("standard output") : 0;
    const char *name = argc > 4 ? argv[4] : "synthetic", *process = argc > 5 ? argv[5] : "00000000000000000000000000000001";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t taken_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    taken_ns -= argc > 6 ? strtoull(argv[6], NULL, 10) * 1000000000u : 0;
    unsigned long long id = taken_ns / 1000000u << 20;
    snprintf(path, sizeof path, "%s/artifacts", argv[1]);
    if (mkdir(argv[1], 0700) && errno != EEXIST)
        return fail(argv[1]);
    if (mkdir(path, 0700) && errno != EEXIST)
        return fail(path);
    snprintf(path, sizeof path, "%s/artifacts/%016llx.stream", argv[1], id);
    FILE *file = fopen(path, "wb");
    if (!file || synthetic_write(&heap, file_flush, file, &bytes) || fclose(file))
        return fail(path);
    free(heap.counts);
    snprintf(path, sizeof path, "%s/artifacts/%016llx.json", argv[1], id);
    file = fopen(path, "w");
    if (!file)
        return fail(path);
    describe(file, &heap, heap.edges, bytes, name, process, taken_ns);
    if (fclose(file))
        return fail(path);
    printf("%016llx\n", id);
    return 0;
}
