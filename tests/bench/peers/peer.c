/* The workloads of tally-bench by hand: malloc and free (glibc's, or mimalloc's where it is linked in), or the
 * Boehm collector (-DBOEHM). The same random numbers, graphs and lines; see ../bench.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef BOEHM
#include <gc.h>
static void *take(size_t bytes) { return GC_malloc(bytes); }
static void give_back(void *memory) { (void)memory; }
#else
static void *take(size_t bytes) { return malloc(bytes); }
static void give_back(void *memory) { free(memory); }
#endif

struct node {
    struct node *a, *b;
    int64_t x, y;
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static uint32_t random_next(void)
{
    static uint32_t state = 12345;
    state = state * 1103515245u + 12345u;
    return state >> 1;
}

static void put(const char *figure, double value, const char *unit)
{
    printf("%s\t%s\t%.6g\t%s\n", figure, PEER_NAME, value, unit);
}

static void put_peak(const char *workload)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %ld", &kib);
    snprintf(line, sizeof line, "%s peak RSS", workload);
    put(line, (double)kib / 1024, "MiB");
}

static struct node *node_new(int64_t number)
{
    struct node *node = take(sizeof *node);
    node->a = node->b = NULL;
    node->x = node->y = number;
    return node;
}

static void churn(long pairs)
{
    static uint16_t choices[65536];
    static struct node *live[1024];
    for (int i = 0; i < 65536; i++)
        choices[i] = random_next() >> 5 & 1023;
    double start = now_ns();
    for (long i = 0; i < pairs; i++) {
        struct node **at = &live[choices[i & 65535]], *old = *at;
        *at = node_new(i);
        give_back(old);
    }
    put("W1 ns/pair", (now_ns() - start) / (double)pairs, "ns");
    put_peak("W1");
}

struct tree {
    struct tree *left, *right;
};

static struct tree *tree_new(int depth)
{
    struct tree *tree = take(sizeof *tree);
    tree->left = depth ? tree_new(depth - 1) : NULL;
    tree->right = depth ? tree_new(depth - 1) : NULL;
    return tree;
}

static long tree_count(const struct tree *tree)
{
    return tree->left ? 1 + tree_count(tree->left) + tree_count(tree->right) : 1;
}

static void tree_free(struct tree *tree)
{
#ifndef BOEHM
    if (tree->left) {
        tree_free(tree->left);
        tree_free(tree->right);
    }
    give_back(tree);
#else
    (void)tree;
#endif
}

static long tree_once(int depth)
{
    struct tree *tree = tree_new(depth);
    long count = tree_count(tree);
    tree_free(tree);
    return count;
}

static void trees(int depth)
{
    char figure[64];
    double start = now_ns();
    long count = tree_once(depth + 1);
    struct tree *lasting = tree_new(depth);
    for (int small = 4; small <= depth; small += 2)
        for (long i = 0; i < 1L << (depth - small + 4); i++)
            count += tree_once(small);
    count += tree_count(lasting);
    snprintf(figure, sizeof figure, "W2 depth%d time", depth);
    put(figure, (now_ns() - start) / 1e9, "s");
    snprintf(figure, sizeof figure, "W2 depth%d", depth);
    put_peak(figure);
    fprintf(stderr, "check %ld\n", count);
}

static struct node *pair_new(long number)
{
    struct node *one = node_new(number), *other = node_new(number);
    one->a = other;
    other->a = one;
    return one;
}

#ifndef BOEHM
static void pair_free(struct node *one)
{
    give_back(one->a);
    give_back(one);
}
#else
static void pair_free(struct node *one) { (void)one; }

static struct node **nodes;

static void graph_new(size_t count, int random)
{
    nodes = take(count * sizeof *nodes);
    for (size_t i = 0; i < count; i++)
        nodes[i] = node_new((int64_t)i);
    for (size_t i = 0; i < count; i++) {
        nodes[i]->a = nodes[random ? random_next() % count : (i + 1) % count];
        nodes[i]->b = nodes[random ? random_next() % count : (i + 2) % count];
    }
}

/* How many objects the first one holds, itself included; each is marked by its y. */
static size_t reached_from_first(size_t count)
{
    struct node **waiting = malloc(count * sizeof *waiting);
    size_t reached = 0, length = 0;
    nodes[0]->y = -1;
    for (waiting[length++] = nodes[0]; length; reached++) {
        struct node *node = waiting[--length], *ends[2] = {node->a, node->b};
        for (int i = 0; i < 2; i++)
            if (ends[i]->y >= 0) {
                ends[i]->y = -1;
                waiting[length++] = ends[i];
            }
    }
    free(waiting);
    return reached;
}

