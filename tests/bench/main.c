/* tally-bench: see bench.h. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "heap/heap.h"
#include "wire/feed.h"

struct tally_heap *heap;
const struct tally_type *node_type, *acyclic_node_type, *array_type;
const char *bench_name;

static const char usage[] =
    "usage: tally-bench [OPTION]... WORKLOAD [ARGUMENT]...\n"
    "  w1 | w1a [PAIRS]     allocate and release, 1,024 live (a: of an acyclic type; default 50,000,000)\n"
    "  w2 | w2a DEPTH       binary trees, depth 4 to 24 (a: of an acyclic type)\n"
    "  w3                   10 million cycles of two, dropped\n"
    "  w4 M r|s [root]      full collection of M million live objects, 1 to 100, random or sequential edges\n"
    "  w5                   full collection of a million dead ones\n"
    "  w6 a|b|c|d [SECONDS] churn beside 5 million live objects (default 10)\n"
    "  w7                   incref and decref\n"
    "  graph FILE           the heap of a real program, .tgraph or .tgraph.zst\n"
    "  growth               how costs grow from 10^4 to 10^7 objects, as exponents\n"
    "  memory [MILLIONS]    random sizes, replaced that often (default 100)\n"
    "  header               bytes an object takes beside its payload\n"
    "  stream               what an event costs its writer, alone and with a reader\n"
    "  ingest               what tallyd makes of an event\n"
    "  attach [PROCESSES]   that attach at once to a tallyd of ours, and idle (default 1,000)\n"
    "  history [BUSY HOURS] 1,000 processes, BUSY of them busy (default 50), for HOURS (default 24) of a simulated day\n"
    "  daemon               what a tallyd of ours costs, and what its troubles cost a host\n"
    "  http                 a busy process's figures over 8 connections, beside a bare libmicrohttpd\n"
    "  fleet                the page of metrics and the list of 1,000 processes\n"
    "  sse                  64 streams, beside a plain loop that sends as much\n"
    "  snapshot [MB]        the pause of one beside fork(), and its slices, of a heap of MB (default 100)\n"
    "  analysis [OBJECTS]   of a snapshot, as tallyd does it, by passes (default 1,000,000)\n"
    "  collect              collections asked of a heap that allocates, is parked, or is told\n"
    "options:\n"
    "  --manager NAME       none, refcount, generational, cycle (the default) or full\n"
    "  --max-pause US       a pause budget in microseconds\n"
    "  --events off|all     write every allocation and death into a ring (default off)\n"
    "  --attach             with a running tallyd, which reads the ring\n";

static void refuse(const char *what)
{
    fprintf(stderr, "tally-bench: %s\n%s", what, usage);
    exit(2);
}

static double number(const char *word, double least, double most)
{
    char *end;
    double value = strtod(word, &end);
    if (end == word || *end || !(value >= least && value <= most))
        refuse("a number is missing or out of range");
    return value;
}

static enum tally_manager manager_of(const char *word)
{
    for (enum tally_manager manager = TALLY_MANAGER_NONE; manager <= TALLY_MANAGER_FULL; manager++)
        if (!strcmp(word, tally_manager_name(manager)))
            return manager;
    refuse("there is no such manager");
    return 0;
}

static void types_register(void)
{
    static const struct tally_ref refs[] = {{"a", offsetof(struct node, a)}, {"b", offsetof(struct node, b)}};
    struct tally_type_info info = {.name = "node", .size = sizeof(struct node), .refs = refs, .ref_count = 2};
    int error = tally_type_register(&info, &node_type);
    info.flags = TALLY_TYPE_ACYCLIC;
    info.name = "acyclic node";
    error = error ? error : tally_type_register(&info, &acyclic_node_type);
    info = (struct tally_type_info){
        .name = "array", .size = sizeof(struct array), .trailing = TALLY_TRAILING_SLOTS};
    if (error || tally_type_register(&info, &array_type))
        give_up("a type is refused");
}

/* A ring that nobody reads: it is overwritten. */
static void events_on(void)
{
    static _Alignas(4096) char counters[WIRE_COUNTERS_BYTES], ring[WIRE_RING_BYTES];
    struct feed_pen *feed = tally__heap_feed(heap);
    feed_counters_format(counters, FEED_SHAPE_START, tally__heap_number(heap), 1);
    feed_ring_format(ring, WIRE_RING_WORDS, tally__heap_number(heap), 1);
    if (tally__heap_feed_swap(heap, counters, ring))
        give_up("out of memory");
    feed_level_set(feed, WIRE_LEVEL_ALL);
}

