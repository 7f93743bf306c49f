/* Shared memory that its reader can trust: of fixed size, with all of its blocks, writable through this
 * mapping and no other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"

/* Blocks are allocated while the file can still change, and mapped in at once, so that no touch of the mapping can
 * fail, or wait for the system, later. */
static int memory_make(struct agent_memory *memory, const char *name, size_t bytes)
{
    *memory = (struct agent_memory){.bytes = bytes};
    memory->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory->fd < 0)
        return errno;
    struct stat status;
    int error = 0;
    void *at = MAP_FAILED;
    if (ftruncate(memory->fd, (off_t)bytes) || fallocate(memory->fd, 0, 0, (off_t)bytes) ||
        fstat(memory->fd, &status))
        error = errno;
    else
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory->fd, 0);
    if (!error && at == MAP_FAILED)
        error = errno;
    if (error) {
        close(memory->fd);
        *memory = (struct agent_memory){.fd = -1};
        return error;
    }
    memory->at = at;
    memory->device = status.st_dev;
    memory->inode = status.st_ino;
    return 0;
}

/* FUTURE_WRITE comes after the mapping, which stays writable: from here on nobody else can write, punch or
 * resize. */
static int memory_seal(const struct agent_memory *memory)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    return fcntl(memory->fd, F_ADD_SEALS, seals) ? errno : 0;
}

int agent_counters_make(struct agent_memory *memory, const struct feed_shape *shape, uint32_t heap_number,
                        uint32_t generation)
{
    int error = memory_make(memory, "tally-counters", feed_counters_bytes(shape));
    if (error)
        return error;
    feed_counters_format(memory->at, shape, heap_number, generation);
    memory->generation = generation;
    return memory_seal(memory);
}

int agent_ring_make(struct agent_memory *memory, uint64_t words, uint32_t heap_number, uint32_t generation)
{
    int error = memory_make(memory, "tally-ring", feed_ring_bytes(words));
    if (error)
        return error;
    feed_ring_format(memory->at, words, heap_number, generation);
    memory->generation = generation;
    return memory_seal(memory);
}

/* A forked child may have closed the descriptor and opened another file under its number: that one is not
 * ours. */
void agent_memory_drop(struct agent_memory *memory)
{
    if (!memory->at)
        return;
    struct stat status;
    munmap(memory->at, memory->bytes);
    if (!fstat(memory->fd, &status) && status.st_dev == memory->device && status.st_ino == memory->inode)
        close(memory->fd);
    *memory = (struct agent_memory){.fd = -1};
}
