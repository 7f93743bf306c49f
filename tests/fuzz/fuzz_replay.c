/* A script out of any bytes: runs to its end or to a limit, and never crashes, leaks or hangs. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "replay/replay.h"

#define WORK 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *sink;
    if (!sink)
        sink = fopen("/dev/null", "w");
    const struct replay_options options = {.out = sink, .err = sink, .work = WORK};
    if (sink)
        replay_run((const char *)data, size, &options);
    return 0;
}