static void live(long millions, int random, int one_root)
{
    char figure[64];
    static struct node *root;
    size_t count = (size_t)millions * 1000000;
    graph_new(count, random);
    if (one_root) {
        count = reached_from_first(count);
        root = nodes[0];
        GC_FREE(nodes);
        nodes = &root;
    }
    GC_gcollect();
    double start = now_ns();
    GC_gcollect();
    snprintf(figure, sizeof figure, "W4 %s %ldM ns/obj", random ? "random" : "seq", millions);
    put(figure, (now_ns() - start) / (double)count, "ns");
}
#endif

/* A ring that grows by one object a step, and is freed when it has a million. */
static void ring_step(int64_t number)
{
    static struct node *last;
    static uint32_t size;
    struct node *node = node_new(number);
    node->a = last;
    last = node;
    if (++size < 1000000)
        return;
    while (last) {
        struct node *gone = last;
        last = gone->a;
        give_back(gone);
    }
    size = 0;
}

/* The gap that one in so many is longer than; the longest, where that is off the scale. */
static double gap_of(const uint32_t *steps, uint64_t count, uint64_t one_in, uint64_t longest)
{
    uint64_t above = 0;
    unsigned step = 65535;
    while (step > 0 && (above += steps[step]) <= count / one_in)
        step--;
    return step < 65535 ? (step + 1) * 64.0 : (double)longest;
}

static void pauses(char variant, double seconds)
{
    static uint32_t steps[65536];
    const uint32_t count = variant == 'c' ? 2500000 : 5000000;
    struct node **kept = take(count * sizeof *kept);
    uint64_t longest = 0, passed = 0;
    char figure[16], line[64];
    for (uint32_t i = 0; i < count; i++)
        kept[i] = variant == 'c' ? pair_new(i) : node_new(i);
    for (uint32_t i = 0; variant != 'c' && i < count; i++) {
        kept[i]->a = kept[random_next() % count];
        kept[i]->b = kept[random_next() % count];
    }
    double before = now_ns(), end = before + seconds * 1e9;
    while (before < end) {
        if (variant == 'c') {
            uint32_t at = random_next() % count;
            struct node *old = kept[at];
            kept[at] = pair_new((long)passed);
            pair_free(old);
        } else {
            pair_free(pair_new((long)passed));
        }
        if (variant == 'b') {
            struct node *node = kept[random_next() % count];
            node->a = kept[random_next() % count];
        }
        if (variant == 'd')
            ring_step((int64_t)passed);
        double now = now_ns();
        uint64_t gap = (uint64_t)(now - before);
        longest = gap > longest ? gap : longest;
        steps[gap / 64 < 65535 ? gap / 64 : 65535]++;
        passed++;
        before = now;
    }
    snprintf(figure, sizeof figure, "W6%c", variant);
    snprintf(line, sizeof line, "%s max pause", figure);
    put(line, (double)longest / 1e6, "ms");
    snprintf(line, sizeof line, "%s p99.9 gap", figure);
    put(line, gap_of(steps, passed, 1000, longest) / 1e3, "us");
    snprintf(line, sizeof line, "%s p99.99 gap", figure);
    put(line, gap_of(steps, passed, 10000, longest) / 1e3, "us");
    snprintf(line, sizeof line, "%s ops", figure);
    put(line, (double)passed / seconds / 1e6, "Mop/s");
    put_peak(figure);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "", *first = argc > 2 ? argv[2] : "";
#ifdef BOEHM
    GC_INIT();
    if (!strcmp(word, "w3")) {
        double start = now_ns();
        for (long i = 0; i < 10000000; i++)
            pair_free(pair_new(i));
        put("W3 ns/cycle", (now_ns() - start) / 1e7, "ns");
        put_peak("W3");
        return 0;
    }
    if (!strcmp(word, "w4") && argc > 3) {
        live(atol(first), argv[3][0] == 'r', argc > 4);
        return 0;
    }
#endif
    if (!strcmp(word, "w1"))
        churn(argc > 2 ? atol(first) : 50000000);
    else if (!strcmp(word, "w2") && argc > 2)
        trees(atoi(first));
    else if (!strcmp(word, "w6") && argc > 2)
        pauses(first[0], argc > 3 ? atof(argv[3]) : 10);
    else
        return 77; /* it has no such workload */
    return 0;
}
