#include "base/pulse.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"

static const struct {
    uint64_t limit_ns;
    const char *what;
} rows[PULSES] = {
#define PULSE(name, seconds, what) {seconds * UINT64_C(1000000000), what},
#include "base/pulses.def"
#undef PULSE
};
static _Atomic uint64_t last_ns[PULSES]; /* 0: not judged */
static struct {
    _Atomic uint64_t rounds, sum_ns, longest_ns;
} work[PULSES];

void pulse_beat(enum pulse pulse)
{
    atomic_store_explicit(&last_ns[pulse], clock_mono_coarse_ns(), memory_order_relaxed);
}

void pulse_end(enum pulse pulse)
{
    atomic_store_explicit(&last_ns[pulse], 0, memory_order_relaxed);
}

const char *pulse_silent(uint64_t now_ns)
{
    for (int i = 0; i < PULSES; i++) {
        uint64_t last = atomic_load_explicit(&last_ns[i], memory_order_relaxed);
        if (last && now_ns > last && now_ns - last > rows[i].limit_ns)
            return rows[i].what;
    }
    return NULL;
}

static uint64_t get(const _Atomic uint64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void set(_Atomic uint64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed); /* it has one writer */
}

void pulse_worked(enum pulse pulse, uint64_t start_ns)
{
    uint64_t ns = clock_mono_ns() - start_ns;
    set(&work[pulse].rounds, get(&work[pulse].rounds) + 1);
    set(&work[pulse].sum_ns, get(&work[pulse].sum_ns) + ns);
    if (ns > get(&work[pulse].longest_ns))
        set(&work[pulse].longest_ns, ns);
}

struct pulse_work pulse_work_get(enum pulse pulse)
{
    return (struct pulse_work){.rounds = get(&work[pulse].rounds),
                               .sum_ns = get(&work[pulse].sum_ns),
                               .longest_ns = get(&work[pulse].longest_ns)};
}
