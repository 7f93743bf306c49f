/* Peers that mean harm, through the socket: every set of seals on every kind of file, memory whose bits flip
 * while it is read, and messages of wild lengths with many descriptors. tallyd goes on, grows by nothing, leaks
 * nothing, and an honest program beside them stays exact. TALLY_TEST_FLIPS asks for more flips. */
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "forged_host.h"

#define FLIPS 2000000u
#define FLIPS_A_TURN 250u /* then the flippers rest for a millisecond, unless more are asked for */
#define MESSAGES 1000u /* of each number of descriptors */
#define WARM_UP 400u
#define RSS_LIMIT ((size_t)1 << 20)
#define SEAL_SETS 32

static size_t resident_bytes(void)
{
    size_t size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
    fclose(file);
    return resident * 4096;
}

/* Not under sanitizers, whose own memory grows. */
static void assert_resident(size_t before)
{
#if defined(__SANITIZE_ADDRESS__) || defined(FEED_SEEN)
    (void)before;
#else
    assert_in_range(resident_bytes(), 0, before + RSS_LIMIT);
#endif
}

/* One process waits for its end by one pidfd, however often it came. */
static void assert_fds(unsigned before)
{
    for (unsigned i = 0; i < 100 && fds_open() > before; i++)
        usleep(10000);
    assert_in_range(fds_open(), 0, before);
}

/* As many as a model keeps of those that are gone: from then on it grows no more. */
static void many_came(struct world *world)
{
    for (unsigned i = 0; i < 300; i++)
        close(host_attach(world, (uint8_t)(i % 256)));
}

/* ---- every set of seals, on every kind of file */

static int seals_of(unsigned set)
{
    static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE};
    int sum = 0;
    for (unsigned i = 0; i < 5; i++)
        sum |= set >> i & 1 ? seals[i] : 0;
    return sum;
}

static bool seals_suffice(int seals)
{
    return (seals & ALL_SEALS) == ALL_SEALS;
}

/* A file of `bytes`, sparse or with its blocks, and sealed; no mapping is left, so that any seal can be set.
 * -1: there is no such file here. */
static int sealed_make(unsigned flags, uint64_t bytes, bool format, int seals)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)bytes)) {
        close(fd);
        return -1;
    }
    if (format) {
        assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(memory != MAP_FAILED);
        feed_counters_format(memory, FEED_SHAPE_START, 1, 1);
        munmap(memory, bytes);
    }
    if (seals)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void offer(struct world *world, int fd, uint64_t promised, const char *words)
{
    static uint8_t id;
    int host = host_attach(world, ++id);
    feed_send(host, WIRE_HEAP_COUNTERS, 1, promised, fd);
    if (words) {
        assert_dropped(world, host, words);
    } else { /* it is taken: the next message is answered by nobody, and the connection stands */
        struct pollfd poller = {.fd = host, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, 20), 0);
        close(host);
    }
    if (fd >= 0)
        close(fd);
}

static void test_each_set_of_seals_on_each_memfd(void **state)
{
    struct world *world = *state;
    const uint64_t tib = (uint64_t)1 << 40;
    bool huge = true;
    many_came(world);
    offer(world, sealed_make(0, WIRE_COUNTERS_BYTES, true, ALL_SEALS), WIRE_COUNTERS_BYTES, NULL);
    size_t resident = resident_bytes();
    unsigned fds = fds_open();
    for (unsigned set = 0; set < SEAL_SETS; set++) {
        int seals = seals_of(set), fd;
        const char *lacks = seals_suffice(seals) ? NULL : "lacks a seal";
        offer(world, sealed_make(0, WIRE_COUNTERS_BYTES, true, seals), WIRE_COUNTERS_BYTES, lacks);
        offer(world, sealed_make(0, tib, false, seals), WIRE_COUNTERS_BYTES, lacks ? lacks : "promised size");
        offer(world, sealed_make(0, tib, false, seals), tib, "larger than 1 GiB");
        offer(world, sealed_make(0, WIRE_COUNTERS_BYTES, false, seals), WIRE_COUNTERS_BYTES,
              lacks ? lacks : "has holes");
        fd = sealed_make(MFD_HUGETLB, (uint64_t)1 << 21, false, seals);
        huge &= fd >= 0;
        if (fd >= 0)
            offer(world, fd, (uint64_t)1 << 21, lacks ? lacks : "not on tmpfs");
    }
    if (!huge)
        print_message("without hugetlb, which is not here\n");
    assert_fds(fds);
    assert_resident(resident);
    close(host_attach(world, 250));
}

