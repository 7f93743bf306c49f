/* See births.h. Stamps are compared modulo 2^32, and so none may get older than half of that: the table is freed of
 * what is, now and then. */
#include "stats/births.h"

#include <string.h>
#include <sys/mman.h>

#define STEP_BYTES ((uint64_t)64 << 10) /* of growth, at least */
#define HUGE_FROM  ((uint64_t)16 << 20)
#define HUGE_PAGE  ((uint64_t)2 << 20)
#define OLD_FROM   ((uint32_t)1 << 30)
#define OLDEST     ((uint32_t)1 << 31) /* that a stamp gets before it is swept */
#define SHIFT_MAX  27u
#define MARK_EVERY 2048u /* stamps */

static uint64_t budget_left(const struct events_budget *budget)
{
    uint64_t left = UINT64_MAX;
    for (; budget; budget = budget->whole)
        if (budget->limit - budget->used < left)
            left = budget->limit - budget->used;
    return left;
}

/* Gives back where it is negative. */
static void budget_take(struct events_budget *budget, uint64_t bytes)
{
    for (; budget; budget = budget->whole)
        budget->used += bytes;
}

void births_init(struct births *births, struct events_budget *budget)
{
    *births = (struct births){.budget = budget, .stamp = 1, .floor = 1, .swept = 1, .bound = BIRTHS_BOUND};
}

void births_fini(struct births *births)
{
    if (births->table)
        munmap(births->table, births->reserved);
    budget_take(births->budget, 0 - births->reserved);
    births->table = NULL;
    births->granules = births->reserved = 0;
}

void births_forget(struct births *births)
{
    births->floor = births->stamp;
}

/* What is older than OLD_FROM is taken for so old; what is not known, for nothing. */
static void too_old(struct births *births)
{
    uint32_t oldest = births->stamp - OLD_FROM, since = births->stamp - births->floor;
    for (uint64_t i = 0; i < births->granules; i++) {
        uint32_t age = births->stamp - births->table[i];
        if (births->table[i] && age > since)
            births->table[i] = 0;
        else if (births->table[i] && age > OLD_FROM)
            births->table[i] = oldest ? oldest : 1;
    }
    if (since > OLD_FROM)
        births->floor = oldest;
    births->swept = births->stamp;
}

/* Drops a mark where what it leaves between its neighbours is still less than a sixth of their age; to keep each that
 * is a sixth older than the last would drop every mark when it comes to the age where the steps are that of thinning,
 * and none would get older. Two kept steps make a sixth, so half of the room is enough up to OLDEST. */
static void marks_thin(struct births *births)
{
    struct mark kept[BIRTHS_MARKS];
    size_t count = 0, from = BIRTHS_MARKS;
    uint64_t last = 0;
    for (size_t i = births->mark_count; i-- > 0;) {
        uint64_t age = births->stamp - births->marks[i].stamp;
        uint64_t older = i ? births->stamp - births->marks[i - 1].stamp : UINT64_MAX;
        if (age > OLDEST)
            break;
        if (older <= last + last / 6 + 1)
            continue;
        kept[--from] = births->marks[i];
        last = age;
        if (++count == BIRTHS_MARKS / 2)
            break;
    }
    memcpy(births->marks, &kept[from], count * sizeof *kept);
    births->mark_count = count;
}

static uint8_t bucket_of(double value)
{
    if (!(value >= 2))
        return 0;
    uint64_t whole = value < 0x1p62 ? (uint64_t)value : (uint64_t)1 << 62;
    unsigned bucket = 63 - (unsigned)__builtin_clzll(whole);
    return (uint8_t)(bucket < STATS_LIFETIMES ? bucket : STATS_LIFETIMES - 1);
}

/* The middle of an age's step; steps 4 to 7 are nobody's. */
static double age_middle(unsigned at)
{
    if (at < 8)
        return at ? at < 4 ? at : 4 : 0.5;
    uint64_t width = (uint64_t)1 << (at / 4 - 2);
    return (double)((4 + at % 4) * width) + (double)(width - 1) / 2;
}

static double between(double from, double to, double part)
{
    return from > to ? 0 : from + (to - from) * part;
}

