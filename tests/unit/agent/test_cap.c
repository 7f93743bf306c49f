/* The cap on what all feeds of a process may grow to, whatever a daemon asks for at once. */
#include "agent/agent.h"
#include "attached.h"

#define HEAPS 24u

static struct tally_heap *heaps[HEAPS];

static void heaps_attach(struct world *world)
{
    uint32_t numbers[HEAPS];
    for (unsigned i = 0; i < HEAPS; i++) {
        assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heaps[i]), 0);
        assert_int_equal(tally_attach(heaps[i]), 0);
        struct fake_heap shown = fake_heap_receive(world->connection);
        numbers[i] = shown.number;
        fake_heap_drop(&shown);
    }
    for (unsigned i = 0; i < HEAPS; i++)
        fake_command(world->connection, &(struct wire_command){.heap_number = numbers[i],
                                                               .kind = WIRE_COMMAND_GROW,
                                                               .deadline_ns = UINT64_MAX,
                                                               .ring_words = WIRE_RING_WORDS_MAX});
}

/* What the process holds mapped of feeds, as the system sees it. */
static uint64_t mapped_bytes(void)
{
    uint64_t bytes = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (strstr(line, "memfd:tally-") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            bytes += to - from;
    }
    fclose(maps);
    return bytes;
}

static void test_wishes_together_stay_below_the_cap(void **state)
{
    struct world *world = *state;
    uint64_t bytes = 0;
    heaps_attach(world);
    for (int tries = 0; tries < 200; tries++) { /* no owner comes by: all that is made waits */
        bytes = mapped_bytes();
        assert_true(bytes <= AGENT_FEED_BYTES);
        usleep(5000);
    }
    assert_true(bytes > AGENT_FEED_BYTES / 2);
    for (unsigned i = 0; i < HEAPS; i++)
        tally_heap_free(heaps[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wishes_together_stay_below_the_cap, setup, teardown),
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
