/* The stages of the daemon, and what they tell each other. */
#ifndef TALLY_TALLYD_WIRING_H
#define TALLY_TALLYD_WIRING_H

#include "api/api.h"
#include "history/history.h"
#include "intake/intake.h"
#include "operations/operations.h"
#include "rules/rules.h"
#include "sandbox/sandbox.h"
#include "snapshot/snapshot.h"
#include "stats/stats.h"
#include "tallyd/tallyd.h"

struct daemon { /* main.c fills in what stands before the stages */
    struct settings settings;
    int argc;
    char **argv;
    struct folders folders;
    struct sandbox sandbox;
    char address[64];
    bool loopback;
    int tcp_fd, unix_fd;
    /* the stages, which stages_open() makes; NULL: not there */
    struct stats *stats;
    struct audit *audit;
    struct history *history;
    struct snapshots *snapshots;
    struct operations *operations;
    struct rules *rules;
    struct intake *intake;
    struct api *api;
    struct intake_sink stats_sink;
};

/* capture.c: the intake's sink for snapshots; arg: the daemon. */
void capture_hear(void *arg, const char *id, const struct wire_snapshot *snapshot, int fd);
/* NAME in the runtime folder. */
void runtime_path(const struct daemon *daemon, const char *name, char *out, size_t bytes);
/* What SIGHUP may change, at the start and again. */
void options_take(struct daemon *daemon);
/* Once the sockets are bound and the folders open; it says what is wrong. EXIT_OK, or EXIT_REFUSAL: then too
 * stages_close() is due. Main thread, with the signals blocked that no other thread is to have. */
int stages_open(struct daemon *daemon);
void stages_close(struct daemon *daemon);

#endif
