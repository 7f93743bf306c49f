/* What a collection or a snapshot would take: shown before anybody confirms one. */
#include "api/private.h"
#include "api/views.h"

#define GENERATIONS 3u

static json_t *pause_json(const struct stats_forecast *forecast, uint64_t ns)
{
    return forecast->unknown ? json_null() : view_number(ns);
}

static json_t *collect_json(unsigned generation, const struct stats_forecast *forecast, bool over)
{
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:i, s:b, s:b, s:b, s:s?}", "generation", (int)generation, "objects",
                     view_number(forecast->objects), "pause_ns", pause_json(forecast, forecast->pause_ns), "least_pause_ns",
                     pause_json(forecast, forecast->least_ns), "most_pause_ns", pause_json(forecast, forecast->most_ns), "runs",
                     (int)forecast->runs, "settled", (int)forecast->settled, "sliced", false, "over_max_pause", over, "reason", forecast->unknown);
}

struct sum { /* of the heaps, by generation */
    struct stats_forecast forecast;
    bool any, over;
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void sum_add(struct sum *sum, const struct stats_forecast *one, bool over)
{
    struct stats_forecast *all = &sum->forecast;
    all->unknown = one->unknown ? one->unknown : all->unknown;
    all->objects += one->objects;
    all->runs += one->runs;
    all->pause_ns = larger(all->pause_ns, one->pause_ns);
    all->least_ns = larger(all->least_ns, one->least_ns);
    all->most_ns = larger(all->most_ns, one->most_ns);
    all->settled = one->settled && (all->settled || !sum->any);
    sum->any = true;
    sum->over |= over;
}

static json_t *heap_json(struct api *api, const struct stats_process_view *process, const struct stats_heap_view *heap,
                         struct sum sums[GENERATIONS])
{
    json_t *collect = json_array();
    uint64_t max_pause_ns = heap->config.max_pause_us * 1000;
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        struct stats_forecast forecast;
        stats_forecast_collect(process, heap, generation, &forecast);
        bool over = max_pause_ns && !forecast.unknown && forecast.pause_ns > max_pause_ns;
        sum_add(&sums[generation], &forecast, over);
        json_array_append_new(collect, collect_json(generation, &forecast, over));
    }
    return json_pack("{s:o, s:o, s:o}", "n", view_number(heap->n), "collect", collect, "snapshot",
                     forecast_snapshot(api, process, heap->n));
}

static json_t *sums_json(struct sum sums[GENERATIONS])
{
    json_t *collect = json_array();
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        struct sum *sum = &sums[generation];
        if (!sum->any)
            sum->forecast.unknown = "it has no heap";
        json_array_append_new(collect, collect_json(generation, &sum->forecast, sum->over));
    }
    return collect;
}

json_t *forecast_json(struct api *api, const struct stats_process_view *process, uint32_t n)
{
    struct sum sums[GENERATIONS] = {{.any = false}};
    json_t *json = json_object(), *heaps = json_array();
    view_identity(json, process);
    for (size_t i = 0; i < process->heap_count; i++)
        if (n ? process->heaps[i].n == n : !process->heaps[i].gone)
            json_array_append_new(heaps, heap_json(api, process, &process->heaps[i], sums));
    json_object_set_new(json, "collect", sums_json(sums));
    json_object_set_new(json, "snapshot", forecast_snapshot(api, process, n));
    json_object_set_new(json, "heaps", heaps);
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}
