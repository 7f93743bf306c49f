/* A program with several heaps, each in a thread of its own. Lines on stdin: "NUMBER WORD COUNT" tells thread NUMBER
 * (from 1) to do WORD; "quit" ends. Each thread answers with a line on stdout.
 *
 *   make COUNT   objects that die by their count          ring COUNT   rings of two that only a collection frees
 *   free 0       its heap goes, with what is left in it
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tally.h"

#define THREADS 2

struct node {
    void *next;
};

struct order {
    char word[16];
    unsigned long count;
};

static struct worker {
    pthread_t thread;
    int number;
    int orders[2]; /* a pipe of struct order, main to worker */
} workers[THREADS];

static const struct tally_type *node_type;

static struct node *node_new(struct tally_heap *heap)
{
    struct node *node = tally_new(heap, node_type);
    if (!node)
        abort();
    return node;
}

static void obey(struct tally_heap *heap, const struct order *order)
{
    for (unsigned long i = 0; i < order->count; i++) {
        struct node *first = node_new(heap);
        if (strcmp(order->word, "ring") == 0) {
            struct node *second = node_new(heap);
            tally_store(first, &first->next, second);
            tally_store_steal(second, &second->next, first);
            tally_decref(second);
        } else {
            tally_decref(first);
        }
    }
}

static void *work(void *arg)
{
    struct worker *self = arg;
    struct tally_heap *heap = NULL;
    if (tally_heap_new(TALLY_ABI, NULL, &heap) || tally_attach(heap))
        abort();
    struct order order = {{0}, 0};
    struct pollfd fds[2] = {{.fd = self->orders[0], .events = POLLIN}, {.fd = tally_notify_fd(heap), .events = POLLIN}};
    while (strcmp(order.word, "free") != 0 && poll(fds, 2, -1) > 0) {
        if (fds[1].revents)
            tally_safepoint(heap);
        if (!fds[0].revents)
            continue;
        if (read(self->orders[0], &order, sizeof order) != (ssize_t)sizeof order)
            break;
        obey(heap, &order);
        if (strcmp(order.word, "free") != 0)
            printf("ok %d\n", self->number);
    }
    tally_heap_free(heap);
    printf("ok %d\n", self->number);
    return NULL;
}

int main(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    tally_set_name("heaps");
    const struct tally_type_info info = {.name = "node",
                                         .size = sizeof(struct node),
                                         .refs = (struct tally_ref[]){{"next", offsetof(struct node, next)}},
                                         .ref_count = 1};
    if (tally_type_register(&info, &node_type))
        return 1;
    for (int i = 0; i < THREADS; i++) {
        workers[i].number = i + 1;
        if (pipe(workers[i].orders) || pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            return 1;
    }
    char line[128];
    while (fgets(line, sizeof line, stdin)) {
        int number = 0;
        struct order order = {{0}, 0};
        if (sscanf(line, "%d %15s %lu", &number, order.word, &order.count) != 3 || number < 1 || number > THREADS)
            break;
        if (write(workers[number - 1].orders[1], &order, sizeof order) != (ssize_t)sizeof order)
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        close(workers[i].orders[1]);
        pthread_join(workers[i].thread, NULL);
    }
    return 0;
}
