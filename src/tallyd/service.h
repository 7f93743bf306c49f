/* What tallyd and the service manager tell each other: sockets that it opened for us, that we are ready, and that we
 * live. Without one, all of it does nothing. The main thread's. */
#ifndef TALLY_TALLYD_SERVICE_H
#define TALLY_TALLYD_SERVICE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum service_socket { SERVICE_HTTP, SERVICE_API, SERVICE_AGENT, SERVICE_SOCKETS };

/* Takes the sockets named http, api and agent (LISTEN_FDS, LISTEN_FDNAMES) and looks whether a watchdog wants to hear of
 * us. Before any thread. false: `why` says which socket is none of ours, or not what its name says. */
bool service_open(char *why, size_t why_bytes);
/* The listening socket, which remains the manager's in the file system; -1: none was handed over. */
int service_socket(enum service_socket which);

/* Who looks after us, in a phrase: "tallyd.service, watchdog 20 s, sockets api agent"; "": nobody. */
const char *service_text(void);

void service_ready(const char *status);
void service_reloading(void);
void service_stopping(void);

/* Waits for a signal of the set and returns it. Meanwhile tells the watchdog that we live, as long as all threads of
 * base/pulses.def do; the listeners are asked for that over unix_path and tcp_address (HOST:PORT). */
int service_wait(const sigset_t *signals, const char *unix_path, const char *tcp_address);

#endif