/* What cannot be sealed, though some of it answers when asked for its seals. */
static void test_what_cannot_be_sealed_is_refused(void **state)
{
    struct world *world = *state;
    int pipes[2], ends[2];
    char path[] = "/dev/shm/tally-hostile-XXXXXX";
    close(host_attach(world, 250));
    size_t resident = resident_bytes();
    unsigned fds = fds_open();
    int file = mkstemp(path);
    if (file < 0) {
        print_message("without /dev/shm, which is not here\n");
    } else {
        unlink(path);
        assert_int_equal(ftruncate(file, WIRE_COUNTERS_BYTES), 0);
        offer(world, file, WIRE_COUNTERS_BYTES, "lacks a seal");
    }
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    offer(world, pipes[0], WIRE_COUNTERS_BYTES, "not a memfd");
    offer(world, pipes[1], WIRE_COUNTERS_BYTES, "not a memfd");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    offer(world, ends[0], WIRE_COUNTERS_BYTES, "not a memfd");
    close(ends[1]);
    offer(world, open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY), WIRE_COUNTERS_BYTES, "not a memfd");
    offer(world, open("/dev/shm", O_RDONLY | O_CLOEXEC | O_DIRECTORY), WIRE_COUNTERS_BYTES, "feed");
    offer(world, open("/dev/null", O_RDWR | O_CLOEXEC), WIRE_COUNTERS_BYTES, "not a memfd");
    offer(world, open("/", O_PATH | O_CLOEXEC), WIRE_COUNTERS_BYTES, "not a memfd");
    offer(world, (int)syscall(SYS_pidfd_open, getpid(), 0), WIRE_COUNTERS_BYTES, "not a memfd");
    assert_fds(fds);
    assert_resident(resident);
}

/* ---- memory that flips while it is read */

struct flipping { /* shared between the processes */
    _Atomic uint64_t flips, wanted, lives;
    atomic_uint ready; /* flippers that have nothing of the intake's any more */
    atomic_bool begin;
};

struct flipper {
    struct world *world;
    struct flipping *shared;
    struct forged_heap *heaps; /* one of each flipper, all of them open to both */
    char *counters, *ring;     /* as they were */
    unsigned number;
    uint64_t random;
};

static uint64_t random_next(uint64_t *random)
{
    uint64_t x = *random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *random = x;
}

/* Where in the two memories a life's flips go; bit by bit, so that some lives last. */
static void flip(struct flipper *flipper, uint64_t places)
{
    uint64_t r = random_next(&flipper->random);
    struct forged_heap *heap = &flipper->heaps[r & 1];
    char *counters = heap->counters, *ring = heap->ring;
    uint64_t at = r >> 16;
    char *word;
    switch (places >> (r >> 8 & 3) & 1 ? r >> 8 & 3 : 4) {
    case 0:
        word = counters + at % (WIRE_HEADER_BYTES / 8) * 8;
        break;
    case 1:
        word = counters + at % (WIRE_COUNTERS_BYTES / 8) * 8;
        break;
    case 2:
        word = ring + at % 10 * 8;
        break;
    case 3:
        word = ring + WIRE_RING_HEADER_BYTES + at % (WIRE_BLOCK_SIZE) * 8;
        break;
    default:
        word = ring + WIRE_RING_HEADER_BYTES + at % ((WIRE_RING_BYTES - WIRE_RING_HEADER_BYTES) / 8) * 8;
    }
    atomic_fetch_xor_explicit((_Atomic uint64_t *)(void *)word, (uint64_t)1 << (r >> 58), memory_order_relaxed);
}

static bool feed_sent(int fd, enum wire_kind kind, uint64_t bytes, int memfd)
{
    struct wire_heap message = {.head = wire_head_make(kind, sizeof message), .heap_number = 1,
                                .feed_generation = 1, .bytes = bytes};
    return host_sent(fd, &message, sizeof message, &memfd, 1);
}

/* Connects and hands over its memory, as it was at first or (places & 16) as it has become. */
static int life_begin(struct flipper *flipper, uint64_t life, uint64_t places)
{
    static _Alignas(8) char out[WIRE_MESSAGE_MAX];
    static struct wire_hello_view view;
    struct forged_heap *heap = &flipper->heaps[flipper->number];
    int fd = host_connect(flipper->world);
    view = (struct wire_hello_view){.clock_ns = clock_mono_ns(), .name = "flipper", .library = "0"};
    memcpy(view.id, &life, sizeof life);
    view.id[15] = (uint8_t)(200 + flipper->number);
    size_t bytes = wire_hello_encode(&view, out, sizeof out);
    if (!(places & 16)) {
        memcpy(heap->counters, flipper->counters, WIRE_COUNTERS_BYTES);
        memcpy(heap->ring, flipper->ring, WIRE_RING_BYTES);
    }
    bool all = host_sent(fd, out, bytes, NULL, 0) &&
               feed_sent(fd, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, heap->counters_fd) &&
               feed_sent(fd, WIRE_HEAP_RING, WIRE_RING_BYTES, heap->ring_fd);
    (void)all; /* the rest of this life shows */
    return fd;
}

