#include "stats/growth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "stats/stats.h"

typedef float parts[GROWTH_PARTS];

struct level {
    uint64_t ended; /* parts, ever: the next one goes to ended % GROWTH_PARTS */
    uint64_t start_ns[GROWTH_PARTS], end_ns[GROWTH_PARTS], collections[GROWTH_PARTS];
    parts *low, *high; /* by row; high: not of level 0, where it would be the same */
};

struct stats_growth {
    _Atomic unsigned references;
    uint64_t start_ns; /* of the part that goes on: this, and what follows, the intake's alone */
    uint32_t room, seen; /* types that there is room for, and that it has in `least` */
    float *least;      /* in it */
    pthread_mutex_t lock; /* what is copied; written by the intake alone, which reads it without */
    uint32_t rows, left_out;
    struct level levels[GROWTH_LEVELS];
};

struct stats_growth *stats_growth_new(uint64_t now_ns)
{
    struct stats_growth *growth = calloc(1, sizeof *growth);
    if (!growth)
        return NULL;
    atomic_init(&growth->references, 1);
    growth->start_ns = now_ns;
    pthread_mutex_init(&growth->lock, NULL);
    return growth;
}

struct stats_growth *stats_growth_ref(struct stats_growth *growth)
{
    if (growth)
        atomic_fetch_add(&growth->references, 1);
    return growth;
}

void stats_growth_unref(struct stats_growth *growth)
{
    if (!growth || atomic_fetch_sub(&growth->references, 1) > 1)
        return;
    for (unsigned i = 0; i < GROWTH_LEVELS; i++) {
        free(growth->levels[i].low);
        free(growth->levels[i].high);
    }
    free(growth->least);
    pthread_mutex_destroy(&growth->lock);
    free(growth);
}

/* ---- taking */

static float units(const struct stats_type_view *type)
{
    return type->live_bytes ? (float)(type->live_bytes / GROWTH_UNIT) : (float)type->live_objects;
}

/* Types that are new had none before. Post-condition: rows of what is kept are `count`, or as before. */
static bool rows_more(parts **of, uint32_t rows, uint32_t room)
{
    parts *larger = realloc(*of, room * sizeof *larger);
    if (!larger)
        return false;
    memset(larger + rows, 0, (room - rows) * sizeof *larger);
    *of = larger;
    return true;
}

static bool levels_reserve(struct stats_growth *growth, uint32_t room)
{
    bool done = true;
    for (unsigned i = 0; i < GROWTH_LEVELS && done; i++) {
        struct level *level = &growth->levels[i];
        done = (!level->low || rows_more(&level->low, growth->rows, room)) &&
               (!level->high || rows_more(&level->high, growth->rows, room));
    }
    return done;
}

static bool reserve(struct stats_growth *growth, uint32_t count)
{
    if (count <= growth->room)
        return true;
    uint32_t room = growth->room ? 2 * count : count;
    room = room < GROWTH_TYPES ? room : GROWTH_TYPES;
    float *least = realloc(growth->least, room * sizeof *least);
    if (!least)
        return false;
    growth->least = least;
    pthread_mutex_lock(&growth->lock);
    bool done = levels_reserve(growth, room);
    pthread_mutex_unlock(&growth->lock);
    if (done)
        growth->room = room;
    return done;
}

/* ---- parts that end */

static bool level_open(struct level *level, uint32_t room, bool high)
{
    if (!level->low)
        level->low = calloc(room, sizeof *level->low);
    if (high && !level->high)
        level->high = calloc(room, sizeof *level->high);
    return level->low && (!high || level->high);
}

static void part_stamp(struct level *level, uint64_t start_ns, uint64_t end_ns, uint64_t collections)
{
    unsigned at = (unsigned)(level->ended % GROWTH_PARTS);
    level->start_ns[at] = start_ns;
    level->end_ns[at] = end_ns;
    level->collections[at] = collections;
    level->ended++;
}

