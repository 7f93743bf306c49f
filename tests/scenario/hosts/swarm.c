/* Many small programs at once: forks COUNT children, which wait; "go" lets all of them make a heap, put 1 to 50
 * objects into it, attach and sleep, at one instant; "die" kills them all. Answers each line with "ok WORD".
 * The parent has no heap.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tally.h"

#define CHILDREN_MAX 4096

struct node {
    void *next;
};

static pid_t children[CHILDREN_MAX];
static size_t child_count;
static int gate[2]; /* closed by the parent when they may go */

static void live(size_t number)
{
    char byte;
    struct tally_heap *heap = NULL;
    const struct tally_type *type;
    const struct tally_type_info info = {.name = "node",
                                         .size = sizeof(struct node),
                                         .refs = (struct tally_ref[]){{"next", offsetof(struct node, next)}},
                                         .ref_count = 1};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(gate[1]);
    if (read(gate[0], &byte, 1) != 0 || tally_type_register(&info, &type) || tally_heap_new(TALLY_ABI, NULL, &heap))
        _exit(1);
    for (size_t i = 0; i <= number % 50; i++)
        if (!tally_new(heap, type))
            _exit(1);
    if (tally_attach(heap))
        _exit(1);
    for (;;)
        pause();
}

static void die(void)
{
    for (size_t i = 0; i < child_count; i++)
        kill(children[i], SIGKILL);
    for (size_t i = 0; i < child_count; i++)
        waitpid(children[i], NULL, 0);
    child_count = 0;
}

int main(int argc, char **argv)
{
    char line[64];
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    tally_set_name("swarm");
    if (count > CHILDREN_MAX || pipe(gate))
        return 1;
    for (; child_count < count; child_count++) {
        children[child_count] = fork();
        if (children[child_count] == 0)
            live(child_count);
        if (children[child_count] < 0)
            break;
    }
    printf("born %zu\n", child_count);
    close(gate[0]);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "go") == 0)
            close(gate[1]);
        if (strcmp(line, "die") == 0)
            die();
        printf("ok %s\n", line);
    }
    die();
    return 0;
}
