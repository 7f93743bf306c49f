/* A real tallyd of the bench's own, which ends with it, and what is known of it from outside. */
#ifndef TALLY_BENCH_DAEMON_H
#define TALLY_BENCH_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

extern pid_t daemon_pid;
extern int daemon_core; /* where daemon_start() has it run; -1, the default: anywhere */

void daemon_start(void);
void path_in(char *out, size_t size, const char *name); /* of a file in its runtime folder */
double cpu_ns(pid_t pid);      /* a process's CPU time */
long private_kib(pid_t pid);   /* memory that is its alone */
/* A number of a process's stats, asked of api.sock, after `member` ("\"lost\":"); -1: there is none. */
double stats_number(pid_t pid, const char *member);
bool attached(void);           /* whether we are */
void rest_ms(long ms);
void pin(int core);            /* the calling thread and what it starts; -1: no effect */
/* fork(2), or the end; the child dies with us and runs on that core. */
pid_t child(int core);
void child_end(pid_t pid);

/* attached.c: programs. */
/* Starts so many processes that attach and idle; returns when all are attached. For swarm_end(). */
pid_t *swarm_start(long count);
void swarm_end(pid_t *children, long count);
void produce(double events, double seconds); /* allocates and frees at `events` a second for so long, in `heap` */

#endif
