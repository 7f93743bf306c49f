/* Heartbeats of the threads in pulses.def, and how long their work takes. A thread that has not begun, or has ended, is
 * not missed. Any thread. */
#ifndef TALLY_BASE_PULSE_H
#define TALLY_BASE_PULSE_H

#include <stdint.h>

enum pulse {
#define PULSE(name, seconds, what) PULSE_##name,
#include "base/pulses.def"
#undef PULSE
    PULSES
};

void pulse_beat(enum pulse pulse);
/* Its thread ends. */
void pulse_end(enum pulse pulse);
/* What has been silent for longer than it may at now_ns (monotonic); NULL: nothing. */
const char *pulse_silent(uint64_t now_ns);

/* A round of work: a sweep over all heaps, an evaluation of all rules ... Waiting for work is not part of it. */
struct pulse_work {
    uint64_t rounds, sum_ns, longest_ns; /* since the start */
};
/* One has ended that began at start_ns (clock_mono_ns()). Its thread alone. */
void pulse_worked(enum pulse pulse, uint64_t start_ns);
struct pulse_work pulse_work_get(enum pulse pulse);

#endif