static bool hung_up(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLRDHUP};
    return poll(&poller, 1, 0) == 1;
}

static void flipper_run(struct flipper *flipper)
{
    uint64_t wanted = atomic_load(&flipper->shared->wanted);
    for (uint64_t life = 1; atomic_load(&flipper->shared->flips) < wanted; life++) {
        uint64_t places = random_next(&flipper->random) >> 8;
        int fd = life_begin(flipper, life, places);
        for (unsigned turn = 0; turn < 200 && !hung_up(fd); turn++) {
            for (unsigned i = 0; i < FLIPS_A_TURN; i++)
                flip(flipper, places);
            atomic_fetch_add(&flipper->shared->flips, FLIPS_A_TURN);
            if (wanted <= FLIPS)
                usleep(1000);
        }
        close(fd);
        atomic_fetch_add(&flipper->shared->lives, 1);
    }
}

/* A forked process would keep the intake's connections open, and those would stay in its epoll. */
static void fds_close_but(const struct forged_heap *heaps)
{
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++) {
        bool ours = false;
        for (unsigned i = 0; i < 2; i++)
            ours |= fd == heaps[i].counters_fd || fd == heaps[i].ring_fd;
        if (!ours)
            close(fd);
    }
}

static pid_t flipper_start(struct flipper *flipper, unsigned number)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fds_close_but(flipper->heaps);
    flipper->number = number;
    flipper->random = 88172645463325252u + number;
    atomic_fetch_add(&flipper->shared->ready, 1);
    while (!atomic_load(&flipper->shared->begin))
        usleep(1000);
    flipper_run(flipper);
    _exit(0);
}

static void flippers_start(struct flipper *flipper, pid_t *children)
{
    for (unsigned i = 0; i < 2; i++)
        children[i] = flipper_start(flipper, i);
    while (atomic_load(&flipper->shared->ready) < 2)
        usleep(1000);
    atomic_store(&flipper->shared->begin, true);
}

static bool running(const pid_t *children)
{
    bool any = false;
    for (unsigned i = 0; i < 2; i++)
        any |= waitpid(children[i], NULL, WNOHANG) == 0;
    return any;
}

/* The honest one writes, and sees in a view all that it wrote, as long as the flipping lasts. */
static unsigned honest_go_on(struct world *world, struct forged_heap *heap, const pid_t *children)
{
    const struct stats_process_view *process = NULL;
    unsigned rounds = 0;
    while (running(children) || !rounds) {
        heap_write(heap, WIRE_EVENT_ALLOC, 90);
        heap_write(heap, WIRE_EVENT_FREE_REFCOUNT, 30);
        rounds++;
        const struct stats_view *view = process_wait(world, 1, has_allocations, 90 * rounds, &process);
        assert_true(process->complete && !process->heaps[0].inconsistent && !process->gone);
        assert_int_equal(process->figures.frees_refcount, 30 * rounds);
        assert_int_equal(process->figures.live_bytes, 60 * 16 * rounds);
        assert_int_equal(process->figures.events_seen, 120 * rounds);
        stats_view_unref(view);
    }
    return rounds;
}

static void test_memory_that_flips_costs_its_own_process(void **state)
{
    struct world *world = *state;
    struct forged_heap honest, heaps[2];
    pid_t children[2];
    const char *more = getenv("TALLY_TEST_FLIPS");
    struct flipper flipper = {.world = world, .heaps = heaps};
    flipper.shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(flipper.shared != MAP_FAILED);
    atomic_store(&flipper.shared->wanted, more ? strtoull(more, NULL, 10) : FLIPS);
    heap_make(&honest, 1, ALL_SEALS);
    for (unsigned i = 0; i < 2; i++) {
        heap_make(&heaps[i], 1, ALL_SEALS);
        heap_write(&heaps[i], WIRE_EVENT_ALLOC, 700);
        feed_collection_stop(&heaps[i].pen, &(struct feed_record){.collected = 3}, 5);
    }
    flipper.counters = copy_of(heaps[0].counters, WIRE_COUNTERS_BYTES);
    flipper.ring = copy_of(heaps[0].ring, WIRE_RING_BYTES);
    flippers_start(&flipper, children);
    int host = host_attach(world, 1);
    heap_send(host, &honest);
    unsigned rounds = honest_go_on(world, &honest, children);
    print_message("%llu flips in %llu lives, %u honest samples\n",
                  (unsigned long long)atomic_load(&flipper.shared->flips),
                  (unsigned long long)atomic_load(&flipper.shared->lives), rounds);
    assert_true(atomic_load(&flipper.shared->lives) > 2);
    close(host);
    heap_free(&honest);
    heap_free(&heaps[0]);
    heap_free(&heaps[1]);
    free(flipper.counters);
    free(flipper.ring);
    munmap(flipper.shared, 4096);
}

