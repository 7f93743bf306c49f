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
