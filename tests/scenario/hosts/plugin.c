/* A program that loads libtally.so while it runs, and ends in a way that libtally did not choose:
 *
 *   plugin LIBRARY thread     a thread ends that owns an attached heap; the process goes on until stdin ends
 *   plugin LIBRARY exit       exit() from inside a collection
 *   plugin LIBRARY dlclose    unloads the library with a heap attached, and goes on until another line comes
 *
 * It does not know libtally but by dlsym(), links nothing of it, and says on stdout what it counted itself.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"

struct node {
    void *next;
};

#define CALL(name) ((__typeof__(&name))dlsym(library, #name))

static void *library;
static const struct tally_type *type;
static uint64_t exit_began_ns;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void say_exit(void)
{
    if (exit_began_ns)
        printf("exit took %llu us\n", (unsigned long long)(now_ns() - exit_began_ns) / 1000);
}

static void leave(int status)
{
    exit_began_ns = now_ns();
    exit(status);
}

/* A heap with so many objects that live, attached. */
static struct tally_heap *heap_with(unsigned count)
{
    struct tally_heap *heap = NULL;
    const struct tally_type_info info = {.name = "node",
                                         .size = sizeof(struct node),
                                         .refs = (struct tally_ref[]){{"next", 0}},
                                         .ref_count = 1};
    if (CALL(tally_heap_new)(TALLY_ABI, NULL, &heap) || CALL(tally_type_register)(&info, &type))
        abort();
    for (unsigned i = 0; i < count; i++)
        if (!CALL(tally_new)(heap, type))
            abort();
    if (CALL(tally_attach)(heap))
        abort();
    return heap;
}

static void *short_lived(void *arg)
{
    heap_with(37);
    return arg;
}

static void leave_hook(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)arg;
    if (!info->stop)
        leave(0);
}

int main(int argc, char **argv)
{
    char byte;
    if (argc != 3)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    atexit(say_exit); /* registered before libtally's, so it runs behind it */
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("%s\n", dlerror());
        return 1;
    }
    struct tally_heap *heap = heap_with(5);
    if (strcmp(argv[2], "thread") == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_lived, NULL) || pthread_join(thread, NULL))
            return 1;
    }
    printf("ready\n");
    if (read(STDIN_FILENO, &byte, 1) < 0)
        return 1;
    if (strcmp(argv[2], "exit") == 0) {
        CALL(tally_add_collection_hook)(heap, leave_hook, NULL);
        CALL(tally_collect)(heap, 2);
    } else if (strcmp(argv[2], "dlclose") == 0) {
        dlclose(library);
        printf("closed\n");
        if (read(STDIN_FILENO, &byte, 1) < 0)
            return 1;
    }
    leave(0);
}