/* ---- messages of wild lengths, with many descriptors */

static size_t message_make(uint64_t *random, char *out)
{
    static struct wire_hello_view view;
    static const size_t sizes[] = {0, sizeof(struct wire_heap), sizeof(struct wire_ack),
                                   sizeof(struct wire_head), sizeof(struct wire_command)};
    static const enum wire_kind kinds[] = {WIRE_HELLO, WIRE_HEAP_COUNTERS, WIRE_HEAP_RING, WIRE_HEAP_GONE,
                                           WIRE_ACK, WIRE_BYE, WIRE_COMMAND, WIRE_WELCOME, (enum wire_kind)99};
    uint64_t r = random_next(random);
    enum wire_kind kind = kinds[r % 9];
    size_t bytes = kind == WIRE_HEAP_COUNTERS || kind == WIRE_HEAP_RING ? sizes[1] : sizes[1 + (r >> 8) % 4];
    memset(out, 0, WIRE_MESSAGE_MAX + 512);
    if (kind == WIRE_HELLO) {
        view = (struct wire_hello_view){.clock_ns = 1, .name = "wild", .library = "0"};
        bytes = wire_hello_encode(&view, out, WIRE_MESSAGE_MAX);
    } else {
        struct wire_heap heap = {.head = wire_head_make(kind, bytes), .heap_number = 1, .feed_generation = 1,
                                 .bytes = WIRE_COUNTERS_BYTES};
        memcpy(out, &heap, sizeof heap);
    }
    for (uint64_t i = 0; i < (r >> 16) % 9; i++) {
        uint64_t at = random_next(random);
        out[at % bytes] = (char)(out[at % bytes] ^ 1 << (at >> 32 & 7));
    }
    if ((r >> 24) % 4 == 0)
        bytes = (r >> 32) % (WIRE_MESSAGE_MAX + 512);
    return bytes;
}

static void wild_round(struct world *world, unsigned round, uint64_t *random, const int *fds)
{
    static const unsigned counts[] = {0, 1, 2, 253};
    static _Alignas(8) char data[WIRE_MESSAGE_MAX + 512];
    int host = host_connect(world);
    if (round % 8)
        host_hello_send(host, (uint8_t)(round % 200));
    for (unsigned i = 0; i < 4; i++) {
        size_t bytes = message_make(random, data);
        assert_true(host_sent(host, data, bytes, fds, counts[(i + round) % 4]) || errno == EPIPE ||
                    errno == ECONNRESET);
    }
    close(host);
}

static void test_wild_messages_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    uint64_t random = 88172645463325252u;
    struct forged_heap heap;
    int fds[253];
    heap_make(&heap, 1, ALL_SEALS);
    for (unsigned i = 0; i < 253; i++)
        fds[i] = i % 2 ? heap.counters_fd : heap.ring_fd;
    close(host_attach(world, 250));
    unsigned before = fds_open();
    many_came(world);
    for (unsigned i = 0; i < WARM_UP; i++)
        wild_round(world, i, &random, fds);
    assert_fds(before);
    size_t resident = resident_bytes();
    for (unsigned i = 0; i < MESSAGES; i++)
        wild_round(world, i, &random, fds);
    assert_fds(before);
    assert_resident(resident);
    close(host_attach(world, 250));
    heap_free(&heap);
}

/* ---- names that are no text */

