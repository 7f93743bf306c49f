/* Heartbeats of the threads in pulses.def. A thread that has not begun, or has ended, is not missed. Any thread. */
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

#endif