static const char *name_of(const struct tally_heap_options *options, bool events, bool attach)
{
    static char name[128];
    int length = snprintf(name, sizeof name, "tally %s", tally_manager_name(tally_get_manager(heap)));
    if (options->max_pause_us)
        length += snprintf(name + length, sizeof name - (size_t)length, ", max pause %.6g ms",
                           (double)options->max_pause_us / 1000);
    snprintf(name + length, sizeof name - (size_t)length, "%s%s", events ? ", all events" : "",
             attach ? ", attached" : "");
    return name;
}

static void workload_run(int count, char **words)
{
    const char *word = words[0], *first = count > 1 ? words[1] : "";
    if ((!strcmp(word, "w1") || !strcmp(word, "w1a")) && count <= 2) {
        char name[160];
        long pairs = count == 2 ? (long)number(first, 1, 1e12) : 50000000;
        snprintf(name, sizeof name, "%s%s", bench_name, word[2] ? ", acyclic" : "");
        workload_churn(word[2] ? acyclic_node_type : node_type, name, pairs);
    } else if ((!strcmp(word, "w2") || !strcmp(word, "w2a")) && count == 2)
        workload_trees((int)number(first, 4, 24), word[2]);
    else if (!strcmp(word, "w3") && count == 1)
        workload_cycles();
    else if (!strcmp(word, "w4") && (count == 3 || (count == 4 && !strcmp(words[3], "root"))) &&
             (!strcmp(words[2], "r") || !strcmp(words[2], "s")))
        workload_live((long)number(first, 1, 100), words[2][0] == 'r', count == 4);
    else if (!strcmp(word, "w5") && count == 1)
        workload_dead();
    else if (!strcmp(word, "w6") && (count == 2 || count == 3) && strlen(first) == 1 && strchr("abcd", first[0]))
        workload_pauses(first[0], count == 3 ? number(words[2], 0.1, 3600) : 10);
    else if (!strcmp(word, "w7") && count == 1)
        workload_counts();
    else if (!strcmp(word, "graph") && count == 2)
        workload_graph(first);
    else if (!strcmp(word, "growth") && count == 1)
        workload_growth();
    else if (!strcmp(word, "memory") && count <= 2)
        workload_memory(count == 2 ? number(first, 0.001, 10000) : 100);
    else if (!strcmp(word, "header") && count == 1)
        workload_header();
    else if (!strcmp(word, "stream") && count == 1)
        workload_stream();
    else if (!strcmp(word, "ingest") && count == 1)
        workload_ingest();
    else if (!strcmp(word, "attach") && count <= 2)
        workload_attach(count == 2 ? (long)number(first, 1, 4000) : 1000);
    else if (!strcmp(word, "history") && (count == 1 || count == 3))
        workload_history(count == 3 ? (long)number(first, 0, 1000) : 50, count == 3 ? (long)number(words[2], 1, 1000) : 24);
    else if (!strcmp(word, "daemon") && count == 1)
        workload_daemon();
    else if (!strcmp(word, "http") && count == 1)
        workload_http();
    else if (!strcmp(word, "fleet") && count == 1)
        workload_fleet();
    else if (!strcmp(word, "sse") && count == 1)
        workload_sse();
    else if (!strcmp(word, "snapshot") && count <= 2)
        workload_snapshot(count == 2 ? number(first, 1, 100000) : 100);
    else if (!strcmp(word, "analysis") && count <= 2)
        workload_analysis(count == 2 ? number(first, 1, 1e9) : 1e6);
    else if (!strcmp(word, "collect") && count == 1)
        workload_collect();
    else
        refuse("there is no such workload, or its arguments are wrong");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"manager", required_argument, NULL, 'm'},
                                            {"max-pause", required_argument, NULL, 'p'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"attach", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct tally_heap_options made = {.manager = TALLY_MANAGER_CYCLE};
    bool events = false, attach = false;
    for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (option == 'm')
            made.manager = manager_of(optarg);
        else if (option == 'p')
            made.max_pause_us = (uint64_t)number(optarg, 0, 10000000);
        else if (option == 'e' && (!strcmp(optarg, "all") || !strcmp(optarg, "off")))
            events = *optarg == 'a';
        else if (option == 'a')
            attach = true;
        else if (option == 'h')
            return fputs(usage, stdout) < 0;
        else
            refuse("there is no such option, or its argument is wrong");
    }
    if (optind == argc)
        refuse("a workload is missing");
    types_register();
    if (tally_heap_new(TALLY_ABI, &made, &heap))
        give_up("no heap: out of memory");
    if (events)
        events_on();
    int error = attach ? tally_attach(heap) : 0;
    if (error)
        give_up("cannot attach: %s", tally_strerror(error));
    bench_name = name_of(&made, events, attach);
    workload_run(argc - optind, argv + optind);
    return 0;
}
