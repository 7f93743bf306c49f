/* W1, W2, W7: what reference counts alone do. */
#include <stdlib.h>

#include "bench.h"

#define LIVE    1024
#define CHOICES 65536

/* W1: 1,024 live objects, of which a random one is replaced each time. */
void workload_churn(const struct tally_type *type, const char *name, long pairs)
{
    static uint16_t choices[CHOICES];
    static struct node *live[LIVE];
    for (int i = 0; i < CHOICES; i++)
        choices[i] = random_next() >> 5 & (LIVE - 1);
    double start = now_ns();
    for (long i = 0; i < pairs; i++) {
        int at = choices[i & (CHOICES - 1)];
        struct node *node = wanted(tally_new(heap, type)), *old = live[at];
        node->x = node->y = i;
        live[at] = node;
        if (old)
            tally_decref(old);
    }
    put("W1 ns/pair", name, (now_ns() - start) / (double)pairs, "ns");
    put("W1 peak RSS", name, (double)memory_kib("VmHWM:") / 1024, "MiB");
}

struct tree {
    void *left, *right;
};
static const struct tally_type *tree_type;

static void *tree_new(int depth)
{
    struct tree *tree = wanted(tally_new(heap, tree_type));
    if (depth > 0) {
        tally_store_steal(tree, &tree->left, tree_new(depth - 1));
        tally_store_steal(tree, &tree->right, tree_new(depth - 1));
    }
    return tree;
}

static long tree_count(const struct tree *tree)
{
    return tree->left ? 1 + tree_count(tree->left) + tree_count(tree->right) : 1;
}

static long tree_once(int depth)
{
    struct tree *tree = tree_new(depth);
    long count = tree_count(tree);
    tally_decref(tree);
    return count;
}

/* W2: the binary trees of the Computer Language Benchmarks Game. */
void workload_trees(int depth, bool acyclic)
{
    static const struct tally_ref refs[] = {{"left", offsetof(struct tree, left)},
                                            {"right", offsetof(struct tree, right)}};
    const struct tally_type_info info = {.name = "tree",
                                         .size = sizeof(struct tree),
                                         .flags = acyclic ? TALLY_TYPE_ACYCLIC : 0,
                                         .refs = refs,
                                         .ref_count = 2};
    if (tally_type_register(&info, &tree_type))
        give_up("a type is refused");
    double start = now_ns();
    long count = tree_once(depth + 1);
    struct tree *lasting = tree_new(depth);
    for (int small = 4; small <= depth; small += 2)
        for (long i = 0; i < 1L << (depth - small + 4); i++)
            count += tree_once(small);
    count += tree_count(lasting);
    char figure[64], name[128];
    snprintf(name, sizeof name, "%s%s", bench_name, acyclic ? ", acyclic" : "");
    snprintf(figure, sizeof figure, "W2 depth%d time", depth);
    put(figure, name, (now_ns() - start) / 1e9, "s");
    snprintf(figure, sizeof figure, "W2 depth%d peak RSS", depth);
    put(figure, name, (double)memory_kib("VmHWM:") / 1024, "MiB");
    fprintf(stderr, "check %ld\n", count);
    tally_decref(lasting);
}

#define COUNTED 1024
#define ROUNDS  100000
#define FIRSTS  1000000L

static void plain_counts(void)
{
    static uint64_t counts[COUNTED * 8]; /* a cache line each */
    double start = now_ns();
    for (long round = 0; round < ROUNDS; round++)
        for (int i = 0; i < COUNTED; i++) {
            volatile uint64_t *count = &counts[i * 8];
            (*count)++;
            (*count)--;
        }
    put("W7 pair, 1024 objects in turn", "C plain", (now_ns() - start) / ROUNDS / COUNTED, "ns");
}

/* W7: incref and decref, in turn over 1,024 objects (each a candidate after the first), and the first
 * decrement of objects that are none yet. */
void workload_counts(void)
{
    static struct node *nodes[COUNTED];
    struct node **fresh = wanted(calloc(FIRSTS, sizeof *fresh));
    plain_counts();
    for (int i = 0; i < COUNTED; i++) {
        nodes[i] = wanted(tally_new(heap, node_type));
        tally_decref(tally_dup(nodes[i]));
    }
    double start = now_ns();
    for (long round = 0; round < ROUNDS; round++)
        for (int i = 0; i < COUNTED; i++) {
            tally_incref(nodes[i]);
            __asm__ volatile("" ::: "memory"); /* else the two are none */
            tally_decref(nodes[i]);
        }
    put("W7 pair, 1024 objects in turn", bench_name, (now_ns() - start) / ROUNDS / COUNTED, "ns");
    for (long i = 0; i < FIRSTS; i++)
        fresh[i] = wanted(tally_new(heap, node_type));
    tally_disable(heap);
    start = now_ns();
    for (long i = 0; i < FIRSTS; i++) {
        tally_incref(fresh[i]);
        __asm__ volatile("" ::: "memory");
        tally_decref(fresh[i]);
    }
    put("W7 first decrement", bench_name, (now_ns() - start) / (double)FIRSTS, "ns");
    for (long i = 0; i < FIRSTS; i++)
        tally_decref(fresh[i]);
    free(fresh);
}