static void test_type_names_that_are_no_text_are_refused(void **state)
{
    static const struct { const char *name; uint32_t bytes; } rows[] = {
        {"\xff\xfe", 2}, {"\xc0\xaf", 2},     {"\xed\xa0\x80", 3}, {"\xf4\x90\x80\x80", 4}, {"ab\xe2\x82", 4},
        {"\x80", 1},     {"a\0b", 3},         {"\x1b]0;x\a", 6},   {"a\nb", 3},             {"\x7f", 1},
        {"\xc2\x9b", 2}, {"pair", 0},         {"pair", 256},       {"pair", UINT32_MAX},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct forged_heap heap;
        heap_make(&heap, 1, ALL_SEALS);
        struct wire_counters *counters = heap.counters;
        struct wire_desc *desc = (void *)((char *)heap.counters + counters->desc_offset);
        char *name = (char *)heap.counters + counters->string_offset + desc[1].name_offset;
        memcpy(name, rows[i].name, rows[i].bytes < 8 ? rows[i].bytes : 4);
        desc[1].name_bytes = rows[i].bytes;
        int host = host_attach(world, (uint8_t)(i + 1));
        feed_send(host, WIRE_HEAP_COUNTERS, 1, WIRE_COUNTERS_BYTES, heap.counters_fd);
        assert_dropped(world, host, rows[i].bytes && rows[i].bytes < 8 ? "not clean UTF-8" : "leads out of it");
        heap_free(&heap);
    }
}

/* A hello whose text was encoded well, and then changed. */
static void test_labels_that_are_no_text_are_refused(void **state)
{
    static const struct { const char *from, *to, *words; } rows[] = {
        {"forged", "for\377ed", "not UTF-8"}, {"forged", "for\nd!", "control characters"},
        {"value", "v\xe2\x82ue", "not UTF-8"}, {"value", "val\x1b]", "control characters"},
        {"key", "KEY", "bad key"},             {"key", "k y", "bad key"},
    };
    static _Alignas(8) char out[WIRE_MESSAGE_MAX];
    static struct wire_hello_view view;
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        view = (struct wire_hello_view){.clock_ns = 1, .name = "forged", .library = "0", .label_count = 1,
                                        .labels = {{.key = "key", .value = "value"}}};
        size_t bytes = wire_hello_encode(&view, out, sizeof out), length = strlen(rows[i].from);
        char *at = memmem(out, bytes, rows[i].from, length);
        assert_non_null(at);
        memcpy(at, rows[i].to, length);
        int host = host_connect(world);
        host_send(host, out, bytes, NULL, 0);
        assert_dropped(world, host, rows[i].words);
    }
}

/* ---- numbers at the end of their range */

/* The newest collection's number is the largest there is, and every slot bears the number that comes after it in a
 * counter that begins anew; there are far more of them than are told in one turn. */
static void test_the_largest_number_of_a_collection_costs_nothing(void **state)
{
    struct world *world = *state;
    struct forged_heap honest;
    const struct stats_process_view *process = NULL;
    int hosts[2] = {host_attach(world, 1), host_attach(world, 2)};
    const uint64_t bytes = (uint64_t)1 << 20;
    void *memory;
    int liar = memfd_make(bytes, true, &memory);
    feed_counters_format(memory, FEED_SHAPE_START, 1, 1);
    struct wire_counters *counters = memory;
    counters->total_bytes = bytes;
    struct wire_record *slots = (void *)((char *)memory + counters->record_offset);
    counters->record_capacity = (uint32_t)((bytes - counters->record_offset) / sizeof *slots);
    for (uint64_t i = 0; i < counters->record_capacity; i++)
        atomic_store(&slots[i].sequence, i + 1);
    atomic_store(&counters->record_head, UINT64_MAX);
    assert_int_equal(fcntl(liar, F_ADD_SEALS, ALL_SEALS), 0);
    feed_send(hosts[1], WIRE_HEAP_COUNTERS, 1, bytes, liar);
    heap_make(&honest, 1, ALL_SEALS);
    heap_send(hosts[0], &honest);
    for (unsigned round = 1; round <= 5; round++) {
        heap_write(&honest, WIRE_EVENT_ALLOC, 10);
        stats_view_unref(process_wait(world, 1, has_allocations, 10 * round, &process));
    }
    heap_free(&honest);
    munmap(memory, bytes);
    close(liar);
    close(hosts[0]);
    close(hosts[1]);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_each_set_of_seals_on_each_memfd),
        WORLD_TEST(test_what_cannot_be_sealed_is_refused),
        WORLD_TEST(test_memory_that_flips_costs_its_own_process),
        WORLD_TEST(test_wild_messages_leave_nothing_behind),
        WORLD_TEST(test_type_names_that_are_no_text_are_refused),
        WORLD_TEST(test_labels_that_are_no_text_are_refused),
        WORLD_TEST(test_the_largest_number_of_a_collection_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
