/* What is told of a process or heap: its sums, its TYPES_TRACKED largest types, and the rest of them as one. A type
 * comes in where there is room, or where it is a quarter larger than the smallest that is in, so that two of about the
 * same size do not take turns; who is in is looked at every ten seconds. */
#include <stdlib.h>
#include <string.h>

#include "history/sampler.h"

#define TYPES_KEPT 64u /* that were in once: their series go on when they come back */
#define CHOOSE_S 10u

static void totals_fill(uint64_t *to, const struct figure_map *map, const struct stats_figures *figures)
{
    unsigned row = 0;
#define STATS_FIELD(member, path, kind, unit, label, help) to[map->bit[row++]] = figures->member;
#include "stats/fields.def"
#undef STATS_FIELD
}

static void type_add(uint64_t *to, const struct figure_map *map, const struct stats_type_view *type)
{
    unsigned row = 0;
#define HISTORY_TYPE(member, path, kind, unit, label) to[map->bit[row++]] += type->member;
#include "history/types.def"
#undef HISTORY_TYPE
}

static struct type_state *type_find(struct subject_state *subject, const char *name)
{
    for (size_t i = 0; i < subject->type_count; i++)
        if (subject->types[i].name == name)
            return &subject->types[i];
    return NULL;
}

/* Room for a further type: a new place, or that of one that is not in. */
static struct type_state *type_place(struct sampler *sampler, struct subject_state *subject)
{
    if (subject->type_count == subject->type_room && subject->type_room < TYPES_KEPT) {
        size_t room = subject->type_room ? 2 * subject->type_room : 4;
        struct type_state *types = realloc(subject->types, room * sizeof *types);
        if (!types)
            return NULL;
        subject->types = types;
        subject->type_room = room;
    }
    if (subject->type_count < subject->type_room)
        return &subject->types[subject->type_count++];
    for (size_t i = 0; i < subject->type_count; i++)
        if (!subject->types[i].chosen) {
            series_free(sampler, subject->types[i].series);
            return &subject->types[i];
        }
    return NULL;
}

static uint64_t bytes_of(const struct sampler *sampler, const struct type_state *type)
{
    return type->figures[sampler->base.figures[SUBJECT_TYPE].bit[1]]; /* live_bytes: the second row of types.def */
}

static struct type_state *smallest(const struct sampler *sampler, struct subject_state *subject)
{
    struct type_state *least = NULL;
    for (size_t i = 0; i < subject->type_count; i++)
        if (subject->types[i].chosen && (!least || bytes_of(sampler, &subject->types[i]) < bytes_of(sampler, least)))
            least = &subject->types[i];
    return least;
}

static void choose(struct sampler *sampler, uint32_t process, struct subject_state *subject,
                   const struct stats_type_view *type)
{
    struct type_state *known = type_find(subject, type->name);
    if (known && known->chosen)
        return;
    if (subject->chosen_count >= TYPES_TRACKED) {
        struct type_state *least = smallest(sampler, subject);
        uint64_t bytes = bytes_of(sampler, least);
        if (type->live_bytes <= bytes + bytes / 4)
            return;
        series_end(sampler, least->series, sampler->at - 1);
        least->chosen = false;
        subject->chosen_count--;
    }
    if (!known) {
        if (sampler->series_count >= SERIES_LIVE_MAX)
            return;
        struct series *series = series_new(sampler, process, subject->heap, SUBJECT_TYPE, type->name);
        known = series ? type_place(sampler, subject) : NULL;
        if (!known) {
            series_free(sampler, series);
            return;
        }
        *known = (struct type_state){.name = type->name, .series = series};
    }
    known->chosen = true;
    memset(known->figures, 0, sizeof known->figures);
    type_add(known->figures, &sampler->base.figures[SUBJECT_TYPE], type);
    subject->chosen_count++;
}

static void rest_sample(struct sampler *sampler, uint32_t process, struct subject_state *subject, uint64_t *rest)
{
    const struct figure_map *map = &sampler->base.figures[SUBJECT_TYPE];
    for (unsigned i = 0; i < map->shape.count; i++)
        if (!(map->shape.gauges >> i & 1))
            rest[i] = 0; /* who is in it changes, so that its counters would go back */
    if (!subject->rest)
        subject->rest = series_new(sampler, process, subject->heap, SUBJECT_TYPE, "");
    if (subject->rest)
        series_sample(sampler, subject->rest, rest);
}

void subject_sample(struct sampler *sampler, uint32_t process, struct subject_state *subject,
                    const struct stats_figures *figures, const struct stats_type_view *types, size_t type_count)
{
    uint64_t totals[FIGURES_MAX] = {0}, rest[FIGURES_MAX] = {0};
    bool some_left = false;
    if (!subject->totals)
        subject->totals = series_new(sampler, process, subject->heap, SUBJECT_TOTALS, "");
    if (!subject->totals)
        return;
    totals_fill(totals, &sampler->base.figures[SUBJECT_TOTALS], figures);
    series_sample(sampler, subject->totals, totals);
    if (subject->chosen_count < TYPES_TRACKED || sampler->at % CHOOSE_S == 0)
        for (size_t i = 0; i < type_count; i++)
            choose(sampler, process, subject, &types[i]);
    for (size_t i = 0; i < subject->type_count; i++)
        memset(subject->types[i].figures, 0, sizeof subject->types[i].figures);
    for (size_t i = 0; i < type_count; i++) {
        struct type_state *type = type_find(subject, types[i].name);
        bool in = type && type->chosen;
        type_add(in ? type->figures : rest, &sampler->base.figures[SUBJECT_TYPE], &types[i]);
        some_left |= !in;
    }
    for (size_t i = 0; i < subject->type_count; i++)
        if (subject->types[i].chosen)
            series_sample(sampler, subject->types[i].series, subject->types[i].figures);
    if (some_left || subject->rest)
        rest_sample(sampler, process, subject, rest);
}

void subject_each(struct sampler *sampler, struct subject_state *subject, series_fn each, const void *arg)
{
    if (subject->totals)
        each(sampler, subject->totals, arg);
    if (subject->rest)
        each(sampler, subject->rest, arg);
    for (size_t i = 0; i < subject->type_count; i++)
        if (subject->types[i].chosen)
            each(sampler, subject->types[i].series, arg);
}

void subject_fini(struct sampler *sampler, struct subject_state *subject)
{
    for (size_t i = 0; i < subject->type_count; i++)
        series_free(sampler, subject->types[i].series);
    series_free(sampler, subject->totals);
    series_free(sampler, subject->rest);
    free(subject->types);
}
