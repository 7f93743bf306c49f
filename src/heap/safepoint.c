/* Safepoints: where the owner runs what other threads have asked for, and says that it came by. */
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "heap/internal.h"

/* Newest first from the mailbox, oldest first to the owner. */
static struct tally__request *take_all(struct tally_heap *heap)
{
    struct tally__request *request = atomic_exchange_explicit(&heap->mailbox, NULL, memory_order_acquire);
    struct tally__request *ordered = NULL;
    while (request) {
        struct tally__request *next = request->next;
        request->next = ordered;
        ordered = request;
        request = next;
    }
    return ordered;
}

static void notify_drain(struct tally_heap *heap)
{
    uint64_t count;
    if (heap->notify_fd >= 0 && read(heap->notify_fd, &count, sizeof count) < 0)
        return; /* nothing to drain: it does not block, and so is not interrupted */
}

/* Blocks of events are dated by it, an owner's coming by need not be that exact. */
int tally__safepoint(struct tally_heap *heap)
{
    uint64_t now_ns = heap->hot.pen.level == WIRE_LEVEL_OFF ? clock_mono_coarse_ns() : clock_mono_ns();
    feed_safepoint(&heap->hot.pen, now_ns);
    tally__spare_age(heap, now_ns);
    /* A request never interrupts a collection: its callbacks may allocate, and so come here. */
    if (heap->collecting || !atomic_load_explicit(&heap->mailbox, memory_order_relaxed))
        return 0;
    int saved = errno, count = 0;
    notify_drain(heap);
    struct tally__request *request = take_all(heap);
    while (request) {
        struct tally__request *next = request->next;
        request->run(heap, request);
        request = next;
        count++;
    }
    errno = saved;
    return count;
}

int tally_safepoint(struct tally_heap *heap)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    int count = tally__safepoint(heap);
    tally__summary(heap);
    return count;
}

void tally__heap_post(struct tally_heap *heap, struct tally__request *request)
{
    struct tally__request *first = atomic_load_explicit(&heap->mailbox, memory_order_relaxed);
    do
        request->next = first;
    while (!atomic_compare_exchange_weak_explicit(&heap->mailbox, &first, request, memory_order_release,
                                                  memory_order_relaxed));
    pthread_mutex_lock(&heap->notify_lock);
    if (heap->notify)
        heap->notify(heap->notify_arg);
    pthread_mutex_unlock(&heap->notify_lock);
}

void tally_set_notify(struct tally_heap *heap, tally_notify_fn notify, void *arg)
{
    pthread_mutex_lock(&heap->notify_lock);
    heap->notify = notify;
    heap->notify_arg = arg;
    pthread_mutex_unlock(&heap->notify_lock);
}

static void notify_write(void *arg)
{
    const struct tally_heap *heap = arg;
    uint64_t one = 1;
    if (write(heap->notify_fd, &one, sizeof one) < 0)
        return; /* full, and so readable */
}

int tally_notify_fd(struct tally_heap *heap)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    if (heap->notify_fd < 0) {
        int saved = errno;
        heap->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        errno = saved;
        if (heap->notify_fd < 0)
            return TALLY_ESYS;
    }
    tally_set_notify(heap, notify_write, heap);
    return heap->notify_fd;
}