/* The last GROWTH_STEP parts of a level become one of the next. */
static void part_lift(struct stats_growth *growth, unsigned from)
{
    struct level *below = &growth->levels[from], *level = &growth->levels[from + 1];
    unsigned last = (unsigned)((below->ended - 1) % GROWTH_PARTS), first = last + 1 - GROWTH_STEP;
    unsigned at = (unsigned)(level->ended % GROWTH_PARTS);
    if (!level_open(level, growth->room, true))
        return;
    for (uint32_t row = 0; row < growth->rows; row++) {
        const float *low = below->low[row], *high = below->high ? below->high[row] : low;
        float least = low[first], most = high[first];
        for (unsigned i = first + 1; i <= last; i++) {
            least = low[i] < least ? low[i] : least;
            most = high[i] > most ? high[i] : most;
        }
        level->low[row][at] = least;
        level->high[row][at] = most;
    }
    part_stamp(level, below->start_ns[first], below->end_ns[last], below->collections[last]);
}
_Static_assert(GROWTH_PARTS % GROWTH_STEP == 0, "parts that are lifted lie side by side");

static void part_end(struct stats_growth *growth, uint32_t left_out, uint64_t collections, uint64_t now_ns)
{
    struct level *level = &growth->levels[0];
    pthread_mutex_lock(&growth->lock);
    if (level_open(level, growth->room, false)) {
        unsigned at = (unsigned)(level->ended % GROWTH_PARTS);
        growth->rows = growth->seen;
        growth->left_out = left_out;
        for (uint32_t row = 0; row < growth->rows; row++)
            level->low[row][at] = growth->least[row];
        part_stamp(level, growth->start_ns, now_ns, collections);
        for (unsigned i = 0; i + 1 < GROWTH_LEVELS && growth->levels[i].ended % GROWTH_STEP == 0; i++)
            part_lift(growth, i);
    }
    pthread_mutex_unlock(&growth->lock);
}

void stats_growth_take(struct stats_growth *growth, const struct stats_type_view *types, uint32_t count,
                       uint64_t collections, uint64_t now_ns)
{
    uint32_t followed = count < GROWTH_TYPES ? count : GROWTH_TYPES;
    if (!reserve(growth, followed))
        return;
    bool first = !growth->seen;
    for (; growth->seen < followed; growth->seen++) /* else it was not there when the part began */
        growth->least[growth->seen] = first ? units(&types[growth->seen]) : 0;
    for (uint32_t row = 0; row < followed; row++) {
        float now = units(&types[row]);
        growth->least[row] = now < growth->least[row] ? now : growth->least[row];
    }
    if (now_ns - growth->start_ns < GROWTH_PART_NS)
        return;
    part_end(growth, count - followed, collections, now_ns);
    for (uint32_t row = 0; row < followed; row++)
        growth->least[row] = units(&types[row]);
    growth->start_ns = now_ns;
}

/* ---- copying */

static void level_copy(struct stats_growth_level *to, const struct level *from, uint32_t rows, parts *room)
{
    unsigned count = from->ended < GROWTH_PARTS ? (unsigned)from->ended : GROWTH_PARTS;
    unsigned first = (unsigned)((from->ended - count) % GROWTH_PARTS);
    parts *low = room, *high = from->high ? room + rows : room;
    *to = (struct stats_growth_level){.count = count, .start_ns = from->start_ns[first], .low = (const parts *)low,
                                      .high = (const parts *)high};
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (first + i) % GROWTH_PARTS;
        to->end_ns[i] = from->end_ns[at];
        to->collections[i] = from->collections[at];
        for (uint32_t row = 0; row < rows; row++) {
            low[row][i] = from->low[row][at];
            if (from->high)
                high[row][i] = from->high[row][at];
        }
    }
}

struct stats_growth_copy *stats_growth_copy_new(struct stats_growth *growth)
{
    unsigned count = 0;
    if (!growth)
        return NULL;
    pthread_mutex_lock(&growth->lock);
    while (count < GROWTH_LEVELS && growth->levels[count].ended)
        count++;
    struct stats_growth_copy *copy =
        count ? malloc(sizeof *copy + 2 * count * growth->rows * sizeof(parts)) : NULL;
    if (copy) {
        parts *room = (parts *)(copy + 1);
        *copy = (struct stats_growth_copy){.type_count = growth->rows, .left_out = growth->left_out, .level_count = count};
        for (unsigned i = 0; i < count; i++, room += 2 * growth->rows)
            level_copy(&copy->levels[i], &growth->levels[i], growth->rows, room);
    }
    pthread_mutex_unlock(&growth->lock);
    return copy;
}