/* Walks back over the marks, and goes on beyond the oldest at its pace. */
static void ages_reckon(struct births *births)
{
    struct mark newer = {births->stamp, births->ns, births->bytes};
    size_t left = births->mark_count;
    double newer_age = 0, older_age = 0;
    struct mark older = newer;
    for (unsigned at = 0; at < BIRTHS_AGES; at++) {
        double age = age_middle(at);
        while (left && (older_age < age || older_age <= newer_age)) {
            if (older_age > newer_age) {
                newer = older;
                newer_age = older_age;
            }
            older = births->marks[--left];
            older_age = (double)(births->stamp - older.stamp);
        }
        double part = older_age > newer_age ? (age - newer_age) / (older_age - newer_age) : 0;
        double ns = between((double)(births->ns - newer.ns), (double)(births->ns - older.ns), part);
        double bytes = between((double)(births->bytes - newer.bytes), (double)(births->bytes - older.bytes), part);
        births->in_ns[at] = bucket_of(ns);
        births->in_bytes[at] = bucket_of(bytes);
    }
}

void births_turn(struct births *births, uint64_t sequence, uint64_t ns, uint64_t bytes)
{
    births->stamp = births_stamp(sequence);
    births->ns = ns > births->ns ? ns : births->ns;
    births->bytes = bytes;
    if (!births->mark_count || births->stamp - births->marks[births->mark_count - 1].stamp >= MARK_EVERY ||
        births->ns > births->marks[births->mark_count - 1].ns) {
        if (births->mark_count == BIRTHS_MARKS)
            marks_thin(births);
        births->marks[births->mark_count++] = (struct mark){births->stamp, births->ns, births->bytes};
    }
    ages_reckon(births);
    if (births->stamp - births->swept > OLD_FROM)
        too_old(births);
}

/* Half as many pages are followed, and what was known is forgotten: the table's places mean others now. */
static void thin_out(struct births *births)
{
    births->shift++;
    if (births->table)
        madvise(births->table, births->reserved, MADV_DONTNEED);
}

static void *map(uint64_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* A large table lies in huge pages from its beginning, so that an event costs one miss, and not two: the old one is
 * copied, since pages that are small stay so. */
static void *map_huge(const struct births *births, uint64_t bytes)
{
    char *memory = map(bytes + HUGE_PAGE);
    if (memory == MAP_FAILED)
        return memory;
    uint64_t before = (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    if (before)
        munmap(memory, before);
    if (before < HUGE_PAGE)
        munmap(memory + before + bytes, HUGE_PAGE - before);
    memory += before;
    madvise(memory, bytes, MADV_HUGEPAGE);
    if (births->table) {
        memcpy(memory, births->table, births->reserved);
        munmap(births->table, births->reserved);
    }
    return memory;
}

/* Address space, which costs what is touched of it. */
static bool table_grow(struct births *births, uint64_t bytes)
{
    void *grown = bytes >= HUGE_FROM ? map_huge(births, bytes)
                  : births->table    ? mremap(births->table, births->reserved, bytes, MREMAP_MAYMOVE)
                                     : map(bytes);
    if (grown == MAP_FAILED)
        return false;
    budget_take(births->budget, bytes - births->reserved);
    births->table = grown;
    births->reserved = bytes;
    births->granules = bytes / sizeof *births->table;
    return true;
}

bool births_reach(struct births *births, uint64_t granule)
{
    while (granule < births->bound) {
        uint64_t index = births_index(births, granule);
        if (index == BIRTHS_NONE || index < births->granules)
            return index != BIRTHS_NONE;
        uint64_t need = (index + 1) * sizeof *births->table, bytes = births->reserved + births->reserved / 2;
        uint64_t allowed = budget_left(births->budget) + births->reserved;
        bytes = (bytes > need ? bytes : need) + STEP_BYTES - 1;
        bytes -= bytes % STEP_BYTES;
        if (bytes > allowed && need + STEP_BYTES <= allowed)
            bytes = allowed - allowed % STEP_BYTES;
        if (bytes <= allowed && table_grow(births, bytes))
            return true;
        if (births->shift == SHIFT_MAX)
            return false;
        thin_out(births);
    }
    return false;
}
