/* Where each field of the feed stands. Readers of other versions and languages go by these numbers: a change of
 * one is a change of WIRE_VERSION, and a new field takes the place of a reserved one, or comes behind the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wire/feed.h"

/* X(struct, field, offset, bytes), by offset */
#define FIELDS(X) \
    X(wire_counters, magic, 0, 8) X(wire_counters, version, 8, 4) X(wire_counters, header_bytes, 12, 4) \
    X(wire_counters, total_bytes, 16, 8) X(wire_counters, heap_number, 24, 4) \
    X(wire_counters, feed_generation, 28, 4) X(wire_counters, row_offset, 32, 4) \
    X(wire_counters, row_capacity, 36, 4) X(wire_counters, desc_offset, 40, 4) \
    X(wire_counters, desc_bytes, 44, 4) X(wire_counters, string_offset, 48, 4) \
    X(wire_counters, string_bytes, 52, 4) X(wire_counters, record_offset, 56, 4) \
    X(wire_counters, record_capacity, 60, 4) X(wire_counters, type_count, 64, 4) \
    X(wire_counters, string_used, 68, 4) X(wire_counters, types_without_row, 72, 4) \
    X(wire_counters, state, 76, 4) X(wire_counters, record_head, 80, 8) \
    X(wire_counters, safepoint_ns, 88, 8) X(wire_counters, mapped_bytes, 96, 8) \
    X(wire_counters, reserved, 104, 24) X(wire_counters, seq, 128, 8) X(wire_counters, enabled, 136, 4) \
    X(wire_counters, manager, 140, 4) X(wire_counters, debug, 144, 4) X(wire_counters, level, 148, 4) \
    X(wire_counters, thresholds, 152, 12) X(wire_counters, reserved32, 164, 4) \
    X(wire_counters, generations, 168, 72) X(wire_counters, counts, 240, 24) \
    X(wire_counters, garbage, 264, 8) X(wire_counters, frozen, 272, 8) \
    X(wire_counters, pause_ns, 280, 8) X(wire_counters, max_pause_ns, 288, 8) \
    X(wire_counters, last_pause_ns, 296, 8) X(wire_counters, max_pause_us, 304, 8) \
    X(wire_counters, memory_limit_bytes, 312, 8) X(wire_counters, extern_bytes, 320, 8) \
    X(wire_counters, candidates, 328, 8) X(wire_counters, pending_objects, 336, 8) \
    X(wire_counters, finalizers_pending, 344, 8) X(wire_counters, slices, 352, 8) \
    X(wire_counters, missed_slices, 360, 8) X(wire_counters, longest_slice_ns, 368, 8) \
    X(wire_counters, abandoned_runs, 376, 8) X(wire_counters, refused_runs, 384, 8) \
    X(wire_row, allocated, 0, 8) X(wire_row, freed_refcount, 8, 8) X(wire_row, freed_cycle, 16, 8) \
    X(wire_row, allocated_bytes, 24, 8) X(wire_row, freed_refcount_bytes, 32, 8) \
    X(wire_row, freed_cycle_bytes, 40, 8) X(wire_row, moved_in, 48, 8) X(wire_row, moved_out, 56, 8) \
    X(wire_desc, name_offset, 0, 4) X(wire_desc, name_bytes, 4, 4) X(wire_desc, flags, 8, 4) \
    X(wire_desc, ref_count, 12, 4) X(wire_desc, size_bytes, 16, 8) X(wire_desc, reserved, 24, 8) \
    X(wire_desc, base_allocated, 32, 8) X(wire_desc, base_freed_refcount, 40, 8) \
    X(wire_desc, base_freed_cycle, 48, 8) X(wire_desc, reserved2, 56, 8) \
    X(wire_record, sequence, 0, 8) X(wire_record, start_ns, 8, 8) X(wire_record, pause_ns, 16, 8) \
    X(wire_record, find_ns, 24, 8) X(wire_record, callback_ns, 32, 8) X(wire_record, free_ns, 40, 8) \
    X(wire_record, examined, 48, 8) X(wire_record, collected, 56, 8) X(wire_record, freed_bytes, 64, 8) \
    X(wire_record, uncollectable, 72, 8) X(wire_record, live_bytes_before, 80, 8) \
    X(wire_record, live_bytes_after, 88, 8) X(wire_record, safepoint_wait_ns, 96, 8) \
    X(wire_record, operation, 104, 8) X(wire_record, reason, 112, 4) X(wire_record, generation, 116, 4) \
    X(wire_record, manager, 120, 4) X(wire_record, scope_slices, 124, 4) \
    X(wire_ring, magic, 0, 8) X(wire_ring, version, 8, 4) X(wire_ring, header_bytes, 12, 4) \
    X(wire_ring, total_bytes, 16, 8) X(wire_ring, capacity_words, 24, 8) \
    X(wire_ring, block_words, 32, 4) X(wire_ring, heap_number, 36, 4) \
    X(wire_ring, feed_generation, 40, 4) X(wire_ring, reserved32, 44, 4) X(wire_ring, reserved, 48, 16) \
    X(wire_ring, reserve, 64, 8) X(wire_ring, head, 72, 8)

#define AT(structure, field, offset, size) \
    _Static_assert(offsetof(struct structure, field) == (offset), #structure "." #field " has moved"); \
    _Static_assert(sizeof(((struct structure *)0)->field) == (size), #structure "." #field " has another size");
FIELDS(AT)

/* Nothing stands between two fields, or behind the last one that is listed. */
static void test_the_list_leaves_nothing_out(void **state)
{
    static const struct { const char *structure; size_t offset, bytes; } fields[] = {
#define ROW(structure, field, offset, size) {#structure, offset, size},
        FIELDS(ROW)
    };
    static const struct { const char *structure; size_t bytes; } wholes[] = {
        {"wire_counters", sizeof(struct wire_counters)}, {"wire_row", sizeof(struct wire_row)},
        {"wire_desc", sizeof(struct wire_desc)}, {"wire_record", sizeof(struct wire_record)},
        {"wire_ring", offsetof(struct wire_ring, head) + 8},
    };
    size_t field = 0, count = sizeof fields / sizeof *fields;
    (void)state;
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        size_t end = 0;
        for (; field < count && !strcmp(fields[field].structure, wholes[i].structure); field++) {
            assert_int_equal(fields[field].offset, end);
            end += fields[field].bytes;
        }
        assert_int_equal(end, wholes[i].bytes);
    }
    assert_int_equal(field, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_leaves_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
