#include "base/mapped.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Read by the handler, in whatever thread a fault is: that thread's own mapping is not closed meanwhile, and of the others
 * it only needs to see that they are not the one. start is stored last as one comes, and cleared first as it goes. */
static struct {
    _Atomic uintptr_t start; /* 0: free */
    _Atomic size_t bytes;
    atomic_bool broken;
    bool taken; /* under the lock */
} slots[MAPPED_MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* who has which */
static _Thread_local sigjmp_buf *trying; /* where this thread's mapped_try() goes on */
static _Thread_local struct {
    uintptr_t from, to;
} watched[2];
static uintptr_t page_bytes;

/* ---- the signal: nothing here that may not be called in a handler */

static unsigned slot_of(uintptr_t address)
{
    for (unsigned i = 0; i < MAPPED_MOST; i++) {
        uintptr_t start = atomic_load(&slots[i].start);
        size_t bytes = atomic_load(&slots[i].bytes);
        if (start && address >= start && address - start < bytes && start == atomic_load(&slots[i].start))
            return i;
    }
    return MAPPED_MOST;
}

/* Zeroes in its place, in one piece: faults of a page each would be too many, and take a piece of the address space each. */
static bool zeroes_put(unsigned slot)
{
    void *start = (void *)atomic_load(&slots[slot].start);
    int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return mmap(start, atomic_load(&slots[slot].bytes), PROT_READ | PROT_WRITE, how, -1, 0) == start;
}

static bool page_zero(uintptr_t address)
{
    bool ours = false;
    for (unsigned i = 0; i < 2; i++)
        ours |= address >= watched[i].from && address < watched[i].to;
    void *page = (void *)(address & ~(page_bytes - 1));
    return ours && mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
}

static bool file_zero(unsigned slot)
{
    if (slot == MAPPED_MOST)
        return false;
    atomic_store(&slots[slot].broken, true); /* before anybody can read a zero */
    if (trying)
        siglongjmp(*trying, 1);
    return zeroes_put(slot);
}

static void hear(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    int error = errno;
    bool of_memory = info->si_code > 0; /* else somebody sent it */
    if (!of_memory || !(page_zero(address) || file_zero(slot_of(address)))) {
        signal(number, SIG_DFL);
        raise(number); /* if not by the same touch again, it ends by this */
    }
    errno = error;
}

void mapped_start(void)
{
    /* NODEFER: siglongjmp() then has no mask to put back. */
    struct sigaction action = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

int mapped_try(int (*run)(void *arg), void *arg)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0)) {
        trying = NULL;
        return -EIO;
    }
    trying = &here;
    int result = run(arg);
    trying = NULL;
    return result;
}

void mapped_watch(const void *first, uint64_t first_bytes, const void *second, uint64_t second_bytes)
{
    watched[0].from = (uintptr_t)first;
    watched[0].to = first ? watched[0].from + first_bytes : 0;
    watched[1].from = (uintptr_t)second;
    watched[1].to = second ? watched[1].from + second_bytes : 0;
}

/* ---- mappings */

static unsigned slot_take(void)
{
    unsigned slot = 0;
    pthread_mutex_lock(&lock);
    while (slot < MAPPED_MOST && slots[slot].taken)
        slot++;
    if (slot < MAPPED_MOST)
        slots[slot].taken = true;
    pthread_mutex_unlock(&lock);
    return slot;
}

static void slot_give(unsigned slot)
{
    pthread_mutex_lock(&lock);
    slots[slot].taken = false;
    pthread_mutex_unlock(&lock);
}

int mapped_open(struct mapped *mapped, int fd, size_t bytes, bool writes)
{
    unsigned slot = slot_take();
    if (slot == MAPPED_MOST)
        return -EMFILE;
    void *at = mmap(NULL, bytes, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        int error = -errno;
        slot_give(slot);
        return error;
    }
    atomic_store(&slots[slot].broken, false);
    atomic_store(&slots[slot].bytes, bytes);
    atomic_store(&slots[slot].start, (uintptr_t)at);
    *mapped = (struct mapped){.at = at, .bytes = bytes, .slot = slot};
    return 0;
}

void mapped_close(struct mapped *mapped)
{
    if (!mapped->at)
        return;
    atomic_store(&slots[mapped->slot].start, 0);
    munmap(mapped->at, mapped->bytes);
    slot_give(mapped->slot);
    *mapped = (struct mapped){.at = NULL};
}

bool mapped_broken(const struct mapped *mapped)
{
    return mapped->at && atomic_load(&slots[mapped->slot].broken);
}
