/* A client that keeps so many connections busy, each with a request at a time, and times every answer. */
#ifndef TALLY_BENCH_CLIENT_H
#define TALLY_BENCH_CLIENT_H

#include "bench.h"

struct asker { /* connections that ask the same */
    const char *request; /* the whole of it */
    int connections;
    double pause_ns;     /* between an answer and the next request */
    struct gaps answers; /* their times; set by ask() */
};

/* The bench's tallyd: its port and token, and where a request for the path is written to. */
int tallyd_port(void);
void tallyd_request(char *out, size_t size, const char *method, const char *path, const char *headers);

/* All askers at once for so long, on 127.0.0.1. The end, where an answer's status is not `status`. */
void ask(int port, struct asker *askers, int count, double seconds, int status);
/* One answer whole, header and body, for free(). */
char *answer_new(int port, const char *request);
int dial(int port);

#endif
